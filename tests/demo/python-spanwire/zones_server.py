"""The demo service on Spanwire, on asyncio.

zones_server.py --port=PORT [--data=tests/demo/data/zones.tsv]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from generated.zones_pb2 import GetZone, JourneySummary, NearZones, Position, Zone
from generated.zones_spanwire import ZonesBase
from spanwire import Code, Context, RpcError, Server

from atlas import Atlas, Place, ZoneRecord


def _place(position: Position) -> Place:
    place = Place(position.latitude, position.longitude)
    if not place.on_earth:
        raise RpcError(Code.INVALID_ARGUMENT, f"{place} is not on Earth")
    return place


def _zone(zone: ZoneRecord, distance_km: float | None) -> Zone:
    return Zone(
        name=zone.name,
        countries=zone.countries,
        position=Position(latitude=zone.place.latitude, longitude=zone.place.longitude),
        distance_km=distance_km,
    )


class Zones(ZonesBase):
    """Answers from an atlas."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    async def get(self, request: GetZone, context: Context) -> Zone:
        """One zone by its name."""
        zone = self._atlas.by_name.get(request.name)
        if zone is None:
            raise RpcError(Code.NOT_FOUND, f"no zone is called {request.name!r}")
        return _zone(zone, None)

    async def near(self, request: NearZones, context: Context) -> AsyncIterator[Zone]:
        """The zones around a position, nearest first."""
        around = self._atlas.around(_place(request.position))
        for distance, zone in itertools.islice(around, request.count or None):
            if request.radius_km and distance > request.radius_km:
                return
            yield _zone(zone, distance)

    async def journey(self, requests: AsyncIterator[Position], context: Context) -> JourneySummary:
        """Adds up a journey."""
        summary = JourneySummary()
        previous: Place | None = None
        async for position in requests:
            place = _place(position)
            if previous is not None:
                summary.legs += 1
                summary.kilometres += previous.distance_km(place)
            previous = place
            name = self._atlas.nearest(place)[1].name
            if not summary.zones or summary.zones[-1] != name:
                summary.zones.append(name)
        return summary

    async def locate(
        self, requests: AsyncIterator[Position], context: Context
    ) -> AsyncIterator[Zone]:
        """The nearest zone of each position."""
        async for position in requests:
            distance, zone = self._atlas.nearest(_place(position))
            yield _zone(zone, distance)


def main() -> int:
    """Serves on 127.0.0.1 until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, default=Path("tests/demo/data/zones.tsv"))
    flags = parser.parse_args()
    server = Server(Zones(Atlas(flags.data)), address=f"127.0.0.1:{flags.port}")
    asyncio.run(server.run(grace=0.5))
    return 0


if __name__ == "__main__":
    sys.exit(main())
