#!/usr/bin/env python3
"""What the demo's server weighs, and how soon it answers.

    python3 bench/size.py

It builds the server as the other measured programs are built, takes its
symbols off, and fails when it is larger than it should be. The time to its
first answer is shown and not judged: it depends on what else the machine does.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import bench_probe
from bench_http2 import Connection, first_field
from bench_process import BenchFailed
from bench_programs import OUT, PROFILE, Program
from harness import setup
from harness.paths import DEMO, TARGET

MOST_BYTES = 4_000_000
STARTS = 20
ZONE = b"Europe/Berlin"


def build() -> Path:
    """The server without its symbols."""
    setup.say(f"building: the demo's server, profile {PROFILE} (minutes when cold) …")
    name = "spanwire-demo-server"
    cargo = ["cargo", "build", "--quiet", "--locked", "--profile", PROFILE]
    setup.command(["nice", *cargo, "-p", "spanwire-demo", "--bin", name], quiet=False)
    OUT.mkdir(parents=True, exist_ok=True)
    stripped = OUT / name
    subprocess.run(["strip", "-o", stripped, TARGET / PROFILE / name], check=True)
    return stripped


def ask_for_a_zone(connection: Connection) -> None:
    """A call of the demo's own."""
    answer = connection.exchange("/spanwire.demo.v1.Zones/Get", first_field(ZONE))
    if ZONE not in answer:
        raise BenchFailed(f"the answer is {answer!r}")


def main() -> int:
    """Prints both numbers; 1 if the server is too large."""
    server = build()
    argv = (str(server), "--port", "{port}", "--data", str(DEMO / "data" / "zones.tsv"))
    program = Program("demo", argv, ())
    starts = [bench_probe.start_milliseconds(program, ask_for_a_zone) for _ in range(STARTS)]
    print(f"the demo's server answers after {statistics.median(starts):.1f} ms", end=" ")
    print(f"(median of {STARTS} starts, {min(starts):.1f} at best)")
    size = server.stat().st_size
    print(f"it has {size:,} bytes without symbols; {MOST_BYTES:,} are the most")
    return int(size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
