"""A call from Python through servers in Node, C++ and Python, inside of a span of OpenTelemetry.

The arguments are the servers in Node and C++. Each hands the call on to the
next one; all report to the collector that is here, which must get one trace
in which every span is inside of the one before.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import spanwire
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

CALL = spanwire.Method.unary("/test.Chain/Call")
EXPORT = spanwire.Method.unary(
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    otlp.ExportTraceServiceRequest,
    otlp.ExportTraceServiceResponse,
)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LIMIT_SECONDS = 30.0

HOPS = [("client", "node"), ("node", "cpp"), ("cpp", "python")]
"""Who calls whom: a span of the call, one of its attempt, and one of the server each."""


class Collector:
    """Keeps what it gets: spans, with the name of the program they are of."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.grown = asyncio.Event()

    async def export(self, request: Any, _: Any) -> Any:
        """A batch of spans."""
        for of in request.resource_spans:
            (name,) = [
                pair.value.string_value
                for pair in of.resource.attributes
                if pair.key == "service.name"
            ]
            self.spans += [(name, span) for scope in of.scope_spans for span in scope.spans]
        self.grown.set()
        return otlp.ExportTraceServiceResponse()

    async def wait_for(self, count: int) -> None:
        """Until there are so many."""
        while len(self.spans) < count:
            self.grown.clear()
            await self.grown.wait()

    def chain(self) -> list[str]:
        """Who each span is of and of what kind, from the outside in."""
        by_parent = {span.parent_span_id.hex(): (name, span) for name, span in self.spans}
        found, parent = [], SPAN
        while parent in by_parent:
            name, span = by_parent.pop(parent)
            if span.trace_id.hex() != TRACE:
                raise AssertionError(f"{span.name} is in the trace {span.trace_id.hex()}")
            found.append(f"{name} {span.name.split('.')[0]}")
            parent = span.span_id.hex()
        if by_parent:
            left = [f"{name} {span.name}" for name, span in by_parent.values()]
            raise AssertionError(f"in none of the others: {left}")
        return found


async def start(argv: list[str], running: list[asyncio.subprocess.Process]) -> str:
    """Starts a server, and gives the target that it prints."""
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    running.append(child)
    assert child.stdout is not None
    return (await child.stdout.readline()).decode().strip()


async def call(target: str, telemetry: Any) -> bytes:
    """The call, in a span that is not ours."""
    place = trace.SpanContext(
        int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    async with spanwire.Channel(target, telemetry=telemetry) as channel:
        with trace.use_span(trace.NonRecordingSpan(place)):
            return await channel.call(CALL, b"hello", timeout=20)


async def run(node: str, cpp: str, propagators: str) -> None:
    """One chain, from its end to its beginning."""
    collector = Collector()
    running: list[asyncio.subprocess.Process] = []
    here = Path(__file__).parent
    async with spanwire.Server(
        handlers={EXPORT: collector.export}, address="127.0.0.1:0"
    ) as server:
        endpoint = f"http://{server.target}"
        try:
            last = await start(
                [sys.executable, str(here / "server.py"), endpoint, propagators], running
            )
            middle = await start([cpp, endpoint, propagators, last], running)
            first = await start(["node", node, endpoint, propagators, middle], running)
            telemetry = {
                "endpoint": endpoint,
                "service_name": "client",
                "propagators": propagators,
            }
            answer = await call(first, telemetry)
            assert answer == b"hello", answer
            await collector.wait_for(3 * len(HOPS))
        finally:
            for child in running:
                child.terminate()
            for child in running:
                await child.wait()
    expected = [
        f"{name} {kind}"
        for caller, called in HOPS
        for name, kind in ((caller, "Sent"), (caller, "Attempt"), (called, "Recv"))
    ]
    found = collector.chain()
    if found != expected:
        raise AssertionError(f"{propagators}: {found}, not {expected}")
    print(f"ok: one trace by {propagators}: {' > '.join(found)}")


async def main() -> None:
    """Both forms in which a trace is handed on."""
    for propagators in ("tracecontext", "grpc-trace-bin"):
        await asyncio.wait_for(run(*sys.argv[1:], propagators), LIMIT_SECONDS)


asyncio.run(main())
