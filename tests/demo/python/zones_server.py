"""The demo service on grpcio.

zones_server.py --port=PORT [--data=tests/demo/data/zones.tsv]
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import zones_pb2
import zones_pb2_grpc

from atlas import Atlas, Place, ZoneRecord


def _place(position: Any, context: grpc.ServicerContext) -> Place:
    place = Place(position.latitude, position.longitude)
    if not place.on_earth:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{place} is not on Earth")
    return place


def _zone(zone: ZoneRecord, distance_km: float | None) -> Any:
    return zones_pb2.Zone(
        name=zone.name,
        countries=zone.countries,
        position=zones_pb2.Position(latitude=zone.place.latitude, longitude=zone.place.longitude),
        distance_km=distance_km,
    )


class Zones(zones_pb2_grpc.ZonesServicer):  # type: ignore[misc]
    """Answers from an atlas."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    def Get(self, request: Any, context: grpc.ServicerContext) -> Any:
        """One zone by its name."""
        zone = self._atlas.by_name.get(request.name)
        if zone is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no zone is called {request.name!r}")
        return _zone(zone, None)

    def Near(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """The zones around a position, nearest first."""
        around = self._atlas.around(_place(request.position, context))
        for distance, zone in itertools.islice(around, request.count or None):
            if request.radius_km and distance > request.radius_km:
                return
            yield _zone(zone, distance)

    def Journey(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """Adds up a journey."""
        summary = zones_pb2.JourneySummary()
        previous: Place | None = None
        for position in requests:
            place = _place(position, context)
            if previous is not None:
                summary.legs += 1
                summary.kilometres += previous.distance_km(place)
            previous = place
            name = self._atlas.nearest(place)[1].name
            if not summary.zones or summary.zones[-1] != name:
                summary.zones.append(name)
        return summary

    def Locate(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """The nearest zone of each position."""
        for position in requests:
            distance, zone = self._atlas.nearest(_place(position, context))
            yield _zone(zone, distance)


def main() -> int:
    """Serves on 127.0.0.1 until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, default=Path("tests/demo/data/zones.tsv"))
    flags = parser.parse_args()

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    zones_pb2_grpc.add_ZonesServicer_to_server(Zones(Atlas(flags.data)), server)
    server.add_insecure_port(f"127.0.0.1:{flags.port}")
    server.start()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop(grace=0.5).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
