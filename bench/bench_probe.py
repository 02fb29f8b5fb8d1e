"""What a server costs at rest and per call: start, memory, system calls, allocations."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bench_load
import bench_process
from bench_http2 import Connection
from bench_load import BODY_BYTES, Shape
from bench_process import BenchFailed, Server
from bench_programs import ALLOCATIONS_SHIM, OUT, Program


def call_echo(connection: Connection) -> None:
    """The call that every bench server answers."""
    connection.call(BODY_BYTES)


def start_milliseconds(program: Program, call: Callable[[Connection], None] = call_echo) -> float:
    """From the start of the process to the end of its first answer."""
    began = time.perf_counter()
    with bench_process.serving(program) as server:
        connection = Connection(server.connect())
        call(connection)
        took = time.perf_counter() - began
        connection.close()
    return took * 1000


def bytes_per_connection(program: Program, connections: int) -> tuple[float, float]:
    """Memory of one of many idle connections: fresh, and after one call on each."""
    with bench_process.serving(program) as server, contextlib.ExitStack() as stack:
        # The first connection brings in what all share.
        first = Connection(server.connect())
        stack.callback(first.close)
        first.call(BODY_BYTES)
        before = server.resident_bytes()
        opened = []
        for _ in range(connections):
            connection = Connection(server.connect())
            stack.callback(connection.close)
            connection.settle()
            opened.append(connection)
        fresh = server.resident_bytes() - before
        for connection in opened:
            connection.call(BODY_BYTES)
        used = server.resident_bytes() - before
    return fresh / connections, used / connections


def host_costs(program: Program) -> dict[str, float]:
    """What it costs a host to have a library: its import, and its first channel."""
    with bench_process.serving(program) as server:
        server.connect().close()
        argv = [word.format(port=server.port) for word in program.probe]
        found = json.loads(bench_process.run(argv, 20).output)
    bare = found["bare_bytes"]
    return {
        "import ms": found["import_ms"],
        "import bytes": found["import_bytes"] - bare,
        "channel bytes": found["channel_bytes"] - bare,
        "process bytes": found["channel_bytes"],
    }


def allocations_per_call(program: Program, calls: int) -> tuple[float, float]:
    """How often a server asks for memory in one unary call, and for how many bytes."""
    counts = OUT / "allocations.counts"
    counts.write_bytes(bytes(16))
    env = {"LD_PRELOAD": str(ALLOCATIONS_SHIM), "SPANWIRE_BENCH_ALLOCATIONS": str(counts)}
    with bench_process.serving(program, env) as server:
        server.connect().close()
        bench_load.load_with(server, Shape(4, 50), calls)
        before = struct.unpack("=QQ", counts.read_bytes())
        bench_load.load_with(server, Shape(4, 50), calls)
        after = struct.unpack("=QQ", counts.read_bytes())
    if after[0] == before[0]:
        raise BenchFailed(f"{program.name} allocated nothing that could be counted")
    return (after[0] - before[0]) / calls, (after[1] - before[1]) / calls


def syscall_counter() -> str | None:
    """What counts system calls here: perf, which hardly slows them, or strace, which does."""
    if shutil.which("perf"):
        tried = subprocess.run(
            ["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"],
            check=False,
            capture_output=True,
        )
        if tried.returncode == 0:
            return "perf"
    return "strace" if shutil.which("strace") else None


def syscalls_per_call(server: Server, counter: str, shape: Shape, calls: int) -> float:
    """How many system calls a server makes for one unary call, with those of connecting."""
    report = OUT / "syscalls"
    report.unlink(missing_ok=True)
    pid = str(server.pid)
    argv = {
        "perf": ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o", str(report)],
        "strace": ["strace", "-f", "-c", "-U", "calls", "-o", str(report)],
    }[counter]
    counting = subprocess.Popen(
        [*argv, "-p", pid], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        # Neither says when it is attached.
        time.sleep(0.3)
        bench_load.load_with(server, shape, calls)
    finally:
        counting.send_signal(signal.SIGINT)
        counting.wait()
    return _total(report, counter) / calls


def _total(report: Path, counter: str) -> int:
    text = report.read_text()
    if counter == "perf":
        found = re.search(r"^(\d+),", text, re.MULTILINE)
        if found is None:
            raise BenchFailed(f"perf counted nothing: {text}")
        return int(found[1])
    # The last line is the sum.
    numbers = re.findall(r"^\s*(\d+)(?:\s+\w+)?\s*$", text, re.MULTILINE)
    if not numbers:
        raise BenchFailed(f"strace counted nothing: {text}")
    return int(numbers[-1])
