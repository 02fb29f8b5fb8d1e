"""The results as JSON, and as the part of docs/channel.md that is generated."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from harness import setup
from harness.paths import ROOT, shown
from scenario_list import SCENARIOS, Scenario

DOCS = ROOT / "docs" / "channel.md"
RESULTS = ROOT / "tests" / "scenarios" / "results"
BEGIN = "<!-- Written by `tests/scenarios/run.py --write-docs`; do not edit by hand. -->"
WIDTH = 120
END = "<!-- The end of what is written. -->"

Numbers = dict[str, Any]
"""Those of a client in a scenario, as JSON."""
Results = dict[str, dict[str, Numbers]]


def cell(scenario: Scenario, found: Numbers) -> str:
    """What a client did, in few words."""
    parts = [_failures(found)]
    # Where every call is to fail, the time without success is that of the scenario.
    if "OK" in found["statuses"]:
        parts.append(f"gap {found['gap_s']:.2f} s")
    if found["waited_s"] is not None:
        back = found["back_s"]
        parts.append(
            f"not {scenario.shows} in {found['waited_s']:.0f} s"
            if back is None
            else f"{scenario.shows} {back:.1f} s"
        )
    if found["slow"] is not None:
        parts.append(f"{found['slow']:.0%} slow")
    return "; ".join([*parts, *found["notes"]])


def _failures(found: Numbers) -> str:
    others = {code: count for code, count in found["statuses"].items() if code != "OK"}
    if len(others) == 1 and "OK" not in found["statuses"]:
        return f"all {next(iter(others))}"
    return f"{found['failed']} of {found['calls']} failed"


def differences(results: Results) -> list[str]:
    """A line for every scenario in which a client did otherwise than the rest."""
    lines = []
    for key, by_client in results.items():
        scenario = SCENARIOS[key]
        groups: dict[str, list[str]] = {}
        for client, found in by_client.items():
            groups.setdefault(_outcome(scenario, found), []).append(client)
        if len(groups) > 1:
            told = "; ".join(f"{', '.join(clients)} – {what}" for what, clients in groups.items())
            line = f"- {scenario.title}: {told}. {scenario.why}".rstrip()
            lines.append(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    return lines


def _outcome(scenario: Scenario, found: Numbers) -> str:
    """What is worth a line if others did otherwise."""
    parts = []
    if scenario.may_fail == 1:
        parts.append(" and ".join(code for code in found["statuses"] if code != "OK"))
    elif found["failed"] > found["calls"] * scenario.may_fail:
        parts.append("calls failed")
    if found["waited_s"] is not None:
        parts.append(f"not {scenario.shows}" if found["back_s"] is None else scenario.shows)
    if found["slow"] is not None:
        much = found["slow"] > scenario.most_slow
        parts.append("the slow one gets its full share" if much else "the slow one gets less")
    return ", ".join(parts) or "no call failed"


def page(kept: dict[str, Any]) -> str:
    """What stands between the marks."""
    clients = list(next(iter(kept["scenarios"].values())))
    versions = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    rows = [
        f"| {SCENARIOS[key].title} | "
        + " | ".join(cell(SCENARIOS[key], by_client[client]) for client in clients)
        + " |"
        for key, by_client in kept["scenarios"].items()
    ]
    messages = [
        f"- {title}\n" + "\n".join(f"  - {client}: {_code(text)}" for client, text in told.items())
        for title, told in kept["config_errors"].items()
    ]
    parts = [
        BEGIN,
        f"Beside ours: {versions}.",
        "\n".join(
            [f"| scenario | {' | '.join(clients)} |", "|---" * (len(clients) + 1) + "|", *rows]
        ),
        "Where clients differ:",
        "\n".join(differences(kept["scenarios"])),
        "What is said of a service config with a mistake:",
        "\n".join(messages),
        *([_load(kept["load"])] if kept.get("load") else []),
        END,
    ]
    return "\n\n".join(parts)


def _code(text: str) -> str:
    return text if text.startswith("(") else f"`{' '.join(text.split())}`"


LOAD_COLUMNS: dict[str, Callable[[Numbers], Any]] = {
    "seconds": lambda run: f"{run['seconds']:.0f}",
    "restarts": lambda run: run["restarts"],
    "calls": lambda run: run["calls"],
    "failed": lambda run: run["failed"],
    "made again": lambda run: run["again"],
    "longest gap": lambda run: f"{run['gap_s']:.2f} s",
    "slowest call": lambda run: f"{run['slowest_s']:.2f} s",
    "TTL": lambda run: f"{run['ttl_s']:.0f} s",
    "the added one has its share after": lambda run: f"{run['added_s']:.2f} s",
    "its part of the calls then": lambda run: f"{run['added_share']:.0%}",
}


def _load(runs: list[Numbers]) -> str:
    title = (
        "Three backends under load from our Rust client, with the retry policy: one is killed and\n"
        "started again every 5 s, in turn, and a fourth is added by the name in the middle."
    )
    rows = [[str(show(run)) for show in LOAD_COLUMNS.values()] for run in runs]
    lines = [" | ".join(row) for row in [list(LOAD_COLUMNS), *rows]]
    table = [f"| {line} |" for line in lines]
    return f"{title}\n\n" + "\n".join([table[0], "|--:" * len(LOAD_COLUMNS) + "|", *table[1:]])


def newest() -> Path:
    """The file of the last results that were kept."""
    return max(RESULTS.glob("*.json"))


def write(kept: dict[str, Any]) -> None:
    """Keeps results, and writes the page."""
    RESULTS.mkdir(exist_ok=True)
    if loads := [
        json.loads(path.read_text()).get("load") for path in sorted(RESULTS.glob("*.json"))
    ]:
        kept = {**kept, "load": loads[-1]}
    path = RESULTS / f"{date.today().isoformat()}.json"
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    _write_page()


def add_load(run: Numbers) -> None:
    """Keeps a run under load with the newest results, of which the last two are shown."""
    path = newest()
    kept = json.loads(path.read_text())
    kept["load"] = [*(kept.get("load") or []), run][-2:]
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    _write_page()


def _with_page() -> str:
    text = DOCS.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + page(json.loads(newest().read_text())) + after


def _write_page() -> None:
    DOCS.write_text(_with_page())
    setup.say(f"wrote {shown(DOCS)}")


def check() -> int:
    """The exit code: 1 if the page is not that of the newest results."""
    if DOCS.read_text() == _with_page():
        return 0
    setup.say(f"FAIL {shown(DOCS)} is stale: run tests/scenarios/run.py --write-docs")
    return 1
