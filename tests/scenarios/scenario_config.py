"""Service configs with a mistake: what each client says about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from scenario_dns import NameServer
from scenario_plays import RETRY, ROUND_ROBIN
from scenario_programs import Program
from scenario_stage import staged

ANSWER_LIMIT_SECONDS = 15.0

Told = dict[str, dict[str, str]]


def _method(**policy: Any) -> str:
    method = {"name": [{}], "retryPolicy": {**RETRY, **policy}}
    return json.dumps({"loadBalancingConfig": ROUND_ROBIN, "methodConfig": [method]})


MISTAKES: Mapping[str, tuple[str, str]] = {
    "`maxAttempts` is 1": (_method(maxAttempts=1), "methodConfig[0].retryPolicy.maxAttempts"),
    '`initialBackoff` is "fast"': (
        _method(initialBackoff="fast"),
        "methodConfig[0].retryPolicy.initialBackoff",
    ),
    "no known policy": (
        json.dumps({"loadBalancingConfig": [{"lottery": {}}]}),
        "loadBalancingConfig",
    ),
    "no JSON": ("{", ""),
}
"""Each with the place that our clients must name."""


def ask(names: NameServer, programs: Sequence[Program]) -> Told:
    """Gives every client every mistake; gives what each says."""
    told: Told = {}
    for title, (config, _) in MISTAKES.items():
        for program in programs:
            with staged(names, [program], ANSWER_LIMIT_SECONDS) as stage:
                stage.start("b1")
                stage.lead_to("b1")
                stage.call(config)
                client = stage.clients[program.name]
                stage.wait(lambda client: client.error is not None or bool(client.calls))
                said = client.error or f"(nothing: calls end with {client.calls[0].status})"
                told.setdefault(title, {})[program.name] = said
    return told


def wrong(told: Told, programs: Sequence[Program]) -> list[str]:
    """Which of our clients do not name the place."""
    return [
        f"{title}: {program.name} does not name {place!r}: {told[title][program.name]}"
        for title, (_, place) in MISTAKES.items()
        for program in programs
        if program.ours and place not in told[title][program.name]
    ]
