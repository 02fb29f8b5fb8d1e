"""What all programs in Python share: messages, with or without protobuf, and the report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "target" / "bench" / "python"))

from bench.v1.echo_pb2 import Block

SERVICE = "bench.v1.Echo"
LIBRARIES = (
    "spanwire",
    "spanwire-uvloop",
    "spanwire-sync",
    "grpcio",
    "grpcio-uvloop",
    "grpcio-sync",
)
MAX_BODY_BYTES = 4 << 20
"""No body that a server makes is larger, whatever the request says."""


@dataclass(frozen=True)
class Messages:
    """How a program sees messages: as objects of protobuf, or as the bytes on the wire.

    With `raw` a library hands through what it is given; what is left is the library alone.
    """

    raw: bool

    @property
    def kind(self) -> type[Block] | None:
        """The class of the messages; None if they stay bytes."""
        return None if self.raw else Block

    def encoder(self) -> Any:
        """What grpcio wants for messages that go out."""
        return None if self.raw else Block.SerializeToString

    def decoder(self) -> Any:
        """What grpcio wants for messages that come in."""
        return None if self.raw else Block.FromString

    def make(self, **fields: Any) -> Any:
        """A message with these fields."""
        block = Block(**fields)
        return block.SerializeToString() if self.raw else block

    def read(self, message: Any) -> Block:
        """The message as an object, whatever form it has."""
        return Block.FromString(message) if self.raw else message

    def size(self, message: Any) -> int:
        """What is compared of a message and its echo."""
        return len(message) if self.raw else len(message.body)


def arguments(text: str | None) -> argparse.ArgumentParser:
    """The flags that servers and clients have in common."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("port", type=int)
    parser.add_argument("--raw", action="store_true", help="messages stay bytes")
    return parser


def report(calls: int, seconds: float, latencies: Sequence[float]) -> None:
    """The line that the runner reads; `latencies` in seconds, none for streams one way."""
    ordered = sorted(latencies)
    p50, p99 = (
        ordered[int((len(ordered) - 1) * share)] * 1e6 if ordered else 0.0 for share in (0.5, 0.99)
    )
    line = {"calls": calls, "seconds": round(seconds, 6), "p50_us": p50, "p99_us": p99}
    print(json.dumps(line))


class WrongAnswer(Exception):
    """An echo that is none, or a stream that ended early. A run with one has no result."""


def check(right: bool, text: str) -> None:
    """Ends the run unless the answer is right."""
    if not right:
        raise WrongAnswer(text)
