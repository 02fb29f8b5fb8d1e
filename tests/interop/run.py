#!/usr/bin/env python3
"""Runs the official interop cases and prints the matrix.

    python3 tests/interop/run.py [--peers go,python,node,cpp] [--cases a,b]
                                 [--only-ours | --between-peers]
                                 [--write-docs | --check-docs]

It builds and installs what is missing, then runs every case between each of
our programs (tests/interop/programs.json) and each official peer, in both
directions, plaintext and TLS, and our clients and the peers' against a server
that misbehaves on the HTTP/2 level. Exit code 1 says that something failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import interop_matrix as matrix
import interop_programs as programs
import interop_report as report
from harness import network, process, setup
from harness.paths import INTEROP_OUT, ROOT, shown
from interop_cases import CASES, HTTP2_CASES

DOCS = ROOT / "docs" / "interop.md"


def _list_of(known: tuple[str, ...], kind: str, text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise SystemExit(f"no {kind} {name!r}; known: {', '.join(known)}")
    return names


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=",".join(programs.PEER_NAMES), help="official peers")
    parser.add_argument("--ours", default="", help="languages of programs.json; default: all")
    parser.add_argument("--cases", default="", help="only these cases; default: all")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only-ours", action="store_true", help="no official peers")
    which.add_argument("--between-peers", action="store_true", help="check the peers themselves")
    docs = parser.add_mutually_exclusive_group()
    docs.add_argument("--write-docs", action="store_true", help=f"write {shown(DOCS)}")
    docs.add_argument("--check-docs", action="store_true", help=f"fail if {shown(DOCS)} is stale")
    flags = parser.parse_args()
    whole = not (flags.cases or flags.ours or flags.only_ours or flags.between_peers)
    whole = whole and set(flags.peers.split(",")) == set(programs.PEER_NAMES)
    if (flags.write_docs or flags.check_docs) and not whole:
        parser.error(f"{shown(DOCS)} is about a whole run: leave the other options out")
    return flags


class Progress:
    """Says how far the run is, and each failure as it comes."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._said = time.monotonic()

    def __call__(self, outcome: matrix.Outcome) -> None:
        """Takes one outcome in."""
        self._done += 1
        if outcome.result == matrix.FAIL:
            self._failed += 1
            detail = outcome.detail.replace("\n", "\n    ")
            setup.say(f"FAIL {outcome.job}\n    {detail}")
        if self._done == self._total or time.monotonic() - self._said > 5:
            setup.say(f"{self._done}/{self._total} done, {self._failed} failed")
            self._said = time.monotonic()


def _check_docs(page: str) -> bool:
    if DOCS.is_file() and DOCS.read_text() == page:
        return True
    setup.say(f"FAIL {shown(DOCS)} is stale: run tests/interop/run.py --write-docs")
    return False


def main() -> int:
    """Sets up, runs and reports."""
    flags = _parse()
    wanted = _list_of((*CASES, *HTTP2_CASES), "case", flags.cases)
    peer_names = [] if flags.only_ours else _list_of(programs.PEER_NAMES, "peer", flags.peers)
    languages = _list_of(tuple(programs.our_languages()), "language of ours", flags.ours)

    programs.prepare_helpers()
    peers = [programs.official(name) for name in peer_names]
    our_names = [] if flags.between_peers else languages or programs.our_languages()
    ours = [programs.ours(name) for name in our_names]

    if reason := network.enter_private_network():
        setup.say(f"no network of our own ({reason}): the servers are reachable from outside")

    jobs = matrix.plan(
        matrix.pairs(ours, peers, flags.only_ours, flags.between_peers),
        [*ours, *peers],
        lambda case: not wanted or case in wanted,
    )
    began = time.monotonic()
    outcomes = matrix.run_all(jobs, Progress(len(jobs)))
    report.write_json(outcomes, INTEROP_OUT / "matrix.json")
    page = report.as_markdown(outcomes, [*ours, *peers])

    print(f"\n{report.as_text(outcomes)}\n")
    good = not flags.check_docs or _check_docs(page)
    if flags.write_docs:
        DOCS.parent.mkdir(exist_ok=True)
        DOCS.write_text(page)
        setup.say(f"wrote {shown(DOCS)}")
    found = report.counts(outcomes)
    setup.say(f"in {time.monotonic() - began:.0f} s; all outcomes: target/interop/matrix.json")
    setup.say(
        f"{found[matrix.PASS]} passed, {found[matrix.FAIL]} failed, "
        f"{found[matrix.NOT_OFFERED]} skipped"
    )
    return 1 if found[matrix.FAIL] or not good else 0


def _stop(number: int, _frame: object) -> None:
    # First, so that nobody waits for a command that is still running.
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
