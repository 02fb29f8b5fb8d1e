"""What a scenario is played on: backends, a name that leads to them, and clients that call it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from harness.paths import ROOT, TARGET
from scenario_dns import NameServer
from scenario_judge import Call

PORT = 50_051
NAME = "backends.test"
TARGET_NAME = f"dns:///{NAME}:{PORT}"
START_LIMIT_SECONDS = 30.0
BACKEND = TARGET / "debug" / "spanwire-scenario-backend"


class ScenarioBroke(Exception):
    """A scenario could not be played to its end; the text says why."""


def now_ms() -> float:
    """The time that clients tell."""
    return time.time() * 1000


def address_of(name: str) -> str:
    """The address of a backend: that of b1 ends with 1."""
    return f"127.0.1.{name[1:]}"


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    # A proxy that the environment names would be asked for the backends.
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    return {**kept, **extra}


def _piped(argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """A process that hears on its standard input that the runner is gone."""
    pipe = subprocess.PIPE
    environment = _environment(env)
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)


class Backend:
    """A server process that does what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        argv = [str(BACKEND), f"--name={name}", f"--address={address_of(name)}:{PORT}"]
        self._process = _piped(argv, {})
        if self._line() != "ready":
            raise ScenarioBroke(f"{name} did not start")

    def tell(self, command: str) -> None:
        """Gives it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def count(self) -> int:
        """How many calls came."""
        self.tell("count")
        return int(self._line())

    def kill(self) -> None:
        """Ends it without a word to anybody."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Client:
    """A client process that calls until it is told to stop."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], settings: dict[str, Any]
    ) -> None:
        self._process = _piped([*argv, json.dumps(settings)], env)
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._error: str | None = None
        self._over = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                if "error" in told:
                    self._error = told["error"]
                else:
                    self._calls.append(Call(**told))
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def calls(self) -> list[Call]:
        """The calls that are over."""
        with self._changed:
            return list(self._calls)

    @property
    def error(self) -> str | None:
        """What it says is wrong with its settings."""
        with self._changed:
            return self._error

    def wait(self, wanted: Callable[[], bool], until: float) -> bool:
        """Waits until something is so, or for the moment `until`; whether it is so."""
        with self._changed:
            left = max(0.0, until - time.monotonic())
            self._changed.wait_for(lambda: self._over or wanted(), left)
            return wanted()

    def stop(self) -> None:
        """Lets the calls that are under way end, and the client with them."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self.wait(lambda: self._over, time.monotonic() + START_LIMIT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()


class Stage:
    """Backends and clients of one scenario."""

    def __init__(self, names: NameServer, programs: Sequence[Any], limit_seconds: float) -> None:
        self.names = names
        self.limit_seconds = limit_seconds
        """How long a scenario waits for what it expects."""
        self.backends: dict[str, Backend] = {}
        self.clients: dict[str, Client] = {}
        self._programs = programs

    def start(self, *names: str) -> float:
        """Starts backends; gives the time."""
        for name in names:
            self.backends[name] = Backend(name)
        return now_ms()

    def kill(self, *names: str) -> float:
        """Ends backends; gives the time."""
        for name in names:
            self.backends[name].kill()
        return now_ms()

    def lead_to(self, *names: str) -> float:
        """What the name leads to from now on; gives the time."""
        self.names.addresses = [address_of(name) for name in names]
        return now_ms()

    def call(self, service_config: str, **settings: Any) -> None:
        """Starts the clients."""
        defaults = {
            "target": TARGET_NAME,
            "service_config": service_config,
            "name_ttl_ms": 500,
            "calls_per_second": 50,
            "timeout_ms": 10_000,
            "wait_for_ready": False,
        }
        for program in self._programs:
            client = Client(program.argv, program.env, {**defaults, **settings})
            self.clients[program.name] = client

    def wait(self, wanted: Callable[[Client], bool], seconds: float | None = None) -> bool:
        """Waits until something is so for every client; whether it is."""
        until = time.monotonic() + (self.limit_seconds if seconds is None else seconds)
        clients = list(self.clients.values())
        # Each of them is waited for, whatever became of those before.
        reached = [client.wait(partial(wanted, client), until) for client in clients]
        return all(reached)

    def warm_up(self) -> None:
        """Waits until every client has calls that succeeded."""

        def warm(client: Client) -> bool:
            return sum(call.ok for call in client.calls) >= 30

        if not self.wait(warm, START_LIMIT_SECONDS):
            raise ScenarioBroke("a client's calls did not succeed at the beginning")

    def go_on(self, calls: int) -> None:
        """Waits until every client has made so many calls more."""
        wanted = {client: len(client.calls) + calls for client in self.clients.values()}
        self.wait(lambda client: len(client.calls) >= wanted[client], START_LIMIT_SECONDS)

    def stop(self) -> None:
        """Lets all clients end."""
        for client in self.clients.values():
            client.stop()


@contextlib.contextmanager
def staged(names: NameServer, programs: Sequence[Any], limit_seconds: float) -> Iterator[Stage]:
    """A stage, of which nothing is left afterwards."""
    stage = Stage(names, programs, limit_seconds)
    try:
        yield stage
    finally:
        for client in stage.clients.values():
            client.kill()
        for backend in stage.backends.values():
            backend.kill()
