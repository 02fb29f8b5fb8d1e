"""Child processes that never outlive the runner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.paths import ROOT

START_LIMIT_SECONDS = 20.0
STOP_LIMIT_SECONDS = 5.0

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()


class StartFailed(Exception):
    """A server did not come up; the text has the end of its output."""


@dataclass(frozen=True)
class Finished:
    """How a command ended: `code` is None if it ran into its time limit."""

    code: int | None
    output: str
    seconds: float


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def _spawn(
    argv: Sequence[str], env: Mapping[str, str] | None, output: Path | int
) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(output.open("wb")) if isinstance(output, Path) else output
        child = subprocess.Popen(
            list(argv),
            cwd=ROOT,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # A group of its own: what the child starts is ended with it.
            start_new_session=True,
        )
    with _running_lock:
        _running.add(child)
    return child


def _end(child: subprocess.Popen[bytes]) -> int:
    """Asks the child to stop, then makes it; returns its exit code."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_LIMIT_SECONDS)
    # Also when it has ended: a child of its own may be left in the group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    with _running_lock:
        _running.discard(child)
    return code


def end_all() -> None:
    """Ends whatever is still running; for the runner's last line."""
    with _running_lock:
        children = list(_running)
    for child in children:
        _end(child)


class Server:
    """A server process on `port`; start it with `serving`."""

    def __init__(self, child: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._child = child
        self.port = port
        self.log = log

    def tail(self) -> str:
        """The last lines that the server printed."""
        text = self.log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def stop(self) -> int:
        """Ends the server and returns its exit code."""
        return _end(self._child)

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        self._child.send_signal(number)

    def wait(self, limit_seconds: float) -> int | None:
        """The exit code, when it ends by itself; None at the limit."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.wait(limit_seconds)
        return None

    def wait_ready(self) -> None:
        """Waits until the port takes connections."""
        limit = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < limit:
            if self._child.poll() is not None:
                raise StartFailed(f"exit code {self._child.returncode}: {self.tail()}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.02)
        raise StartFailed(f"no connection after {START_LIMIT_SECONDS:.0f} s: {self.tail()}")


@contextlib.contextmanager
def serving(
    argv: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Starts a server, waits until it is ready, ends it at the end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    server = Server(_spawn(argv, env, log), port, log)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def run(
    argv: Sequence[str], limit_seconds: float, env: Mapping[str, str] | None = None
) -> Finished:
    """Runs a command to its end, or ends it at the limit."""
    began = time.monotonic()
    child = _spawn(argv, env, subprocess.PIPE)
    try:
        try:
            output, _ = child.communicate(timeout=limit_seconds)
            code: int | None = child.returncode
        except subprocess.TimeoutExpired:
            _end(child)
            output, _ = child.communicate()
            code = None
    finally:
        _end(child)
    return Finished(code, output.decode(errors="replace"), time.monotonic() - began)
