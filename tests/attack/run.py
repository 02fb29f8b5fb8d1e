#!/usr/bin/env python3
"""Attacks servers of every language, and sends them honest traffic that looks alike.

    python3 tests/attack/run.py [--quick] [--only rapid,ping] [--languages c,python] [--write-docs]
    python3 tests/attack/run.py --check-docs

It builds what is missing. The server in Rust meets every attack in `cargo test` as well, so with
--quick it meets honest traffic only, and the others a few attacks of each kind. Exit code 1 says
that an attack harmed somebody, or that a guard stopped an honest call.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import attack_report as report
from attack_programs import ATTACKER, GO_CLIENT, PROGRAMS, Program, build_clients
from harness import process, setup, target

RUN_LIMIT_SECONDS = 900.0
GO_LIMIT_SECONDS = 120.0
HONEST = "small_messages,short_deadlines,cancelled_at_once,ping_after_answer,hundred_fields"
HONEST += ",answers_reset,every_fate,frames_of_a_byte"
QUICK = "rapid_reset,made_you_reset_wu_overflow,max_streams_exceed,hpack_bomb,http2_bomb"
QUICK += ",data_tiny_flood,answers_untaken,ping_flood,settings_flood,conn_hoard,tls_half_hello"
QUICK += ",grpc_gzip_bomb,unfinished_requests"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few attacks of each kind")
    parser.add_argument("--only", default="", help="names, or parts of them")
    parser.add_argument("--languages", default="", help="only these; default: all")
    parser.add_argument("--write-docs", action="store_true", help="keep the outcomes, in the page")
    parser.add_argument("--check-docs", action="store_true", help="fail if the page is stale")
    flags = parser.parse_args()
    if flags.write_docs and (flags.quick or flags.only or flags.languages):
        parser.error("the page is about a whole run: leave the other options out")
    return flags


def _play(program: Program, only: str) -> tuple[bool, dict[str, Any]]:
    """Whether all was well, and the outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes.json"
        argv = [str(ATTACKER), *program.flags, f"--json={file}"]
        if only:
            argv.append(f"--only={only}")
        argv += ["--", *program.argv]
        done = subprocess.run(argv, timeout=RUN_LIMIT_SECONDS, check=False)
        outcomes = json.loads(file.read_text()) if file.exists() else {}
    return done.returncode == 0, outcomes


def _meets_grpc_go(program: Program) -> bool:
    """Whether honest traffic of grpc-go passes."""
    with target.serving(program.argv) as port:
        done = process.run([str(GO_CLIENT), f"127.0.0.1:{port}"], GO_LIMIT_SECONDS)
    setup.say(done.output.rstrip())
    return done.code == 0


def main() -> int:
    """The whole run."""
    flags = _parse()
    if flags.check_docs:
        return report.check()
    wanted = flags.languages.lower().split(",") if flags.languages else []
    programs = [one for one in PROGRAMS if not wanted or one.name.lower() in wanted]
    build_clients()
    for program in programs:
        program.build()
    well, kept = True, {}
    for program in programs:
        setup.say(f"--- the server in {program.name}")
        only = flags.only
        if flags.quick:
            only = HONEST if program.argv == (str(target.SERVER),) else f"{QUICK},{HONEST}"
        fine, kept[program.name] = _play(program, only)
        well &= fine
        if not flags.only:
            well &= _meets_grpc_go(program)
    if flags.write_docs:
        report.write(kept)
    return 0 if well else 1


def _stop(number: int, _frame: object) -> None:
    process.end_all()
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, _stop)
    try:
        sys.exit(main())
    except (setup.SetupFailed, subprocess.SubprocessError) as failure:
        sys.exit(f"failed: {failure}")
    finally:
        process.end_all()
