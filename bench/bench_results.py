"""What was measured: samples by metric and program, their middle, their spread, their ratios."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

PAIR_JOBS = (
    ("ping_pong", 32),
    ("down", 32),
    ("down", 65536),
    ("down", 1048576),
    ("up", 32),
    ("up", 65536),
    ("up", 1048576),
)
"""Mode and size of the streams between a client and a server of the same library."""


def size_text(size: int) -> str:
    """A size as a person writes it."""
    for unit, bytes_of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_of:
            return f"{size // bytes_of} {unit}"
    return f"{size} B"


@dataclass(frozen=True)
class Goal:
    """How many times a peer's speed ours shall be."""

    rate: str
    """The metric of the speed."""
    cost: str
    """The metric of the CPU time for it, which tells the same on a machine that is shared."""
    ours: str
    peer: str
    at_least: float


def _unary(what: str, ours: str, peer: str, at_least: float) -> Goal:
    return Goal(f"{what} calls/s", f"{what} CPU-s per 100k", ours, peer, at_least)


def _stream(what: str, at_least: float, ours: str = "spanwire", peer: str = "tonic") -> Goal:
    cost = f"{what} CPU-us per message"
    return Goal(f"{what} messages/s", cost, ours, peer, at_least)


def _in_host(
    ours: str, peer: str, calls: Mapping[str, float], messages: Mapping[str, float] | None = None
) -> list[Goal]:
    """Of our program in a host language, beside that of the peer there."""
    return [
        *(_unary(what, ours, peer, at_least) for what, at_least in calls.items()),
        *(_stream(what, at_least, ours, peer) for what, at_least in (messages or {}).items()),
    ]


GOALS = (
    _unary("server 4x50", "spanwire", "tonic", 1.5),
    _unary("server 4x50", "spanwire-mt", "tonic-mt", 1.5),
    _unary("server 4x50", "spanwire", "tonic-mt", 2.3),
    _unary("server 4x50", "spanwire", "h2", 0.85),
    _unary("server 50x1", "spanwire", "tonic", 1.0),
    _unary("server 50x1", "spanwire", "h2", 0.85),
    _unary("client 100", "spanwire", "tonic", 1.3),
    _unary("server 4x50", "spanwire-c", "grpc-cpp", 3.0),
    _unary("client 100", "spanwire-c", "grpc-cpp", 3.0),
    _stream("ping_pong 32", 1.0),
    _stream("down 32", 1.0),
    _stream("up 32", 1.0),
    _stream("down 65536", 1.3),
    _stream("up 65536", 1.3),
    _stream("down 1048576", 1.3),
    _stream("up 1048576", 1.3),
    *_in_host(
        "spanwire-python",
        "grpcio",
        {"server 4x50": 15, "server 50x1": 10, "client 100": 5, "client 1": 1.6},
        {
            "down 32": 5,
            "up 32": 5,
            "client down": 5,
            "client up": 5,
            "down 1048576": 1.5,
            "up 1048576": 1.5,
        },
    ),
    *_in_host(
        "spanwire-python-sync",
        "grpcio-sync",
        {"server 4x50": 4, "server 50x1": 4, "client 100": 3, "client 1": 1.3},
    ),
    *_in_host(
        "spanwire-node",
        "grpc-js",
        {"server 4x50": 5, "server 50x1": 4, "client 100": 6, "client 1": 1.6},
        {
            "down 32": 2,
            "up 32": 2,
            "client down": 1,
            "client up": 1,
            "down 1048576": 3,
            "up 1048576": 3,
        },
    ),
)


@dataclass(frozen=True)
class Bound:
    """What ours shall not exceed, whatever the peers do."""

    title: str
    metric: str
    at_most: float
    program: str = "spanwire"
    of: str | None = None
    """If it is a ratio: the program whose number it is divided by."""


def _cpu(what: str, program: str, of: str, at_most: float) -> Bound:
    """What a program may cost, as a multiple of another one's cost."""
    title = f"CPU time per call, {what}, {program} ÷ {of}"
    return Bound(title, f"{what} CPU-s per 100k", at_most, program, of)


BOUNDS = (
    Bound("heap allocations per unary call", "allocations per call", 12),
    Bound("system calls per unary call, 4x50", "system calls per call 4x50", 0.1),
    Bound("bytes per idle connection, fresh", "bytes per fresh connection", 16_000),
    Bound("start to first answer, ms", "start ms", 5),
    _cpu("server 4x50", "spanwire-c", "spanwire", 1.1),
    _cpu("server 50x1", "spanwire-c", "spanwire", 1.1),
    _cpu("client 1", "spanwire-c", "spanwire", 1.1),
    _cpu("client 100", "spanwire-c", "spanwire", 1.1),
    Bound(
        "wake-ups per event, client 100, spanwire-c",
        "client 100 wake-ups per event",
        0.2,
        "spanwire-c",
    ),
    Bound("import into Python, ms", "import ms", 15, "spanwire-python"),
    Bound(
        "memory of the import and one channel, spanwire-python ÷ grpcio",
        "channel bytes",
        0.5,
        "spanwire-python",
        "grpcio",
    ),
)


@dataclass
class Results:
    """Samples, one per round: metric → program → samples."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, metric: str, program: str, value: float) -> None:
        """Takes one sample in."""
        self.samples.setdefault(metric, {}).setdefault(program, []).append(float(f"{value:.6g}"))

    def programs(self) -> list[str]:
        """All that something was measured of, in the order of their first sample."""
        names = [name for by_program in self.samples.values() for name in by_program]
        return list(dict.fromkeys(names))

    def middle(self, metric: str, program: str) -> float | None:
        """The median of all rounds."""
        found = self.samples.get(metric, {}).get(program)
        return statistics.median(found) if found else None

    def ratio(self, metric: str, ours: str, peer: str) -> tuple[float, float, float] | None:
        """Ours divided by the peer's of the same round: median, smallest, largest."""
        by_program = self.samples.get(metric, {})
        pairs = zip(by_program.get(ours, []), by_program.get(peer, []), strict=False)
        ratios = [mine / theirs for mine, theirs in pairs if theirs]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def best_ratio(self, metric: str, ours: str, peer: str) -> float | None:
        """The smallest sample of the peer divided by our smallest: of costs, those of the rounds
        that other programs disturbed least."""
        by_program = self.samples.get(metric, {})
        if not by_program.get(ours) or not by_program.get(peer):
            return None
        return min(by_program[peer]) / min(by_program[ours])


@dataclass(frozen=True)
class About:
    """Where, when and how something was measured."""

    date: str
    commit: str
    """Of the tree that was measured; with a plus sign if it had changes that were not committed."""
    processor: str
    cores: int
    kernel: str
    rounds: int
    seconds: float
    machine_load: list[float]
    """At the begin of each round."""
    common_server: str
    """What the clients called."""
    syscall_counter: str | None

    def shared(self) -> bool:
        """Whether other programs ran: one server and its load do not make more than 2."""
        return max(self.machine_load) > 2.5


def write_json(results: Results, about: About, path: Path) -> None:
    """Everything, for a machine to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"about": asdict(about), "samples": results.samples}
    # A list of numbers stays on one line.
    text = re.sub(
        r"\[[^][{}\"]*\]",
        lambda numbers: re.sub(r"\s+", " ", numbers[0]),
        json.dumps(whole, indent=1),
    )
    path.write_text(text + "\n")


def read_json(path: Path) -> tuple[Results, About]:
    """What `write_json` wrote."""
    whole = json.loads(path.read_text())
    return Results(whole["samples"]), About(**whole["about"])
