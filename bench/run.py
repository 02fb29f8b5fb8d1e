#!/usr/bin/env python3
"""Measures the engine beside its peers, on this machine, in turns.

    ./bench/run.sh [--rounds 5] [--seconds 2] [--only rust,tonic,h2]
                   [--parts servers,clients,streams,rest] [--quick] [--no-build]
                   [--no-write | --save NAME]

It builds what is missing. Each round measures every program once, one after
the other, servers on one core and load on another. A whole run writes
bench/results/DATE.json and the tables of bench/README.md and
docs/performance.md; one with --save node writes bench/results/node.json and
the tables of that name there. `--quick` is one
round of very short runs on a debug build of ours, without the programs that
use no protobuf: it shows that everything works, and its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import bench_load
import bench_probe
import bench_process
import bench_programs
import bench_report
from bench_load import BODY_BYTES, SHAPES, Shape
from bench_process import BenchFailed
from bench_programs import BENCH, OUT, PEERS, PROFILE, Job, Program
from bench_results import PAIR_JOBS, About, Results, read_json, write_json
from harness import setup
from harness.paths import shown

PARTS = ("servers", "clients", "streams", "rest")
WHOLE_ROUNDS = 5
RESULTS = BENCH / "results"


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    programs: list[Program]
    common_server: Program
    """The server that all clients call."""
    seconds: float
    calls: int
    """For what is counted per call."""
    connections: int
    """How many are idle at the same time."""
    syscall_counter: str | None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*bench_programs.languages(), *PEERS]
    parser.add_argument("--only", default=",".join(known), help=f"of {','.join(known)}")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=WHOLE_ROUNDS)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    parser.add_argument("--no-build", action="store_true", help="measure what is there")
    parser.add_argument("--no-write", action="store_true", help="leave the results in target/bench")
    parser.add_argument(
        "--save", metavar="NAME", help="write the results as those of this part of the programs"
    )
    parser.add_argument("--tables", type=Path, metavar="FILE", help="only show these results")
    parser.add_argument(
        "--check", action="store_true", help="only see whether the pages show the newest results"
    )
    flags = parser.parse_args()
    flags.only = _list_of(known, "program", flags.only)
    flags.parts = _list_of(PARTS, "part", flags.parts)
    if flags.quick:
        flags.rounds, flags.seconds = 1, 0.5
    flags.whole = (
        flags.rounds >= WHOLE_ROUNDS
        and set(flags.only) == set(known)
        and set(flags.parts) == set(PARTS)
        and not flags.no_write
        and not flags.save
    )
    return flags


def _list_of(known: Sequence[str], kind: str, text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise SystemExit(f"no {kind} {name!r}; known: {', '.join(known)}")
    return names


def _servers(plan: Plan, program: Program, results: Results) -> None:
    """A server under h2load, in every shape."""
    with bench_process.serving(program) as server:
        server.connect().close()
        bench_load.load_with(server, Shape(4, 50), plan.calls)
        for shape in SHAPES:
            cpu_before, thread_before = server.cpu_seconds(), server.main_thread_cpu_seconds()
            load = bench_load.load_for(server, shape, plan.seconds)
            cpu = server.cpu_seconds() - cpu_before
            if program.in_javascript:
                of_thread = server.main_thread_cpu_seconds() - thread_before
                key = f"server {shape} CPU-s of JavaScript per 100k"
                results.add(key, program.name, of_thread / load.calls * 1e5)
            results.add(f"server {shape} calls/s", program.name, load.per_second)
            results.add(f"server {shape} CPU-s per 100k", program.name, cpu / load.calls * 1e5)
            results.add(f"server {shape} share of its core", program.name, cpu / load.seconds)
            timed = bench_load.latencies(server, shape, plan.seconds / 4)
            results.add(f"server {shape} p50 us", program.name, timed.p50_us)
            results.add(f"server {shape} p99 us", program.name, timed.p99_us)


def _clients(plan: Plan, program: Program, results: Results) -> None:
    """A client of the common server: calls, 1 and 100 in flight; streams of small messages."""
    if not program.client:
        return
    with bench_process.serving(plan.common_server) as server:
        server.connect().close()
        for in_flight in (1, 100):
            job = Job(plan.seconds, in_flight, BODY_BYTES, "unary")
            load = bench_load.run_client(program, server, job)
            key = f"client {in_flight}"
            results.add(f"{key} calls/s", program.name, load.per_second)
            cpu = load.client_cpu_seconds / load.calls * 1e5
            results.add(f"{key} CPU-s per 100k", program.name, cpu)
            results.add(f"{key} p50 us", program.name, load.p50_us)
            results.add(f"{key} p99 us", program.name, load.p99_us)
            if load.host_cpu_seconds is not None:
                cpu = load.host_cpu_seconds / load.calls * 1e5
                results.add(f"{key} CPU-s of JavaScript per 100k", program.name, cpu)
            if load.wakes_per_event is not None:
                results.add(f"{key} wake-ups per event", program.name, load.wakes_per_event)
        for mode in ("down", "up"):
            load = bench_load.run_client(program, server, Job(plan.seconds, 1, BODY_BYTES, mode))
            results.add(f"client {mode} messages/s", program.name, load.per_second)
            cpu = load.client_cpu_seconds / load.calls * 1e6
            results.add(f"client {mode} CPU-us per message", program.name, cpu)


def _streams(plan: Plan, program: Program, results: Results) -> None:
    """One stream at a time between the client and the server of one library."""
    if not program.client:
        return
    for mode, size in PAIR_JOBS:
        # A server for each, because of its peak memory.
        with bench_process.serving(program) as server:
            server.connect().close()
            cpu_before = server.cpu_seconds()
            load = bench_load.run_client(program, server, Job(plan.seconds, 1, size, mode))
            cpu = server.cpu_seconds() - cpu_before + load.client_cpu_seconds
            peak = server.resident_bytes(peak=True) + load.client_peak_bytes
        key = f"{mode} {size}"
        results.add(f"{key} messages/s", program.name, load.per_second)
        results.add(f"{key} CPU-us per message", program.name, cpu / load.calls * 1e6)
        results.add(f"{key} peak MB", program.name, peak / 1e6)
        if load.p50_us:
            results.add(f"{key} p50 us", program.name, load.p50_us)
            results.add(f"{key} p99 us", program.name, load.p99_us)


def _at_rest(plan: Plan, program: Program, results: Results) -> None:
    """Start, memory of connections, system calls and allocations of a server."""
    results.add("start ms", program.name, bench_probe.start_milliseconds(program))
    if program.probe:
        for metric, value in bench_probe.host_costs(program).items():
            results.add(metric, program.name, value)
    fresh, used = bench_probe.bytes_per_connection(program, plan.connections)
    results.add("bytes per fresh connection", program.name, fresh)
    results.add("bytes per idle connection", program.name, used)
    if plan.syscall_counter:
        with bench_process.serving(program) as server:
            server.connect().close()
            for shape in (Shape(4, 50), Shape(50, 1)):
                calls = bench_probe.syscalls_per_call(
                    server, plan.syscall_counter, shape, plan.calls
                )
                results.add(f"system calls per call {shape}", program.name, calls)
    if program.counts_allocations:
        count, size = bench_probe.allocations_per_call(program, plan.calls)
        results.add("allocations per call", program.name, count)
        results.add("allocated bytes per call", program.name, size)


MEASURES: dict[str, Callable[[Plan, Program, Results], None]] = {
    "servers": _servers,
    "clients": _clients,
    "streams": _streams,
    "rest": _at_rest,
}


def _measure(plan: Plan, parts: Sequence[str], rounds: int) -> tuple[Results, list[float]]:
    """All rounds; also the load of the machine at the begin of each."""
    results = Results()
    machine_load = []
    for number in range(rounds):
        machine_load.append(round(os.getloadavg()[0], 2))
        setup.say(f"round {number + 1} of {rounds}, load of the machine {machine_load[-1]}")
        for part in parts:
            began = time.monotonic()
            # Nobody is always first, or always behind the same neighbour.
            turn = number % len(plan.programs)
            for program in plan.programs[turn:] + plan.programs[:turn]:
                MEASURES[part](plan, program, results)
            setup.say(f"  {part}: {time.monotonic() - began:.0f} s")
    return results, machine_load


def _build(flags: argparse.Namespace) -> list[Program]:
    bench_load.need_h2load()
    peers = [name for name in flags.only if name in PEERS]
    languages = [name for name in flags.only if name not in PEERS]
    profile, folder = ("dev", "debug") if flags.quick else (PROFILE, PROFILE)
    if languages and not flags.no_build:
        bench_programs.build_ours(languages, profile, folder)
    if peers and not flags.no_build:
        bench_programs.build_peers(peers)
    if "rest" in flags.parts:
        bench_programs.build_allocations_shim()
    ours = [program for name in languages for program in bench_programs.ours(name, folder)]
    if flags.quick:
        # They differ in their messages alone.
        ours = [program for program in ours if not program.name.endswith("-raw")]
    return [*ours, *(PEERS[name] for name in peers)]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            check=True,
            capture_output=True,
            text=True,
            cwd=BENCH,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _about(flags: argparse.Namespace, plan: Plan, machine_load: list[float]) -> About:
    return About(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        commit=_commit(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        rounds=flags.rounds,
        seconds=flags.seconds,
        machine_load=machine_load,
        common_server=plan.common_server.name,
        syscall_counter=plan.syscall_counter,
    )


def _check_pages() -> None:
    """Fails unless the pages show the newest results of a whole run, and those of each part."""
    files = sorted(RESULTS.glob("*.json"))
    whole = [path for path in files if path.name[0].isdigit()]
    parts = [path for path in files if path not in whole]
    for path in (*whole[-1:], *parts):
        part = None if path in whole else path.stem
        stale = bench_report.stale(*read_json(path), part)
        if stale:
            raise BenchFailed(f"not what {shown(path)} says: {', '.join(stale)}")


def main() -> int:
    """Builds, measures and reports."""
    flags = _parse()
    if flags.tables:
        print(bench_report.report(*read_json(flags.tables)))
        return 0
    if flags.check:
        _check_pages()
        return 0
    programs = _build(flags)
    bench_process.allow_many_connections()
    plan = Plan(
        programs,
        next((program for program in programs if program.name == "h2"), programs[0]),
        flags.seconds,
        1_000 if flags.quick else 40_000,
        100 if flags.quick else 1_000,
        bench_probe.syscall_counter(),
    )
    results, machine_load = _measure(plan, flags.parts, flags.rounds)
    about = _about(flags, plan, machine_load)
    text = bench_report.report(results, about)
    print(f"\n{text}\n")
    saved = flags.whole or flags.save
    out = RESULTS / f"{flags.save or about.date}.json" if saved else OUT / "last.json"
    write_json(results, about, out)
    setup.say(f"wrote {shown(out)}")
    if saved:
        for page, page_text in bench_report.pages(results, about, flags.save).items():
            page.write_text(page_text)
            setup.say(f"wrote {shown(page)}")
    return 0


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, _stop)
    try:
        sys.exit(main())
    except (setup.SetupFailed, BenchFailed) as failure:
        sys.exit(f"bench: {failure}")
    finally:
        bench_process.end_all()
