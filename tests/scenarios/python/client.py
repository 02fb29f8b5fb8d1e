"""The client of the scenarios on grpcio's asyncio API.

Calls at a steady rate until its standard input ends, and prints what came of each call, a line of
JSON each. The settings are the one argument, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import grpc
from interop_pb import messages_pb2, test_pb2_grpc

REQUEST = messages_pb2.SimpleRequest(fill_server_id=True)


def say(line: dict[str, Any]) -> None:
    """One line, at once."""
    print(json.dumps(line), flush=True)


async def call(stub: Any, settings: dict[str, Any]) -> None:
    """One call, told when it is over."""
    start = time.time() * 1000
    try:
        made = stub.UnaryCall(
            REQUEST,
            timeout=settings["timeout_ms"] / 1000,
            wait_for_ready=settings["wait_for_ready"],
        )
        status, backend = "OK", (await made).server_id
    except grpc.aio.AioRpcError as error:
        status, backend = error.code().name, ""
        # A channel that cannot be made is told by its calls.
        said = error.details() or ""
        if "service config" in said or error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            say({"error": said})
    say({"start": start, "end": time.time() * 1000, "status": status, "backend": backend})


async def main() -> None:
    """Starts calls on time, whatever became of those before, and waits for the last."""
    settings = json.loads(sys.argv[1])
    options = [
        ("grpc.service_config", settings["service_config"]),
        # It asks for a name only when a connection is lost, and then not more often than this.
        ("grpc.dns_min_time_between_resolutions_ms", settings["name_ttl_ms"]),
    ]
    stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    async with grpc.aio.insecure_channel(settings["target"], options=options) as channel:
        stub = test_pb2_grpc.TestServiceStub(channel)
        async with asyncio.TaskGroup() as calls:
            while not stop.done():
                calls.create_task(call(stub, settings))
                await asyncio.wait([stop], timeout=1 / settings["calls_per_second"])


asyncio.run(main())
