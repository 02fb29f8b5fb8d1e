"""The outcomes, kept as JSON, and the tables of docs/security.md that show them."""

from __future__ import annotations

import json
from typing import Any

from attack_programs import ATTACK
from harness import setup
from harness.paths import ROOT, shown

RESULTS = ATTACK / "results.json"
DOCS = ROOT / "docs" / "security.md"
BEGIN = "<!-- attacks: begin -->"
END = "<!-- attacks: end -->"

Outcomes = dict[str, Any]


def _cell(attack: Outcomes) -> str:
    if attack["wrong"]:
        return "**" + "; ".join(attack["wrong"]) + "**"
    memory = f"{attack['peak_mb']} / {attack['kept_mb']} MB"
    return f"{memory}; {attack['calm_p99_ms']} → {attack['p99_ms']} ms"


def _by_name(outcomes: Outcomes, part: str) -> dict[str, Outcomes]:
    return {one["name"]: one for one in outcomes[part]}


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def page(kept: dict[str, Outcomes]) -> str:
    """The tables, with their marks."""
    languages = list(kept)
    attacks = {language: _by_name(kept[language], "attacks") for language in languages}
    honest = {language: _by_name(kept[language], "honest") for language in languages}
    first = attacks[languages[0]]
    rows = [["attack", "the server", *languages]]
    rows += [
        [f"`{name}`", one["answer"], *(_cell(attacks[language][name]) for language in languages)]
        for name, one in first.items()
    ]
    passes = [["honest traffic", *languages]]
    passes += [
        [one["what"], *(honest[language][name]["wrong"] or "passes" for language in languages)]
        for name, one in honest[languages[0]].items()
    ]
    calls = sum(one["calls"] for each in attacks.values() for one in each.values())
    failed = sum(one["failed"] for each in attacks.values() for one in each.values())
    return "\n\n".join(
        [
            BEGIN,
            "By how much the server's memory grew during the attack, and what of it was kept two\n"
            "seconds later; and what 99 of 100 calls of an honest client beside it took at most,\n"
            f"before → during. Of {calls:,} honest calls {failed} failed.",
            _table(rows),
            _table(passes),
            END,
        ]
    )


def _with_page() -> str:
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + page(json.loads(RESULTS.read_text())) + after


def write(kept: dict[str, Outcomes]) -> None:
    """Keeps the outcomes, and writes the page."""
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    DOCS.write_text(_with_page())
    setup.say(f"wrote {shown(DOCS)}")


def check() -> int:
    """The exit code: 1 if the page is not that of the kept outcomes."""
    if DOCS.read_text() == _with_page():
        return 0
    setup.say(f"FAIL {shown(DOCS)} is stale: run tests/attack/run.py --write-docs")
    return 1
