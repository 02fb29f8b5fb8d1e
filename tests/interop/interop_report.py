"""The matrix as JSON, as text for a terminal and as docs/interop.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from interop_cases import CASES, CLOUD_CASES, HTTP2_CASES
from interop_matrix import FAIL, NOT_OFFERED, PASS, Job, Outcome
from interop_programs import Program

Table = list[list[str]]

_CELLS = {PASS: "pass", FAIL: "**FAIL**", NOT_OFFERED: "–"}


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How often each result came out."""
    return {
        result: sum(1 for outcome in outcomes if outcome.result == result)
        for result in (PASS, FAIL, NOT_OFFERED)
    }


def table(outcomes: Sequence[Outcome], cases: Sequence[str]) -> Table:
    """One row for each case and one column for each pair, with a header."""
    columns = list(dict.fromkeys((each.job.client.name, each.job.server_name) for each in outcomes))
    cells = {
        (each.job.case, each.job.client.name, each.job.server_name): each.result
        for each in outcomes
    }
    rows = [["case", *(f"{client} → {server}" for client, server in columns)]]
    for case in cases:
        found = [cells.get((case, *column), "") for column in columns]
        if any(found):
            rows.append([case, *found])
    return rows


def _group(job: Job) -> str:
    """The title of the tables that show a job: narrow enough ones to be read."""
    ours = [each.name for each in (job.client, job.server) if each and each.ours]
    if len(ours) == 1:
        return f"{ours[0]} and the peers"
    return "Ours among themselves" if ours else "The peers among themselves"


def tables(outcomes: Sequence[Outcome]) -> list[tuple[str, Table]]:
    """The tables that make the matrix, with their titles; none empty."""
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        if each.job.server:
            groups.setdefault(_group(each.job), []).append(each)
    found = []
    for title, group in groups.items():
        for transport, use_tls in (("plaintext", False), ("TLS", True)):
            part = [each for each in group if each.job.use_tls == use_tls]
            found.append((f"{title}, {transport}", table(part, CASES)))
    http2 = [each for each in outcomes if each.job.server is None]
    found.append(("Misbehaving HTTP/2 server", table(http2, HTTP2_CASES)))
    return [(title, rows) for title, rows in found if len(rows) > 1]


def as_text(outcomes: Sequence[Outcome]) -> str:
    """The tables for a terminal."""
    parts = []
    for title, rows in tables(outcomes):
        # A column head "client → server" goes on two lines, to save width.
        heads = [head.partition(" → ") for head in rows[0]]
        upper = ["", *(f"{client} →" for client, _, _ in heads[1:])]
        lower = [rows[0][0], *(server for _, _, server in heads[1:])]
        body = [upper, lower, *rows[1:]]
        widths = [max(len(row[column]) for row in body) for column in range(len(upper))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in body
        ]
        lines.insert(2, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def _markdown_table(rows: Table) -> str:
    head, *body = rows
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "|".join(["---"] + [":-:"] * (len(head) - 1)) + "|",
    ]
    lines += [
        "| " + " | ".join([f"`{row[0]}`", *(_CELLS.get(cell, "") for cell in row[1:])]) + " |"
        for row in body
    ]
    return "\n".join(lines)


def _reasons(outcomes: Sequence[Outcome]) -> str:
    by_reason: dict[str, list[str]] = {}
    for each in outcomes:
        if each.result == NOT_OFFERED:
            cases = by_reason.setdefault(each.detail, [])
            if each.job.case not in cases:
                cases.append(each.job.case)
    lines = [
        f"- {reason}: " + ", ".join(f"`{case}`" for case in cases)
        for reason, cases in sorted(by_reason.items())
    ]
    return "\n".join(lines)


def as_markdown(outcomes: Sequence[Outcome], programs: Sequence[Program]) -> str:
    """The page docs/interop.md."""
    versions = ", ".join(f"{each.name} {each.version}" for each in programs if not each.ours)
    parts = [
        "# Interoperability",
        "<!-- Written by `tests/interop/run.py --write-docs`; do not edit by hand. -->",
        "Every official interop case, between Spanwire and the official implementations, in both\n"
        "directions, run by `make interop`. A column head reads *client → server*; a dash is a\n"
        "case that one side does not offer, with the reason below. The peers: " + versions + ".",
    ]
    for title, rows in tables(outcomes):
        parts += [f"## {title}", _markdown_table(rows)]
    parts += [
        "## Not offered",
        _reasons(outcomes),
        "Not run at all, because they need a cloud account: "
        + ", ".join(f"`{case}`" for case in CLOUD_CASES)
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def write_json(outcomes: Sequence[Outcome], path: Path) -> None:
    """Every outcome, for other programs."""
    rows = [
        {
            "case": each.job.case,
            "client": each.job.client.name,
            "client_version": each.job.client.version,
            "server": each.job.server_name,
            "transport": "tls" if each.job.use_tls else "plaintext",
            "result": each.result,
            "detail": each.detail,
            "seconds": round(each.seconds, 3),
        }
        for each in outcomes
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
