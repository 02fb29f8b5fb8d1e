#!/usr/bin/env python3
"""Plays the scenarios of load balancing and retries with our clients and others.

    python3 tests/scenarios/run.py [--quick] [--clients a,b] [--scenarios a,b] [--write-docs]
    python3 tests/scenarios/run.py --load SECONDS [--write-docs]
    python3 tests/scenarios/run.py --check-docs

Each client plays every scenario alone; with --quick ours play them together, and nobody else
does. Exit code 1 says that one of ours did what it must not. --load restarts backends under
many calls of one client.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import scenario_config
import scenario_load
import scenario_report as report
from harness import network, setup
from scenario_dns import NameServer
from scenario_judge import Measured
from scenario_list import SCENARIOS, Scenario
from scenario_programs import PROGRAMS, Program, build_ours
from scenario_stage import NAME, ScenarioBroke, staged

NAME_SERVER = "127.0.2.53"
OURS_WAIT_SECONDS, OTHERS_WAIT_SECONDS = 30.0, 8.0
"""How long a scenario waits for what it expects: ours must do it, others may not."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="our clients, together")
    parser.add_argument("--load", type=float, metavar="SECONDS", help="backends restart under load")
    parser.add_argument("--clients", default="", help="only these; default: all")
    parser.add_argument("--scenarios", default="", help="only these; default: all")
    parser.add_argument(
        "--write-docs", action="store_true", help="keep the results, in the page too"
    )
    parser.add_argument("--check-docs", action="store_true", help="fail if the page is stale")
    flags = parser.parse_args()
    if flags.write_docs and (flags.quick or flags.clients or flags.scenarios):
        parser.error("the page is about a whole run: leave the other options out")
    return flags


def _enter() -> NameServer:
    """A machine of our own, whose resolver asks us."""
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "resolv.conf": f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n",
            "hosts": "127.0.0.1 localhost\n",
            "nsswitch.conf": "hosts: files dns\n",
        }
        for name, text in files.items():
            Path(folder, name).write_text(text)
        network.enter_private_machine({Path("/etc", name): Path(folder, name) for name in files})
    return NameServer(NAME_SERVER, NAME)


def wrong(scenario: Scenario, found: Measured) -> list[str]:
    """What one of our clients did and must not; the bounds hold on any machine."""
    faults = []
    if found.failed > found.calls * scenario.may_fail:
        faults.append(f"{found.failed} of {found.calls} calls failed: {found.statuses}")
    if found.waited_s is not None and found.back_s is None:
        faults.append(f"what was waited for did not happen within {found.waited_s:.0f} s")
    if found.slow is not None and found.slow > scenario.most_slow:
        faults.append(f"the slow backend got {found.slow:.0%} of the calls")
    if unexpected := set(found.statuses) - scenario.statuses:
        faults.append(f"calls ended with {', '.join(sorted(unexpected))}")
    return faults


def _play(
    names: NameServer, key: str, programs: list[Program], results: report.Results
) -> list[str]:
    """Plays a scenario with these clients at once; gives what is wrong."""
    scenario = SCENARIOS[key]
    ours = all(program.ours for program in programs)
    limit = OURS_WAIT_SECONDS if ours else OTHERS_WAIT_SECONDS
    try:
        with staged(names, programs, limit) as stage:
            played = scenario.play(stage)
    except ScenarioBroke as broke:
        return [f"{key}: {broke}"]
    faults = []
    for program in programs:
        found = played[program.name]
        results.setdefault(key, {})[program.name] = found.as_json()
        setup.say(f"{key:17} {program.name:16} {report.cell(scenario, found.as_json())}")
        if program.ours:
            faults += [f"{key}: {program.name}: {fault}" for fault in wrong(scenario, found)]
    return faults


def _play_all(flags: argparse.Namespace, programs: list[Program]) -> int:
    names = _enter()
    results: report.Results = {}
    faults = []
    groups = [programs] if flags.quick else [[program] for program in programs]
    wanted = [key for key in flags.scenarios.split(",") if key] or list(SCENARIOS)
    for key in wanted:
        for group in groups:
            faults += _play(names, key, group, results)
    told = scenario_config.ask(names, programs)
    faults += scenario_config.wrong(told, programs)
    for fault in faults:
        setup.say(f"FAIL {fault}")
    if flags.write_docs and not faults:
        versions = {program.name: program.version() for program in programs if not program.ours}
        report.write({"versions": versions, "scenarios": results, "config_errors": told})
    return 1 if faults else 0


def main() -> int:
    """Sets up, plays and reports."""
    flags = _parse()
    if flags.check_docs:
        return report.check()
    chosen = [name for name in flags.clients.split(",") if name]
    programs = [
        program
        for program in PROGRAMS
        if (program.name in chosen or not chosen) and (program.ours or not flags.quick)
    ]
    if flags.load:
        build_ours()
        found = scenario_load.run(_enter(), PROGRAMS[0], flags.load)
        if flags.write_docs:
            report.add_load(found.as_json())
        return found.say()
    # The backends are built with our client in Rust, so that comes first, whoever plays.
    for build in dict.fromkeys([build_ours, *(program.build for program in programs)]):
        build()
    return _play_all(flags, programs)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except setup.SetupFailed as failure:
        sys.exit(f"set-up failed: {failure}")
