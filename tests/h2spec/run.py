#!/usr/bin/env python3
"""Runs h2spec against a Spanwire server and checks what it finds.

    python3 tests/h2spec/run.py [--write-docs]

It builds what is missing: h2spec by Go, and the server of tests/attack. A
case may fail only if h2spec_cases.py says why, and docs/h2spec.md must be
what is known. Exit code 1 says that something else failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from h2spec_cases import RACES, RACES_WHY
from harness import process, setup, target
from harness.paths import ROOT, TARGET, shown

DOCS = ROOT / "docs" / "h2spec.md"
SOURCE = ROOT / "tests" / "h2spec" / "go"
OUT = TARGET / "h2spec"
H2SPEC = OUT / "h2spec"
RUN_LIMIT_SECONDS = 180.0

TRIES = 3
"""For a case that should pass: on a busy machine h2spec's patience runs out."""


@dataclass(frozen=True)
class Case:
    """One case of h2spec's report; `failure` is what it saw instead, or None."""

    id: str
    title: str
    failure: str | None


def build() -> None:
    """h2spec from its module, and our server."""

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        package = "github.com/summerwind/h2spec/cmd/h2spec"
        setup.command([setup.go(), "build", "-o", H2SPEC, package], cwd=SOURCE)

    inputs = [SOURCE / name for name in ("go.mod", "go.sum", "tools.go")]
    setup.step("h2spec", OUT / ".stamp", inputs, [H2SPEC], make)
    target.build()


def run(port: int, *only: str) -> list[Case]:
    """The outcome of every case, or of one."""
    report = OUT / "report.xml"
    report.unlink(missing_ok=True)
    argv = [str(H2SPEC), "--strict", f"--port={port}", f"--junit-report={report}", *only]
    # Headers that together are longer than a frame may be here: we allow more than the default.
    argv.append("--max-header-length=18000")
    done = process.run(argv, RUN_LIMIT_SECONDS)
    if not report.is_file():
        raise setup.SetupFailed(f"h2spec wrote no report:\n{done.output}")
    cases = []
    for suite in ElementTree.parse(report).iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            seen = [
                f"{found.tag}: {' | '.join((found.text or '').split(chr(10)))}" for found in case
            ]
            title = f"{suite.get('name')}: {case.get('classname')}"
            cases.append(Case(f"{case.get('package')}/{number}", title, seen[0] if seen else None))
    return cases


def try_again(port: int, case: Case) -> Case:
    """One case alone, until it passes, a few times at most."""
    for _ in range(TRIES):
        # A run of one case reports the others of its section as not run.
        alone = [found for found in run(port, case.id) if found.title == case.title]
        if alone and alone[0].failure is None:
            return Case(case.id, case.title, None)
    return case


def as_markdown(cases: list[Case]) -> str:
    """The page for docs/."""
    titles = {case.id: case.title for case in cases}
    lines = [
        "# h2spec",
        "",
        "<!-- Written by `tests/h2spec/run.py --write-docs`; do not edit by hand. -->",
        "",
        "h2spec tries an HTTP/2 server case by case. `make h2spec` runs its version 2.2.1, with",
        "`--strict`, against a Spanwire server.",
        "",
        f"Of its {len(cases)} cases, {len(cases) - len(RACES)} must pass, and "
        f"{len(RACES)} pass or not as a race goes. None is skipped.",
        "",
        *RACES_WHY.strip().splitlines(),
        "",
        "| case | what h2spec does | what it wants | what it may see instead |",
        "|---|---|---|---|",
    ]
    for id, (wants, sees) in RACES.items():
        lines.append(f"| `{id}` | {titles.get(id, 'no such case')} | {wants} | {sees} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """The whole run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write-docs", action="store_true", help=f"write {shown(DOCS)}")
    flags = parser.parse_args()
    build()
    with target.serving() as port:
        cases = run(port)
        raced = [case.id for case in cases if case.failure and case.id in RACES]
        unknown = [case for case in cases if case.failure and case.id not in RACES]
        failed = [case for case in unknown if try_again(port, case).failure]
    good = not failed
    for case in failed:
        setup.say(f"FAIL {case.id} {case.title}\n    {case.failure}")
    page = as_markdown(cases)
    if flags.write_docs:
        DOCS.write_text(page)
        setup.say(f"wrote {shown(DOCS)}")
    elif not DOCS.is_file() or DOCS.read_text() != page:
        good = False
        setup.say(f"{shown(DOCS)} is stale: run tests/h2spec/run.py --write-docs")
    if raced:
        setup.say(f"lost the race: {', '.join(raced)}")
    setup.say(f"{len(cases) - len(failed) - len(raced)} of {len(cases)} cases passed")
    return 0 if good else 1


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
