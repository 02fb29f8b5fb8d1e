"""Time zones and where they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

EARTH_RADIUS_KM = 6371.0088


@dataclass(frozen=True)
class Place:
    """A point, in degrees north and east; check `on_earth` before use."""

    latitude: float
    longitude: float

    @property
    def on_earth(self) -> bool:
        """Whether there is such a point."""
        return abs(self.latitude) <= 90 and abs(self.longitude) <= 180

    def distance_km(self, other: Place) -> float:
        """Kilometres along a great circle, by the haversine formula."""
        start, end = math.radians(self.latitude), math.radians(other.latitude)
        half_turn = math.sin(math.radians(other.longitude - self.longitude) / 2)
        half_climb = math.sin((end - start) / 2)
        square = half_climb**2 + math.cos(start) * math.cos(end) * half_turn**2
        # Rounding may lift the antipode a little above 1.
        return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(square)))


@dataclass(frozen=True)
class ZoneRecord:
    """A zone and its principal location."""

    name: str
    countries: tuple[str, ...]
    place: Place


class Atlas:
    """All zones of zones.tsv, in the order of their names."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
        zones = [
            ZoneRecord(name, tuple(countries.split(",")), Place(float(latitude), float(longitude)))
            for name, countries, latitude, longitude in rows
        ]
        self.zones = sorted(zones, key=lambda zone: zone.name)
        self.by_name = {zone.name: zone for zone in self.zones}

    def around(self, place: Place) -> list[tuple[float, ZoneRecord]]:
        """All zones with their distances, nearest first, equally near ones by name."""
        found = [(place.distance_km(zone.place), zone) for zone in self.zones]
        return sorted(found, key=lambda pair: pair[0])

    def nearest(self, place: Place) -> tuple[float, ZoneRecord]:
        """The first of `around`."""
        return min(
            ((place.distance_km(zone.place), zone) for zone in self.zones), key=lambda pair: pair[0]
        )
