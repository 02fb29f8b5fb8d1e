"""A grpcio client of the demo service.

zones_client.py --target=127.0.0.1:PORT --work=FILE

Makes the calls of the work file, one after the other, and prints a report as
JSON: for each method the calls, the messages, the seconds and the answers.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import zones_pb2
import zones_pb2_grpc

Answer = tuple[int, Any]
"""Messages of a call, both ways, and its answer."""


def _position(pair: list[float]) -> Any:
    return zones_pb2.Position(latitude=pair[0], longitude=pair[1])


def _distance(zone: Any) -> list[Any]:
    return [zone.name, zone.distance_km]


def get(stub: Any, name: str) -> Answer:
    """One unary call."""
    zone = stub.Get(zones_pb2.GetZone(name=name))
    distance = zone.distance_km if zone.HasField("distance_km") else None
    place = zone.position
    return 2, [zone.name, list(zone.countries), place.latitude, place.longitude, distance]


def near(stub: Any, question: dict[str, Any]) -> Answer:
    """One server-streaming call."""
    request = zones_pb2.NearZones(
        position=_position(question["position"]),
        count=question["count"],
        radius_km=question["radius_km"],
    )
    answers = [_distance(zone) for zone in stub.Near(request)]
    return 1 + len(answers), answers


def journey(stub: Any, positions: list[list[float]]) -> Answer:
    """One client-streaming call."""
    summary = stub.Journey(_position(pair) for pair in positions)
    return len(positions) + 1, [summary.legs, summary.kilometres, list(summary.zones)]


def locate(stub: Any, positions: list[list[float]]) -> Answer:
    """One bidirectional call, a position at a time."""
    waiting: queue.Queue[Any] = queue.Queue()
    requests: Iterator[Any] = iter(waiting.get, None)
    zones = stub.Locate(requests)
    answers = []
    try:
        for pair in positions:
            waiting.put(_position(pair))
            answers.append(_distance(next(zones)))
    finally:
        waiting.put(None)
    if list(zones):
        raise RuntimeError("a zone came that nobody asked for")
    return 2 * len(positions), answers


def report(stub: Any, work: list[Any], call: Callable[[Any, Any], Answer]) -> dict[str, Any]:
    """Makes all calls of one method."""
    messages = 0
    answers = []
    began = time.perf_counter()
    for item in work:
        try:
            count, answer = call(stub, item)
        except grpc.RpcError as error:
            count, answer = 1, {"code": error.code().value[0]}
        messages += count
        answers.append(answer)
    seconds = time.perf_counter() - began
    return {"calls": len(work), "messages": messages, "seconds": seconds, "answers": answers}


def main() -> int:
    """Does the work and prints the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--work", type=Path, required=True)
    flags = parser.parse_args()
    work = json.loads(flags.work.read_text())
    with grpc.insecure_channel(flags.target) as channel:
        stub = zones_pb2_grpc.ZonesStub(channel)
        # Connecting is not what is timed.
        stub.Get(zones_pb2.GetZone(name="Europe/Zurich"), wait_for_ready=True)
        calls = {"get": get, "near": near, "journey": journey, "locate": locate}
        print(json.dumps({name: report(stub, work[name], call) for name, call in calls.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
