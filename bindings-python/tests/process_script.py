"""Programs in processes of their own, for tests of what a process can do to us and we to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

TESTS = Path(__file__).parent

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time
sys.path.insert(0, {tests!r})
import spanwire
import spanwire.sync
from sync_service import CHAT, COUNT, ECHO, HANDLERS, SUM
LIMIT = 10.0
# Whoever runs the tests in the background may ignore it, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def serve(**options):
    server = spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0", **options)
    server.start()
    return server
"""
"""What every program begins with."""


def source(program: str, first: str = "") -> str:
    """A program with what each begins with, and what comes even before that."""
    return first + PRELUDE.format(tests=str(TESTS)) + textwrap.dedent(program)


def run(program: str, *, first: str = "", seconds: float = 60, code: int = 0) -> str:
    """Runs a program to its end and gives what it printed.

    Args:
        program: what follows the prelude.
        first: what comes before it.
        seconds: how long it may take.
        code: what it has to end with.
    """
    command = [sys.executable, "-c", source(program, first)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert not done.stderr or code, done.stderr
    return done.stdout


def interrupt(program: str, number: int = signal.SIGINT) -> tuple[int, str, str, float]:
    """Starts a program, sends it a signal when it has said that it waits, and waits for its end.

    Returns:
        Its exit code, what it printed after the signal, its errors, and the seconds that it took to end.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", source(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        # It says so just before it does.
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
        return process.returncode, out, errors, time.monotonic() - began
    finally:
        process.kill()
