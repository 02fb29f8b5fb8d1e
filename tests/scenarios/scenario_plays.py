"""What is done to backends and names while clients call, one function for each scenario."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from scenario_dns import NO_SUCH_NAME, SERVER_FAILURE
from scenario_judge import Measured, measure, share_after, success_after
from scenario_stage import PORT, Client, Stage, now_ms

Results = dict[str, Measured]
RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
ROUND_ROBIN: list[dict[str, Any]] = [{"round_robin": {}}]
LEAST_REQUEST: list[dict[str, Any]] = [
    {"least_request": {"choiceCount": 2}},
    {"least_request_experimental": {"choiceCount": 2}},
    *ROUND_ROBIN,
]
_OUTLIERS = {
    "interval": "0.5s",
    "baseEjectionTime": "60s",
    "maxEjectionPercent": 50,
    "failurePercentageEjection": {
        "threshold": 50,
        "minimumHosts": 3,
        "requestVolume": 3,
        "enforcementPercentage": 100,
    },
    "childPolicy": ROUND_ROBIN,
}
OUTLIER_DETECTION: list[dict[str, Any]] = [
    {"outlier_detection": _OUTLIERS},
    {"outlier_detection_experimental": _OUTLIERS},
    *ROUND_ROBIN,
]
"""Of each list a client takes the first policy that it knows."""


def config(balancing: list[dict[str, Any]], retries: bool = True) -> str:
    """A service config."""
    method = {"name": [{}], **({"retryPolicy": RETRY} if retries else {})}
    return json.dumps({"loadBalancingConfig": balancing, "methodConfig": [method]})


def _finish(
    stage: Stage,
    back: Callable[[Client], float | None] | None = None,
    since: float = 0.0,
    note: Callable[[Client], str] | None = None,
) -> Results:
    """Waits for what the scenario waits for, and judges every client."""
    waited: float | None = None
    if back:
        stage.wait(lambda client: back(client) is not None)
        waited = (now_ms() - since) / 1000
    stage.stop()
    return {
        name: measure(
            client.calls,
            back(client) if back else None,
            waited,
            [note(client)] if note else [],
        )
        for name, client in stage.clients.items()
    }


def _share(backend: str, since: float, fair: float) -> Callable[[Client], float | None]:
    return lambda client: share_after(client.calls, backend, since, fair)


def killed(stage: Stage) -> Results:
    """One of three is killed under calls, and comes back."""
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2", "b3")
    stage.call(config(ROUND_ROBIN))
    stage.warm_up()
    # So that some calls are under way when it ends.
    stage.backends["b1"].tell("delay 100")
    stage.go_on(30)
    stage.kill("b1")
    stage.go_on(60)
    since = stage.start("b1")
    return _finish(stage, _share("b1", since, 1 / 3), since)


def added(stage: Stage) -> Results:
    """The name leads to one more, and none is lost."""
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2")
    stage.call(config(ROUND_ROBIN))
    stage.warm_up()
    since = stage.lead_to("b1", "b2", "b3")
    return _finish(stage, _share("b3", since, 1 / 3), since)


def slow(stage: Stage) -> Results:
    """One of three answers a second late."""
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2", "b3")
    stage.call(config(LEAST_REQUEST))
    stage.warm_up()
    stage.backends["b1"].tell("delay 1000")
    since = now_ms()
    stage.go_on(120)

    results = _finish(stage)
    for name, client in stage.clients.items():
        later = [call.backend for call in client.calls if call.start >= since]
        results[name] = replace(results[name], slow=later.count("b1") / len(later))
    return results


def erroring(stage: Stage) -> Results:
    """One of three answers UNAVAILABLE, always."""
    return _erroring(stage, ROUND_ROBIN, None)


def ejected(stage: Stage) -> Results:
    """The same with outlier detection."""
    return _erroring(stage, OUTLIER_DETECTION, stage.limit_seconds)


def _erroring(stage: Stage, balancing: list[dict[str, Any]], limit: float | None) -> Results:
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2", "b3")
    stage.call(config(balancing))
    stage.warm_up()
    failing = stage.backends["b1"]
    failing.tell("fail")
    since = now_ms()
    if limit is None:
        stage.go_on(120)
        return _finish(stage)
    # Over when nobody has sent it anything for a while.
    quiet: float | None = None
    while quiet is None and now_ms() < since + limit * 1000:
        before, moment = failing.count(), now_ms()
        stage.go_on(40)
        if failing.count() == before:
            quiet = (moment - since) / 1000
    return _finish(stage, lambda _: quiet, since)


def drained(stage: Stage) -> Results:
    """One of three drains (GOAWAY) with calls under way; there is no retry policy."""
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2", "b3")
    stage.call(config(ROUND_ROBIN, retries=False))
    stage.warm_up()
    stage.backends["b1"].tell("delay 200")
    stage.go_on(20)
    stage.backends["b1"].tell("drain")
    stage.go_on(80)
    return _finish(stage)


def flapping(stage: Stage) -> Results:
    """The name fails, a backend is lost, the name leads elsewhere, and is gone again."""
    stage.start("b1", "b2", "b3")
    stage.lead_to("b1", "b2")
    stage.call(config(ROUND_ROBIN))
    stage.warm_up()
    stage.names.addresses = SERVER_FAILURE
    stage.go_on(50)
    stage.kill("b1")
    stage.go_on(50)
    since = stage.lead_to("b2", "b3")
    back = _share("b3", since, 1 / 2)
    stage.wait(lambda client: back(client) is not None)
    stage.names.addresses = NO_SUCH_NAME
    stage.go_on(50)
    return _finish(stage, back, since)


def all_down(stage: Stage) -> Results:
    """Both backends are down for two seconds; calls fail at once."""
    return _all_down(stage, wait_for_ready=False)


def all_down_waiting(stage: Stage) -> Results:
    """The same, with calls that wait for readiness."""
    return _all_down(stage, wait_for_ready=True)


def _all_down(stage: Stage, wait_for_ready: bool) -> Results:
    stage.start("b1", "b2")
    stage.lead_to("b1", "b2")
    stage.call(
        config(ROUND_ROBIN, retries=wait_for_ready),
        wait_for_ready=wait_for_ready,
        timeout_ms=40_000,
    )
    stage.warm_up()
    stage.kill("b1", "b2")
    # Nothing happens that could be waited for: calls that wait for readiness do not end.
    time.sleep(2)
    since = stage.start("b1", "b2")
    return _finish(stage, lambda client: success_after(client.calls, since), since)


def nobody(stage: Stage) -> Results:
    """Nothing listens; calls wait for readiness, for half a second."""
    return _deadline(stage, f"dns:///127.0.1.9:{PORT}", wait_for_ready=True)


def silent(stage: Stage) -> Results:
    """What listens says nothing; calls have half a second."""
    with _mute() as target:
        return _deadline(stage, target, wait_for_ready=False)


@contextlib.contextmanager
def _mute() -> Iterator[str]:
    with socket.create_server(("127.0.1.9", PORT)):
        yield f"dns:///127.0.1.9:{PORT}"


DEADLINE_MS = 500


def _deadline(stage: Stage, target: str, wait_for_ready: bool) -> Results:
    stage.call(
        config(ROUND_ROBIN, retries=False),
        target=target,
        timeout_ms=DEADLINE_MS,
        wait_for_ready=wait_for_ready,
        calls_per_second=20,
    )
    stage.go_on(30)

    def note(client: Client) -> str:
        lasted = sorted(call.end - call.start for call in client.calls)
        return f"{statistics.median(lasted) / 1000:.2f} s, at most {lasted[-1] / 1000:.2f} s"

    return _finish(stage, note=note)
