"""The calls that every client of the demo makes, and how its answers are judged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

Answers = dict[str, list[Any]]

METHODS = {
    "get": ("Get", "unary"),
    "near": ("Near", "server streaming"),
    "journey": ("Journey", "client streaming"),
    "locate": ("Locate", "bidirectional"),
}
"""Method by its name in work and reports: as the proto calls it, and its kind."""

NOT_FOUND, INVALID_ARGUMENT = 5, 3
NOT_ON_EARTH = [91.0, 0.0]


def _spiral(count: int) -> list[list[float]]:
    """Positions spread evenly over the Earth."""
    turn = 180 * (3 - math.sqrt(5))
    return [
        [
            round(math.degrees(math.asin(1 - (2 * index + 1) / count)), 4),
            round((index * turn + 180) % 360 - 180, 4),
        ]
        for index in range(count)
    ]


def make(data: Path) -> dict[str, Any]:
    """The work: the last call of each method is one that must fail."""
    lines = data.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    names = [row[0] for row in rows]
    cities = [[float(row[2]), float(row[3])] for row in rows]
    near = [
        {"position": position, "count": 20, "radius_km": 0.0 if index % 2 else 3000.0}
        for index, position in enumerate(_spiral(60))
    ]
    return {
        "get": [*names, "Atlantis/Nowhere"],
        "near": [*near, {"position": NOT_ON_EARTH, "count": 1, "radius_km": 0.0}],
        "journey": [
            *(cities[start :: len(cities) // 40][:40] for start in range(40)),
            [*cities[:3], NOT_ON_EARTH],
        ],
        "locate": [*(_spiral(count) for count in range(20, 60, 2)), [NOT_ON_EARTH]],
    }


def plain_mistakes(work: dict[str, Any], answers: Answers) -> list[str]:
    """What can be seen to be wrong without another implementation."""
    mistakes = []
    for name, items in work.items():
        if len(answers[name]) != len(items):
            mistakes.append(f"{name}: {len(answers[name])} answers to {len(items)} calls")
            continue
        code = NOT_FOUND if name == "get" else INVALID_ARGUMENT
        if answers[name][-1] != {"code": code}:
            mistakes.append(f"{name}: the bad call got {answers[name][-1]}, not code {code}")
        failed = sum(isinstance(answer, dict) for answer in answers[name][:-1])
        if failed:
            mistakes.append(f"{name}: {failed} good calls failed")
    for name, answer in zip(work["get"], answers["get"], strict=False):
        if isinstance(answer, list) and answer[0] != name:
            mistakes.append(f"get: asked for {name}, got {answer[0]}")
    return mistakes


def difference(one: Any, other: Any, where: str) -> str | None:
    """The first difference of two answers; distances may differ in the last digits.

    Sines come from another library in each language.
    """
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (
            None
            if math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
            else _differ(one, other, where)
        )
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        found = (difference(mine, yours, f"{where}[{index}]") for index, (mine, yours) in pairs)
        return next((each for each in found if each), None)
    return None if one == other else _differ(one, other, where)


def _differ(one: Any, other: Any, where: str) -> str:
    return f"{where}: {one!r} and {other!r}"
