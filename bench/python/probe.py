"""What it costs to have a library at hand: probe.py LIBRARY PORT

Prints one line of JSON: the milliseconds that its import takes when asyncio is
there already, and the memory that the process holds before the import, after
it, and after a first call on a first channel.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path


def resident_bytes() -> int:
    """What this process holds of memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel says nothing about VmRSS")


async def call_grpcio(port: int) -> None:
    """One call on one channel."""
    grpc_aio = importlib.import_module("grpc.aio")
    async with grpc_aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary("/bench.v1.Echo/Unary")(b"")
        measured["channel_bytes"] = resident_bytes()


async def call_spanwire(port: int) -> None:
    """The same."""
    import spanwire

    async with spanwire.Channel(f"127.0.0.1:{port}") as channel:
        await channel.call(spanwire.Method.unary("/bench.v1.Echo/Unary"), b"")
        measured["channel_bytes"] = resident_bytes()


measured: dict[str, float] = {}


def main() -> None:
    """Measures and prints."""
    library, port = sys.argv[1], int(sys.argv[2])
    measured["bare_bytes"] = resident_bytes()
    began = time.perf_counter()
    importlib.import_module("grpc.aio" if library == "grpcio" else library)
    measured["import_ms"] = (time.perf_counter() - began) * 1000
    measured["import_bytes"] = resident_bytes()
    asyncio.run((call_grpcio if library == "grpcio" else call_spanwire)(port))
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
