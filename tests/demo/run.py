#!/usr/bin/env python3
"""The main job, shown: one service, and who can call whom.

    python3 tests/demo/run.py

Spanwire, in each of its languages, serves spanwire.demo.v1.Zones and is
called by grpcio, grpc-go, grpc-js and itself; then each of them serves it and
Spanwire calls. Every client makes the same calls of all four kinds; the
answers must be the same.
What is missing is built and installed first, and nothing is left running.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import demo_work
from demo_programs import OFFICIAL, OURS, Program
from harness import process, setup
from harness.paths import DEMO, DEMO_OUT, shown

CLIENT_LIMIT_SECONDS = 60.0
WORK = DEMO_OUT / "work.json"
DATA = DEMO / "data" / "zones.tsv"


class DemoFailed(Exception):
    """A client failed, or its answers are wrong; the text says how."""


@dataclass(frozen=True)
class Meeting:
    """What one client reported of one server."""

    server: Program
    client: Program
    reports: dict[str, Any]

    @property
    def title(self) -> str:
        """Who called whom."""
        return f"{self.client.name} → {self.server.name}"

    @property
    def answers(self) -> demo_work.Answers:
        """The answers, by method."""
        return {name: report["answers"] for name, report in self.reports.items()}


def _meet(server: Program, client: Program) -> Meeting:
    port = process.free_port()
    log = DEMO_OUT / "logs" / f"server-{server.name}.log"
    argv = [*server.server, f"--port={port}", f"--data={shown(DATA)}"]
    with process.serving(argv, port, log, server.env):
        argv = [*client.client, f"--target=127.0.0.1:{port}", f"--work={shown(WORK)}"]
        done = process.run(argv, CLIENT_LIMIT_SECONDS, client.env)
    lines = [line for line in done.output.splitlines() if line.startswith("{")]
    if done.code != 0 or not lines:
        ended = "ran out of time" if done.code is None else f"exit code {done.code}"
        raise DemoFailed(f"{client.name} calling {server.name}: {ended}\n{done.output}")
    return Meeting(server, client, json.loads(lines[-1]))


def _judge(work: dict[str, Any], meetings: Sequence[Meeting]) -> list[str]:
    """Everything that is wrong with the answers."""
    first = meetings[0]
    wrong = [f"{first.title}: {text}" for text in demo_work.plain_mistakes(work, first.answers)]
    for meeting in meetings[1:]:
        for name in work:
            found = demo_work.difference(first.answers[name], meeting.answers[name], name)
            if found:
                wrong.append(f"{meeting.title} differs from {first.title}: {found}")
    return wrong


def _table(meetings: Sequence[Meeting]) -> str:
    head = ["server", "client", "method", "kind", "calls", "messages", "mean ms", "calls/s"]
    rows = [head]
    for meeting in meetings:
        for name, (method, kind) in demo_work.METHODS.items():
            report = meeting.reports[name]
            calls, seconds = report["calls"], report["seconds"]
            rows.append(
                [
                    meeting.server.name,
                    meeting.client.name,
                    method,
                    kind,
                    str(calls),
                    str(report["messages"]),
                    f"{1000 * seconds / calls:.2f}",
                    f"{calls / seconds:.0f}",
                ]
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for index, row in enumerate(rows):
        # A meeting's name stands in its first line only.
        named = index == 0 or index % len(demo_work.METHODS) == 1
        cells = [
            cell.ljust(width) if column < 4 else cell.rjust(width)
            for column, (cell, width) in enumerate(
                zip(row if named else ["", "", *row[2:]], widths, strict=True)
            )
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)


def main() -> int:
    """Sets up, runs all meetings, compares and prints."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for program in (*OURS, *OFFICIAL):
        program.install()
    work = demo_work.make(DATA)
    DEMO_OUT.mkdir(parents=True, exist_ok=True)
    WORK.write_text(json.dumps(work))

    pairs = [(server, client) for server in OURS for client in (*OURS, *OFFICIAL)]
    pairs += [(server, client) for server in OFFICIAL for client in OURS]
    meetings = []
    for server, client in pairs:
        setup.say(f"{server.name} serves, {client.name} calls …")
        meetings.append(_meet(server, client))

    print(f"\n{_table(meetings)}\n")
    wrong = _judge(work, meetings)
    for text in wrong:
        print(f"WRONG {text}")
    calls = sum(report["calls"] for meeting in meetings for report in meeting.reports.values())
    if not wrong:
        print(f"{calls} calls by {len(meetings)} pairs; all gave the same answers.")
    print("One call after the other, and finding a zone costs time too: this is no benchmark.")
    return 1 if wrong else 0


def _stop(number: int, _frame: object) -> None:
    # First, so that nobody waits for a command that is still running.
    process.end_all()
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, _stop)
    try:
        sys.exit(main())
    except (setup.SetupFailed, process.StartFailed, DemoFailed) as failure:
        sys.exit(f"failed: {failure}")
    finally:
        process.end_all()
