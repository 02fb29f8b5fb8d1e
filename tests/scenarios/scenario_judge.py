"""What the calls of a client say about it: pure functions of what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

WINDOW = 24
"""A backend has its share when it answered half of it in so many calls, one after the other."""


@dataclass(frozen=True)
class Call:
    """One call; times are milliseconds since the epoch."""

    start: float
    end: float
    status: str
    backend: str = ""
    attempts: int | None = None
    """None where the client does not tell."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == "OK"


@dataclass(frozen=True)
class Measured:
    """What came of a scenario with one client."""

    calls: int
    failed: int
    statuses: dict[str, int]
    gap_s: float
    """The longest time in which no call succeeded."""
    back_s: float | None = None
    """How long it took until what the scenario waits for had happened; None is never."""
    waited_s: float | None = None
    """How long that was waited for; None if the scenario waits for nothing."""
    slow: float | None = None
    """The part of the calls that a slow backend got."""
    notes: list[str] = field(default_factory=list)
    """What else there is to say."""

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        numbers = asdict(self)
        return {key: round(it, 3) if isinstance(it, float) else it for key, it in numbers.items()}


def failed(calls: Sequence[Call]) -> int:
    """How many calls did not succeed."""
    return sum(not call.ok for call in calls)


def longest_gap(calls: Sequence[Call]) -> float:
    """The longest time without a success, in seconds, from the first start to the last end."""
    if not calls:
        return 0.0
    first, last = min(call.start for call in calls), max(call.end for call in calls)
    moments = [first, *sorted(call.end for call in calls if call.ok), last]
    return max(after - before for before, after in pairwise(moments)) / 1000


def share_after(calls: Sequence[Call], backend: str, since: float, fair: float) -> float | None:
    """Seconds from `since` until the backend had its share of the calls; None if never.

    `fair` is the share that is due to it, of 1.
    """
    later = sorted((call for call in calls if call.ok and call.start >= since), key=_end)
    for first in range(len(later) - WINDOW + 1):
        window = later[first : first + WINDOW]
        mine = [call for call in window if call.backend == backend]
        if len(mine) >= WINDOW * fair / 2:
            return (mine[0].end - since) / 1000
    return None


def success_after(calls: Sequence[Call], since: float) -> float | None:
    """Seconds from `since` until a call succeeded; None if none did."""
    ends = [call.end for call in calls if call.ok and call.end >= since]
    return (min(ends) - since) / 1000 if ends else None


def measure(
    calls: Sequence[Call],
    back_s: float | None = None,
    waited_s: float | None = None,
    notes: Sequence[str] = (),
) -> Measured:
    """All numbers of one client."""
    return Measured(
        calls=len(calls),
        failed=failed(calls),
        statuses=dict(sorted(Counter(call.status for call in calls).items())),
        gap_s=longest_gap(calls),
        back_s=back_s,
        waited_s=waited_s,
        notes=list(notes),
    )


def _end(call: Call) -> float:
    return call.end
