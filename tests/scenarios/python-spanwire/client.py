"""The client of the scenarios on Spanwire's asyncio API.

Calls at a steady rate until its standard input ends, and prints what came of each call, a line of
JSON each. The settings are the one argument, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "target/interop/python-spanwire"))

import spanwire
from generated.grpc.testing import messages_pb2 as pb
from generated.grpc.testing.test_spanwire import TestServiceClient

REQUEST = pb.SimpleRequest(fill_server_id=True)


def say(line: dict[str, Any]) -> None:
    """One line, at once."""
    print(json.dumps(line), flush=True)


async def call(client: TestServiceClient, settings: dict[str, Any]) -> None:
    """One call, told when it is over."""
    start = time.time() * 1000
    made = client.unary_call(
        REQUEST, timeout=settings["timeout_ms"] / 1000, wait_for_ready=settings["wait_for_ready"]
    )
    try:
        status, backend = "OK", (await made).server_id
    except spanwire.RpcError as error:
        status, backend = error.code.name, ""
    end = time.time() * 1000
    told = {"start": start, "end": end, "status": status, "backend": backend}
    say({**told, "attempts": made.attempts})


async def main() -> None:
    """Starts calls on time, whatever became of those before, and waits for the last."""
    settings = json.loads(sys.argv[1])
    try:
        channel = spanwire.Channel(
            settings["target"],
            service_config=settings["service_config"],
            name_ttl=settings["name_ttl_ms"] / 1000,
        )
    except ValueError as error:
        say({"error": str(error)})
        return
    stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    async with channel, asyncio.TaskGroup() as calls:
        client = TestServiceClient(channel)
        while not stop.done():
            calls.create_task(call(client, settings))
            await asyncio.wait([stop], timeout=1 / settings["calls_per_second"])


asyncio.run(main())
