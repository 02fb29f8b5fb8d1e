"""The scenarios, and what our clients must not do in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

import scenario_plays as plays
from scenario_stage import Stage


@dataclass(frozen=True)
class Scenario:
    """What is done, and what our clients must not do."""

    title: str
    play: Callable[[Stage], plays.Results]
    why: str = ""
    """Why clients differ in it."""
    may_fail: float = 0.0
    """The share of our calls that may fail."""
    statuses: Set[str] = frozenset({"OK", "UNAVAILABLE"})
    """How our calls may end."""
    shows: str = "back"
    """What `back_s` is the time of."""
    most_slow: float = 1.0
    """The largest part of our calls that the slow backend may get."""


ASKED_AT_A_LOSS = (
    "grpc-go and grpcio ask for a name only when a connection is lost, so servers that are added "
    "are found when others go; ours ask again when the TTL is over."
)
LATE = frozenset({"DEADLINE_EXCEEDED"})
SCENARIOS: Mapping[str, Scenario] = {
    "killed": Scenario(
        "one of three is killed, and comes back 1.2 s later",
        plays.killed,
    ),
    "added": Scenario("the name leads to one more", plays.added, ASKED_AT_A_LOSS, shows="found"),
    "slow": Scenario(
        "one of three is 1 s late (`least_request`)",
        plays.slow,
        "grpcio has no least_request, and takes the next policy of the list: round_robin.",
        most_slow=0.25,
    ),
    "erroring": Scenario(
        "one of three answers UNAVAILABLE",
        plays.erroring,
        may_fail=0.05,
    ),
    "ejected": Scenario(
        "the same, with outlier detection",
        plays.ejected,
        "A client without that policy takes the next of the list: round_robin.",
        may_fail=0.05,
        shows="ejected",
    ),
    "drained": Scenario("GOAWAY: one of three drains, no retry policy", plays.drained),
    "flapping": Scenario(
        "the name fails, one is killed, the name leads elsewhere, and is gone",
        plays.flapping,
        "To grpc-go a name that no longer exists (NXDOMAIN) is one without addresses: it leaves "
        "the servers that it has. Others keep them.",
        shows="found",
    ),
    "all_down": Scenario(
        "both are down for 2 s, no retry policy",
        plays.all_down,
        may_fail=1.0,
    ),
    "all_down_waiting": Scenario(
        "both are down for 2 s, calls wait for readiness", plays.all_down_waiting
    ),
    "nobody": Scenario(
        "nothing listens, calls wait for readiness for 0.5 s",
        plays.nobody,
        may_fail=1.0,
        statuses=LATE,
    ),
    "silent": Scenario(
        "what listens is silent, calls have 0.5 s", plays.silent, may_fail=1.0, statuses=LATE
    ),
}
