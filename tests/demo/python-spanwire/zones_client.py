"""A client of the demo service on Spanwire, on asyncio.

zones_client.py --target=127.0.0.1:PORT --work=FILE

Makes the calls of the work file, one after the other, and prints a report as
JSON: for each method the calls, the messages, the seconds and the answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from generated.zones_pb2 import GetZone, NearZones, Position, Zone
from generated.zones_spanwire import ZonesClient
from spanwire import Channel, RpcError

Answer = tuple[int, Any]
"""Messages of a call, both ways, and its answer."""
Call = Callable[[ZonesClient, Any], Awaitable[Answer]]


def _position(pair: list[float]) -> Position:
    return Position(latitude=pair[0], longitude=pair[1])


def _distance(zone: Zone) -> list[Any]:
    return [zone.name, zone.distance_km]


async def get(zones: ZonesClient, name: str) -> Answer:
    """One unary call."""
    zone = await zones.get(GetZone(name=name))
    distance = zone.distance_km if zone.HasField("distance_km") else None
    place = zone.position
    return 2, [zone.name, list(zone.countries), place.latitude, place.longitude, distance]


async def near(zones: ZonesClient, question: dict[str, Any]) -> Answer:
    """One server-streaming call."""
    request = NearZones(
        position=_position(question["position"]),
        count=question["count"],
        radius_km=question["radius_km"],
    )
    answers = [_distance(zone) async for zone in zones.near(request)]
    return 1 + len(answers), answers


async def journey(zones: ZonesClient, positions: list[list[float]]) -> Answer:
    """One client-streaming call."""
    summary = await zones.journey(_position(pair) for pair in positions)
    return len(positions) + 1, [summary.legs, summary.kilometres, list(summary.zones)]


async def locate(zones: ZonesClient, positions: list[list[float]]) -> Answer:
    """One bidirectional call, a position at a time."""
    answers = []
    async with zones.locate() as call:
        for pair in positions:
            await call.send(_position(pair))
            zone = await call.receive()
            if zone is None:
                raise RuntimeError("the stream ended early")
            answers.append(_distance(zone))
        await call.done_sending()
        if await call.receive() is not None:
            raise RuntimeError("a zone came that nobody asked for")
    return 2 * len(positions), answers


async def report(zones: ZonesClient, work: list[Any], call: Call) -> dict[str, Any]:
    """Makes all calls of one method."""
    messages = 0
    answers = []
    began = time.perf_counter()
    for item in work:
        try:
            count, answer = await call(zones, item)
        except RpcError as error:
            count, answer = 1, {"code": int(error.code)}
        messages += count
        answers.append(answer)
    seconds = time.perf_counter() - began
    return {"calls": len(work), "messages": messages, "seconds": seconds, "answers": answers}


async def main() -> int:
    """Does the work and prints the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--work", type=Path, required=True)
    flags = parser.parse_args()
    work = json.loads(flags.work.read_text())
    async with Channel(flags.target) as channel:
        zones = ZonesClient(channel)
        # Connecting is not what is timed.
        await zones.get(GetZone(name="Europe/Zurich"), wait_for_ready=True)
        calls: dict[str, Call] = {
            "get": get,
            "near": near,
            "journey": journey,
            "locate": locate,
        }
        reports = {name: await report(zones, work[name], call) for name, call in calls.items()}
    print(json.dumps(reports))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
