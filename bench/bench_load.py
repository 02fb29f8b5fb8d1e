"""Load on a server: h2load for servers, the programs' own clients for everything else."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import bench_http2
import bench_process
from bench_process import BenchFailed, Server
from bench_programs import OUT, Job, Program
from harness import setup

BODY_BYTES = 32
"""The size of the body of a unary call."""

PATH = "/bench.v1.Echo/Unary"


@dataclass(frozen=True)
class Shape:
    """How h2load spreads its calls: connections, and calls in flight on each."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections}x{self.streams}"


SHAPES = (Shape(1, 1), Shape(1, 100), Shape(4, 50), Shape(50, 1))


@dataclass(frozen=True)
class Load:
    """What a load came to."""

    calls: int
    seconds: float
    p50_us: float = 0.0
    p99_us: float = 0.0
    client_cpu_seconds: float = 0.0
    client_peak_bytes: int = 0
    wakes_per_event: float | None = None
    """How often a client's queue woke it, for each event; of clients that have such a queue."""
    host_cpu_seconds: float | None = None
    """What of the client's CPU time its thread of JavaScript took; of clients that run some."""

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


def need_h2load() -> None:
    """Installs h2load if it is missing and this is root on Debian."""
    setup.system_packages(["nghttp2-client"], are_there=shutil.which("h2load") is not None)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise BenchFailed(f"h2load printed no {pattern!r}: {text}")
    return float(found[1])


def _h2load(server: Server, shape: Shape, amount: list[str], limit_seconds: float) -> Load:
    body = OUT / f"body-{BODY_BYTES}"
    body.write_bytes(bench_http2.message(BODY_BYTES))
    argv = ["h2load", "-t", "1", "-c", str(shape.connections), "-m", str(shape.streams), *amount]
    argv += ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    argv.append(f"http://127.0.0.1:{server.port}{PATH}")
    finished = bench_process.run(argv, limit_seconds)
    text = finished.output
    if _number(r"(\d+) failed", text) or _number(r"(\d+) errored", text):
        raise BenchFailed(f"calls failed: {text}")
    calls = int(_number(r"(\d+) succeeded", text))
    if calls == 0:
        raise BenchFailed(f"no calls: {text}")
    unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
    took = re.search(r"finished in ([\d.]+)(s|ms|us),", text)
    if took is None:
        raise BenchFailed(f"h2load printed no time: {text}")
    return Load(calls, float(took[1]) * unit[took[2]], client_cpu_seconds=finished.cpu_seconds)


def load_for(server: Server, shape: Shape, seconds: float) -> Load:
    """Unary calls for a time."""
    return _h2load(server, shape, ["-D", f"{seconds * 1000:.0f}ms"], seconds + 20)


def load_with(server: Server, shape: Shape, calls: int) -> Load:
    """A number of unary calls."""
    return _h2load(server, shape, ["-n", str(calls)], 120)


def latencies(server: Server, shape: Shape, seconds: float) -> Load:
    """As `load_for`, with the time of each call; writing them down costs h2load some speed."""
    log = Path("/dev/shm") / f"spanwire-bench-{os.getpid()}.log"
    log.unlink(missing_ok=True)
    try:
        amount = ["-D", f"{seconds * 1000:.0f}ms", "--log-file", str(log)]
        load = _h2load(server, shape, amount, seconds + 20)
        times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    finally:
        log.unlink(missing_ok=True)
    if not times:
        raise BenchFailed("h2load logged no calls")
    p50, p99 = (float(times[int((len(times) - 1) * share)]) for share in (0.5, 0.99))
    return Load(load.calls, load.seconds, p50, p99, load.client_cpu_seconds)


def run_client(program: Program, server: Server, job: Job) -> Load:
    """One run of a program's client."""
    argv = program.client_argv(server.port, job)
    finished = bench_process.run(argv, job.seconds + 30)
    try:
        line = json.loads(finished.output)
        return Load(
            int(line["calls"]),
            float(line["seconds"]),
            float(line["p50_us"]),
            float(line["p99_us"]),
            # Without the start of a host, where the program says so.
            float(line.get("cpu_seconds", finished.cpu_seconds)),
            finished.peak_bytes,
            line.get("wakes_per_event"),
            line.get("host_cpu_seconds"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BenchFailed(f"{' '.join(argv)} printed {finished.output!r}") from error
