"""Load from threads: so many calls or streams at the same time, each on a thread of its own."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from echo import Messages, check, report

now = time.perf_counter


class Stream(Protocol):
    """A stream as both libraries have it."""

    def send(self, message: Any) -> None:
        """Sends one message."""
        ...

    def receive(self) -> Any:
        """The next message; None at the end."""
        ...

    def finish(self) -> Any:
        """Half-closes; the one response of a client stream."""
        ...

    def cancel(self) -> None:
        """Ends the call."""
        ...

    def messages(self) -> Iterator[Any]:
        """All that come."""
        ...


class Client(Protocol):
    """What a library offers the load."""

    def unary(self, message: Any) -> Any:
        """One call."""
        ...

    def bidi(self) -> Stream:
        """A stream both ways."""
        ...

    def down(self, message: Any) -> Stream:
        """A stream of responses."""
        ...

    def up(self) -> Stream:
        """A stream of requests."""
        ...


class Worker(ABC):
    """One of those that load a server at the same time."""

    def __init__(self, client: Client, messages: Messages, size: int) -> None:
        self.client = client
        self.messages = messages
        self.block = messages.make(body=bytes(size))
        self.size = messages.size(self.block)
        self.calls = 0
        self.latencies: list[float] = []

    @abstractmethod
    def begin(self) -> None:
        """The first round, before the clock runs: connecting is no part of what is measured."""

    @abstractmethod
    def run(self, until: float) -> None:
        """All further rounds, up to a point in time."""

    def check_echo(self, reply: Any) -> None:
        """Fails unless as much came back as was sent."""
        check(
            reply is not None and self.messages.size(reply) == self.size,
            "what came is no echo of what was sent",
        )


class Unary(Worker):
    """Calls, one after the other."""

    def begin(self) -> None:
        self.check_echo(self.client.unary(self.block))

    def run(self, until: float) -> None:
        last = now()
        while last < until:
            self.check_echo(self.client.unary(self.block))
            before, last = last, now()
            self.latencies.append(last - before)
        self.calls = len(self.latencies)


class PingPong(Worker):
    """One stream; each message waits for its echo."""

    def begin(self) -> None:
        self.stream = self.client.bidi()
        self._round()

    def _round(self) -> None:
        self.stream.send(self.block)
        self.check_echo(self.stream.receive())

    def run(self, until: float) -> None:
        last = now()
        while last < until:
            self._round()
            before, last = last, now()
            self.latencies.append(last - before)
        self.calls = len(self.latencies)
        self.stream.cancel()


class Down(Worker):
    """Takes in what the server sends without end."""

    def begin(self) -> None:
        wish = self.messages.make(count=(1 << 64) - 1, size_bytes=self._body_bytes())
        self.stream = self.client.down(wish)
        self.replies = self.stream.messages()
        self.check_echo(next(self.replies))

    def _body_bytes(self) -> int:
        return len(self.messages.read(self.block).body)

    def run(self, until: float) -> None:
        for reply in self.replies:
            self.check_echo(reply)
            self.calls += 1
            if now() >= until:
                break
        self.stream.cancel()


class Up(Worker):
    """Sends without end, and compares the count that comes back."""

    def begin(self) -> None:
        self.stream = self.client.up()
        self.stream.send(self.block)

    def run(self, until: float) -> None:
        while now() < until:
            self.stream.send(self.block)
            self.calls += 1
        counted = self.messages.read(self.stream.finish()).count
        check(counted == self.calls + 1, f"{self.calls + 1} were sent, {counted} came")


MODES: dict[str, type[Worker]] = {"unary": Unary, "ping_pong": PingPong, "down": Down, "up": Up}


def load(
    client: Client, messages: Messages, seconds: float, in_flight: int, size: int, mode: str
) -> None:
    """Runs the workers and prints the report."""
    workers = [MODES[mode](client, messages, size) for _ in range(in_flight)]
    all_begun = threading.Barrier(in_flight + 1)

    def work(worker: Worker) -> None:
        try:
            worker.begin()
        except BaseException:
            all_begun.abort()
            raise
        all_begun.wait()
        worker.run(now() + seconds)

    with ThreadPoolExecutor(in_flight) as pool:
        done = [pool.submit(work, worker) for worker in workers]
        try:
            all_begun.wait()
        finally:
            began = now()
            for each in done:
                each.result()
    took = now() - began
    latencies = [each for worker in workers for each in worker.latencies]
    report(sum(worker.calls for worker in workers), took, latencies)
