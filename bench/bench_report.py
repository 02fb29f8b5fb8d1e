"""The tables, for the terminal and for README.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench_load import SHAPES
from bench_programs import BENCH, IN_HOSTS, PEERS, VARIANTS
from bench_results import BOUNDS, GOALS, PAIR_JOBS, About, Results, size_text
from harness.paths import ROOT, shown

NOTHING = "–"


def _count(value: float | None) -> str:
    if value is None:
        return NOTHING
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.2f} {unit}" if scaled < 10 else f"{scaled:.1f} {unit}"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; also readable as it is."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def line_of(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])]) + "|"
    return "\n".join([line_of(lines[0]), rule, *map(line_of, lines[1:])])


def _by_program(
    results: Results, head: Sequence[str], cells: Callable[[str], list[str]]
) -> str | None:
    rows = [[name, *cells(name)] for name in results.programs()]
    rows = [row for row in rows if any(cell != NOTHING for cell in row[1:])]
    return _table(["", *head], rows) if rows else None


def _servers(results: Results) -> str | None:
    def cells(name: str) -> list[str]:
        out = []
        for shape in SHAPES:
            rate = results.middle(f"server {shape} calls/s", name)
            cpu = results.middle(f"server {shape} CPU-s per 100k", name)
            out.append(NOTHING if rate is None or cpu is None else f"{_count(rate)} ({cpu:.3f})")
        return out

    return _by_program(results, [str(shape) for shape in SHAPES], cells)


def _latencies(results: Results, kind: str, columns: Sequence[str]) -> str | None:
    def cells(name: str) -> list[str]:
        out = []
        for column in columns:
            p50 = results.middle(f"{kind} {column} p50 us", name)
            p99 = results.middle(f"{kind} {column} p99 us", name)
            out.append(NOTHING if p50 is None or p99 is None else f"{p50:.0f} / {p99:.0f}")
        return out

    return _by_program(results, list(columns), cells)


def _clients(results: Results) -> str | None:
    def cells(name: str) -> list[str]:
        out = []
        for in_flight in (1, 100):
            rate = results.middle(f"client {in_flight} calls/s", name)
            cpu = results.middle(f"client {in_flight} CPU-s per 100k", name)
            p50 = results.middle(f"client {in_flight} p50 us", name)
            p99 = results.middle(f"client {in_flight} p99 us", name)
            if rate is None or cpu is None or p50 is None or p99 is None:
                out.append(NOTHING)
            else:
                out.append(f"{_count(rate)} ({cpu:.3f}; {p50:.0f} / {p99:.0f})")
        return out

    return _by_program(results, ["1 in flight", "100 in flight"], cells)


def _client_streams(results: Results) -> str | None:
    def cells(name: str) -> list[str]:
        out = []
        for mode in ("down", "up"):
            rate = results.middle(f"client {mode} messages/s", name)
            cpu = results.middle(f"client {mode} CPU-us per message", name)
            out.append(NOTHING if rate is None or cpu is None else f"{_count(rate)} ({cpu:.3f})")
        return out

    return _by_program(results, ["down 32 B", "up 32 B"], cells)


def _stream_rate(results: Results, mode: str, size: int, name: str) -> str:
    rate = results.middle(f"{mode} {size} messages/s", name)
    if rate is None:
        return NOTHING
    return f"{_count(rate)}" if size < 1024 else f"{rate * size / 1e6:.0f} MB"


def _streams(results: Results) -> str | None:
    head = [f"{mode} {size_text(size)}" for mode, size in PAIR_JOBS]
    return _by_program(
        results,
        head,
        lambda name: [_stream_rate(results, mode, size, name) for mode, size in PAIR_JOBS],
    )


def _stream_costs(results: Results) -> str | None:
    def cells(name: str) -> list[str]:
        out = []
        for mode, size in PAIR_JOBS:
            cpu = results.middle(f"{mode} {size} CPU-us per message", name)
            peak = results.middle(f"{mode} {size} peak MB", name)
            out.append(
                NOTHING if cpu is None or peak is None else f"{_count(cpu)} µs, {peak:.0f} MB"
            )
        return out

    return _by_program(results, [f"{mode} {size_text(size)}" for mode, size in PAIR_JOBS], cells)


AT_REST = (
    ("allocations per call", "allocations per call"),
    ("allocated bytes per call", "bytes of them"),
    ("system calls per call 4x50", "system calls per call, 4x50"),
    ("system calls per call 50x1", "50x1"),
    ("bytes per fresh connection", "bytes per connection, fresh"),
    ("bytes per idle connection", "after one call"),
    ("start ms", "start to first answer, ms"),
)


def _at_rest(results: Results) -> str | None:
    return _by_program(
        results,
        [title for _, title in AT_REST],
        lambda name: [_count(results.middle(metric, name)) for metric, _ in AT_REST],
    )


IN_A_HOST = (
    ("import ms", "import, ms", 1),
    ("import bytes", "memory of that, MB", 1e6),
    ("channel bytes", "after a first call, MB", 1e6),
    ("process bytes", "the whole process then, MB", 1e6),
)


def _in_a_host(results: Results) -> str | None:
    def cells(name: str) -> list[str]:
        found = [(results.middle(metric, name), unit) for metric, _, unit in IN_A_HOST]
        return [NOTHING if value is None else f"{value / unit:.1f}" for value, unit in found]

    return _by_program(results, [title for _, title, _ in IN_A_HOST], cells)


def _of_javascript(results: Results) -> str | None:
    columns = [*(f"server {shape}" for shape in SHAPES), "client 1", "client 100"]

    def cells(name: str) -> list[str]:
        out = []
        for column in columns:
            thread = results.middle(f"{column} CPU-s of JavaScript per 100k", name)
            process = results.middle(f"{column} CPU-s per 100k", name)
            missing = thread is None or process is None
            out.append(NOTHING if missing else f"{thread:.3f} of {process:.3f}")
        return out

    return _by_program(results, columns, cells)


def _ratio(ratio: tuple[float, float, float] | None) -> str:
    if ratio is None:
        return NOTHING
    middle, low, high = ratio
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _ratios(results: Results, head: str, pairs: Mapping[str, tuple[str, str]]) -> str | None:
    """One column for each pair, under its name."""
    metrics = [
        *(f"server {shape} calls/s" for shape in SHAPES),
        *(f"server {shape} CPU-s per 100k" for shape in SHAPES),
        *(f"client {in_flight} calls/s" for in_flight in (1, 100)),
        *(f"client {in_flight} CPU-s per 100k" for in_flight in (1, 100)),
        *(f"client {mode} messages/s" for mode in ("down", "up")),
        *(f"{mode} {size} messages/s" for mode, size in PAIR_JOBS),
        *(f"{mode} {size} CPU-us per message" for mode, size in PAIR_JOBS),
    ]
    rows = []
    for metric in metrics:
        found = [results.ratio(metric, ours, peer) for ours, peer in pairs.values()]
        if any(found):
            rows.append([metric, *map(_ratio, found)])
    return _table([head, *pairs], rows) if rows and pairs else None


def _all_ratios(results: Results) -> list[tuple[str, str | None]]:
    """Ours beside the peers; in a host language, each of our programs beside the same one of the
    peer there."""
    names = results.programs()
    hosts = (*IN_HOSTS, *(peer for peer, _ in IN_HOSTS.values()))
    general = [name for name in names if not name.startswith(hosts)]
    peers = [name for name in general if name in PEERS]
    # Variants are in the tables, and where they matter in the goals.
    ours = [name for name in general if name not in PEERS and not name.endswith(VARIANTS)]
    tables = [
        (name, _ratios(results, f"{name} ÷", {peer: (name, peer) for peer in peers}))
        for name in ours
    ]
    for host, (peer, endings) in IN_HOSTS.items():
        pairs = {
            f"{host}{ending} ÷ {peer}{ending}": (host + ending, peer + ending)
            for ending in endings
            if {host + ending, peer + ending} <= set(names)
        }
        tables.append((host, _ratios(results, "", pairs)))
    return [(f"Ratios of {name}: median of the rounds (spread)", table) for name, table in tables]


def _goals(results: Results, shared: bool) -> str | None:
    rows = []
    for goal in GOALS:
        rate = results.ratio(goal.rate, goal.ours, goal.peer)
        cost = results.ratio(goal.cost, goal.peer, goal.ours)
        best = results.best_ratio(goal.cost, goal.ours, goal.peer)
        if rate is None or cost is None or best is None:
            continue
        decisive = cost if shared else rate
        verdict = "reached" if decisive[0] >= goal.at_least else "not reached"
        what = f"{goal.rate}, {goal.ours} ÷ {goal.peer}"
        rows.append(
            [what, f"{goal.at_least:.2f}", _ratio(rate), _ratio(cost), f"{best:.2f}", verdict]
        )
    head = ["goal", "at least", "measured", "by CPU time", "least disturbed", ""]
    return _table(head, rows) if rows else None


def _bounds(results: Results) -> str | None:
    rows = []
    for bound in BOUNDS:
        if bound.of is None:
            mine = results.middle(bound.metric, bound.program)
            peers = [results.middle(bound.metric, peer) for peer in ("tonic", "h2")]
        else:
            ratio = results.ratio(bound.metric, bound.program, bound.of)
            mine, peers = ratio[0] if ratio else None, [None, None]
        if mine is None:
            continue
        verdict = "reached" if mine <= bound.at_most else "not reached"
        rows.append([bound.title, _count(bound.at_most), *map(_count, [mine, *peers]), verdict])
    return _table(["bound", "at most", "measured", "tonic", "h2", ""], rows) if rows else None


def summary(results: Results, about: About) -> str:
    """What was aimed at, and what of that was reached, as Markdown."""
    tables = [_goals(results, about.shared()), _bounds(results)]
    return "\n\n".join([_note(about), *(table for table in tables if table is not None)])


def report(results: Results, about: About) -> str:
    """What was measured, and all tables that there are numbers for, as Markdown."""
    shapes = [str(shape) for shape in SHAPES]
    parts = [
        ("Servers under h2load: calls/s (CPU-seconds per 100 k calls)", _servers(results)),
        ("Servers under h2load: p50 / p99 in µs", _latencies(results, "server", shapes)),
        (
            "Clients against one fast server: calls/s (CPU-s per 100 k calls; p50 / p99 in µs)",
            _clients(results),
        ),
        (
            "One stream to the same server: messages/s (CPU-µs of the client per message)",
            _client_streams(results),
        ),
        ("One stream, the same library on both sides: messages/s, or MB/s", _streams(results)),
        (
            "The same streams: CPU time of both sides per message, peak memory of both sides",
            _stream_costs(results),
        ),
        ("Per call and at rest", _at_rest(results)),
        ("In a host, beside bare asyncio", _in_a_host(results)),
        (
            "CPU-s per 100 k calls: of the thread of JavaScript, of the process",
            _of_javascript(results),
        ),
        *_all_ratios(results),
        ("Goals", _goals(results, about.shared())),
        ("Bounds", _bounds(results)),
    ]
    texts = [f"**{title}**\n\n{table}" for title, table in parts if table is not None]
    return "\n\n".join([_note(about), *texts])


def _note(about: About) -> str:
    """Where and when it was measured, and whether other programs disturbed it."""
    text = (
        f"Commit {about.commit}, measured on {about.date}: {about.processor}, {about.cores} cores, "
        f"Linux {about.kernel}; {about.rounds} rounds, {about.seconds:g} s for each measurement."
    )
    if about.shared():
        low, high = min(about.machine_load), max(about.machine_load)
        text += (
            " **Other programs ran on the machine at the same time** "
            f"(load {low:g} to {high:g}; the benchmark itself makes 2): "
            "compare ratios and CPU time, not calls/s."
        )
    return text


def _marks(part: str | None) -> tuple[str, str]:
    """What stands around the results of a whole run on a page, or of a part of the programs."""
    name = "measured" if part is None else f"measured {part}"
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _with(page: str, text: str, part: str | None) -> str:
    """The page with this text between the marks."""
    begin, end = _marks(part)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def pages(results: Results, about: About, part: str | None = None) -> dict[Path, str]:
    """The pages that show results, with these."""
    texts = {
        BENCH / "README.md": report(results, about),
        ROOT / "docs" / "performance.md": summary(results, about),
    }
    return {page: _with(page.read_text(), text, part) for page, text in texts.items()}


def stale(results: Results, about: About, part: str | None = None) -> list[str]:
    """The pages that show something else than these results."""
    found = pages(results, about, part).items()
    return [shown(page) for page, text in found if page.read_text() != text]
