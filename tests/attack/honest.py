#!/usr/bin/env python3
"""Honest traffic of grpc-go that looks like an attack from afar.

    python3 tests/attack/honest.py

It builds what is missing, then lets go/main.go call the server of
tests/attack. Exit code 1 says that a guard stopped an honest call.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import process, setup, target
from harness.paths import ROOT, TARGET

SOURCE = ROOT / "tests" / "attack" / "go"
OUT = TARGET / "attack"
CLIENT = OUT / "honest"
RUN_LIMIT_SECONDS = 120.0


def build() -> None:
    """The client, from our source and grpc-go's module."""

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        setup.command([setup.go(), "build", "-o", CLIENT, "."], cwd=SOURCE)

    inputs = [SOURCE / name for name in ("go.mod", "go.sum", "main.go")]
    setup.step("an honest grpc-go client", OUT / ".go-stamp", inputs, [CLIENT], make)


def main() -> int:
    """The whole run."""
    build()
    target.build()
    with target.serving() as port:
        done = process.run([str(CLIENT), f"127.0.0.1:{port}"], RUN_LIMIT_SECONDS)
    setup.say(done.output.rstrip())
    return 0 if done.code == 0 else 1


def _stop(number: int, _frame: object) -> None:
    process.end_all()
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, _stop)
    try:
        sys.exit(main())
    except setup.SetupFailed as failure:
        sys.exit(f"set-up failed: {failure}")
    finally:
        process.end_all()
