"""Backends that restart under load: no idempotent call may fail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness import setup
from scenario_dns import NameServer
from scenario_judge import Call, measure, share_after
from scenario_plays import ROUND_ROBIN, config
from scenario_programs import Program
from scenario_stage import Stage, staged

CALLS_PER_SECOND = 300
RESTART_EVERY_SECONDS = 5.0
TTL_SECONDS = 2.0
ANSWER = "delay 20"
"""So that some calls are under way whenever a backend ends."""
SLACK_SECONDS = 10.0
"""For a machine that is busy with other things."""


@dataclass(frozen=True)
class Load:
    """What came of a run."""

    seconds: float
    restarts: int
    calls: int
    failed: int
    statuses: dict[str, int]
    again: int
    """Calls that took more than one attempt."""
    gap_s: float
    slowest_s: float
    ttl_s: float
    added_s: float | None
    """Until the one that was added had its share."""
    added_share: float
    """Of the calls after that."""

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        numbers = asdict(self)
        return {key: round(it, 3) if isinstance(it, float) else it for key, it in numbers.items()}

    def say(self) -> int:
        """Prints it; gives the exit code."""
        setup.say(f"load: {self.as_json()}")
        late = self.added_s is None or self.added_s > self.ttl_s + SLACK_SECONDS
        if self.failed:
            setup.say(f"FAIL {self.failed} of {self.calls} calls failed: {self.statuses}")
        if late:
            setup.say("FAIL the backend that was added did not get its share")
        return 1 if self.failed or late else 0


def _restart_on_time(stage: Stage, seconds: float) -> tuple[int, float]:
    """Restarts one after the other, adds one in the middle; how many, and when it was added."""
    began, restarts, added = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - began) < seconds:
        if not added and passed >= seconds / 2:
            stage.start("b4")
            stage.backends["b4"].tell(ANSWER)
            added = stage.lead_to("b1", "b2", "b3", "b4")
        if passed >= (restarts + 1) * RESTART_EVERY_SECONDS:
            name = f"b{restarts % 3 + 1}"
            stage.kill(name)
            stage.start(name)
            stage.backends[name].tell(ANSWER)
            restarts += 1
        time.sleep(0.05)
    return restarts, added


def run(names: NameServer, program: Program, seconds: float) -> Load:
    """Loads three backends for so long."""
    with staged(names, [program], 0) as stage:
        stage.start("b1", "b2", "b3")
        stage.lead_to("b1", "b2", "b3")
        stage.call(
            config(ROUND_ROBIN),
            calls_per_second=CALLS_PER_SECOND,
            name_ttl_ms=round(TTL_SECONDS * 1000),
        )
        stage.warm_up()
        for backend in stage.backends.values():
            backend.tell(ANSWER)
        restarts, added = _restart_on_time(stage, seconds)
        stage.stop()
        calls = stage.clients[program.name].calls
    return _judge(calls, seconds, restarts, added)


def _judge(calls: Sequence[Call], seconds: float, restarts: int, added: float) -> Load:
    found = measure(calls)
    added_s = share_after(calls, "b4", added, 1 / 4)
    since = added + (added_s or 0) * 1000
    later = [call for call in calls if call.start >= since]
    return Load(
        seconds=seconds,
        restarts=restarts,
        calls=found.calls,
        failed=found.failed,
        statuses=found.statuses,
        again=sum((call.attempts or 1) > 1 for call in calls),
        gap_s=found.gap_s,
        slowest_s=max(call.end - call.start for call in calls) / 1000,
        ttl_s=TTL_SECONDS,
        added_s=added_s,
        added_share=sum(call.backend == "b4" for call in later) / max(1, len(later)),
    )
