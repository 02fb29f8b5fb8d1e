"""Processes on cores of their own, and what the kernel says about them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_programs import OUT, Program
from harness.paths import ROOT
from harness.process import free_port

START_LIMIT_SECONDS = 20.0
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]
"""The other core; the same one on a machine that has no other."""

_TICKS = os.sysconf("SC_CLK_TCK")
_running: set[subprocess.Popen[bytes]] = set()


class BenchFailed(Exception):
    """A program did not do its work; the text has what it printed."""


def allow_many_connections() -> None:
    """For this process and its children: a thousand connections need as many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))


def _spawn(
    argv: Sequence[str], core: int, out: int, err: int, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    # A child inherits the core. An extra program that sets it would count as start-up time.
    os.sched_setaffinity(0, {core})
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})
    _running.add(child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    _running.discard(child)


def end_all() -> None:
    """Ends whatever is still running; for the runner's last line."""
    for child in list(_running):
        _end(child)


def _memory(pid: int, line_start: str) -> int | None:
    """One of the sizes that the kernel shows of a process, in bytes; None if it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(line_start):
            return int(line.split()[1]) * 1024
    return None


class Server:
    """A server on `port`, pinned to its core."""

    def __init__(self, child: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._child = child
        self.pid = child.pid
        self.port = port
        self._log = log

    def cpu_seconds(self) -> float:
        """CPU time of all threads, in user mode and in the kernel."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def main_thread_cpu_seconds(self) -> float:
        """That of its first thread alone, which in Node is the one of JavaScript."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def resident_bytes(self, peak: bool = False) -> int:
        """Memory that it holds, or the most that it ever held."""
        found = _memory(self.pid, "VmHWM:" if peak else "VmRSS:")
        if found is None:
            raise BenchFailed(f"process {self.pid} has ended: {self._log.read_text()}")
        return found

    def connect(self) -> socket.socket:
        """A connection, as soon as the server takes one."""
        limit = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < limit:
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port), timeout=10)
            if self._child.poll() is not None:
                break
            time.sleep(0.0002)
        raise BenchFailed(f"{self._child.args!r} did not start: {self._log.read_text()}")


@contextlib.contextmanager
def serving(program: Program, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Starts a server on the server's core, and ends it at the end."""
    OUT.mkdir(parents=True, exist_ok=True)
    log = OUT / "server.log"
    port = free_port()
    with log.open("wb") as sink:
        argv = program.server_argv(port)
        child = _spawn(argv, SERVER_CORE, sink.fileno(), subprocess.STDOUT, env)
    try:
        yield Server(child, port, log)
    finally:
        _end(child)


@dataclass(frozen=True)
class Finished:
    """What a program printed, and what it took."""

    output: str
    cpu_seconds: float
    peak_bytes: int


def run(argv: Sequence[str], limit_seconds: float) -> Finished:
    """Runs a program on the load's core to its end."""
    child = _spawn(argv, LOAD_CORE, subprocess.PIPE, subprocess.PIPE, None)
    limit = time.monotonic() + limit_seconds
    peak = 0
    try:
        # What a program prints fits in a pipe, so it can wait there for the end.
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            # The kernel's own account (ru_maxrss) begins with the memory of this process, before
            # the exec; so look at the peak until the program has ended.
            peak = _memory(child.pid, "VmHWM:") or peak
            if time.monotonic() > limit:
                raise BenchFailed(f"{' '.join(argv)}: no end after {limit_seconds:.0f} s")
            time.sleep(0.02)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        pipes = (child.stdout, child.stderr)
        output, errors = (pipe.read().decode() if pipe else "" for pipe in pipes)
    finally:
        _end(child)
    if child.returncode != 0:
        raise BenchFailed(f"{' '.join(argv)}: exit code {child.returncode}: {errors or output}")
    return Finished(output, usage.ru_utime + usage.ru_stime, peak)
