"""With OpenTelemetry's package: its span is the parent of a call, and a handler runs inside of the call's own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from aio import run
from spanwire import Channel, Method, Server, sync
from spanwire.options import TelemetryOptions

WHERE = Method.unary("/test.Where/Where")
PARTS = Method.server_streaming("/test.Where/Parts")
RESERVE = Method.unary("/test.Where/Reserve")
OUTER = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
NOWHERE: TelemetryOptions = {"endpoint": ""}


@contextmanager
def inside(span_id: str = SPAN, state: str = "a=1") -> Iterator[None]:
    """Runs in a span of somebody else."""
    place = trace.SpanContext(
        int(OUTER, 16),
        int(span_id, 16),
        is_remote=False,
        trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState.from_header([state]),
    )
    with trace.use_span(trace.NonRecordingSpan(place)):
        yield


def current() -> str:
    """Where the package says that the running code is."""
    place = trace.get_current_span().get_span_context()
    return f"{place.trace_id:032x}-{place.span_id:016x} {place.trace_state.to_header()}"


def seen(context: Any) -> bytes:
    """What a handler sees: by the engine, and by the package."""
    return f"{context.traceparent} {current()}".encode()


def check(answer: bytes, trace_id: str = OUTER, state: str = "a=1") -> None:
    traceparent, package, package_state = answer.decode().split(" ")
    assert traceparent.split("-")[1] == trace_id
    assert traceparent.split("-")[1:3] == package.split("-"), "the engine's span is the package's current one"
    assert traceparent.split("-")[2] != SPAN, "the span of the call is another one than the caller's"
    assert package_state == state


@pytest.mark.parametrize("propagators", ["tracecontext", "grpc-trace-bin"])
def test_span_is_the_parent_of_calls_and_handlers_run_inside(propagators: str) -> None:
    channel: Channel
    state = "a=1" if propagators == "tracecontext" else ""

    async def where(request: bytes, context: Any) -> bytes:
        if request == b"further":
            return await channel.call(WHERE, b"")
        return seen(context)

    async def parts(request: bytes, context: Any) -> Any:
        yield seen(context)
        yield seen(context)

    async def main() -> None:
        nonlocal channel
        telemetry: TelemetryOptions = {"endpoint": "", "propagators": propagators}
        handlers = {WHERE: where, PARTS: parts}
        async with (
            Server(handlers=handlers, address="127.0.0.1:0", telemetry=telemetry) as server,
            Channel(server.target, telemetry=telemetry) as channel,
        ):
            with inside():
                check(await channel.call(WHERE, b""), state=state)
                check(await channel.call(WHERE, b"further"), state=state)
                async for part in channel.call(PARTS, b""):
                    check(part, state=state)
            own = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "b=2"}
            with inside():
                answer = await channel.call(WHERE, b"", metadata=own)
            check(answer, trace_id="1" * 32, state="b=2" if state else "")

    run(main())


def test_blocking_calls_are_no_different() -> None:
    def where(request: bytes, context: Any) -> bytes:
        return seen(context)

    def parts(request: bytes, context: Any) -> Any:
        yield seen(context)

    with (
        sync.Server(handlers={WHERE: where, PARTS: parts}, address="127.0.0.1:0", telemetry=NOWHERE) as server,
        sync.Channel(server.target, telemetry=NOWHERE) as channel,
    ):
        with inside():
            check(channel.unary(WHERE, b""))
            check(channel.call(WHERE, b"").result())
            (part,) = channel.call(PARTS, b"")
            check(part)
        assert OUTER not in channel.unary(WHERE, b"").decode(), "outside of it nothing is left"


def test_span_opened_inside_of_a_handler_is_the_parent_of_what_follows() -> None:
    channel: Channel

    async def where(request: bytes, context: Any) -> bytes:
        if request == b"":
            return bytes(context.metadata["traceparent"], "ascii")
        with inside("1" * 16):
            return await channel.call(WHERE, b"")

    async def main() -> None:
        nonlocal channel
        telemetry: TelemetryOptions = {"endpoint": "", "trace_ratio": 0}
        async with (
            Server(handlers={WHERE: where}, address="127.0.0.1:0", telemetry=NOWHERE) as server,
            Channel(server.target, telemetry=telemetry) as channel,
        ):
            assert (await channel.call(WHERE, b"x")).decode().split("-")[1] == OUTER

    run(main())


def test_nothing_is_handed_on_by_channels_without_telemetry() -> None:
    async def where(request: bytes, context: Any) -> bytes:
        return str("traceparent" in context.metadata).encode()

    async def main() -> None:
        options: list[TelemetryOptions | None] = [None, {"endpoint": "", "traces": False}]
        for telemetry in options:
            async with (
                Server(handlers={WHERE: where}, address="127.0.0.1:0") as server,
                Channel(server.target, telemetry=telemetry) as channel,
            ):
                with inside():
                    assert await channel.call(WHERE, b"") == b"False"

    run(main())


def test_package_is_not_imported_for_anybody() -> None:
    program = """if True:
        import asyncio, sys, spanwire
        WHERE = spanwire.Method.unary("/test.Where/Where")
        async def where(request, context):
            return b""
        async def main():
            telemetry = {"endpoint": ""}
            async with (
                spanwire.Server(handlers={WHERE: where}, address="127.0.0.1:0", telemetry=telemetry) as server,
                spanwire.Channel(server.target, telemetry=telemetry) as channel,
            ):
                await channel.call(WHERE, b"")
        asyncio.run(main())
        print([name for name in sys.modules if name.startswith("opentelemetry")])
    """
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n"


def test_the_snippet_of_the_page_works() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "observability.md").read_text()
    _, snippet = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    program: dict[str, Any] = {"RESERVE": RESERVE}
    exec(snippet, program)

    async def reserve(request: bytes, context: Any) -> bytes:
        return seen(context)

    async def main() -> None:
        handlers = {WHERE: program["get_order"], RESERVE: reserve}
        async with (
            Server(handlers=handlers, address="127.0.0.1:0", telemetry=NOWHERE) as server,
            Channel(server.target, telemetry=NOWHERE) as channel,
        ):
            program["channel"] = channel
            with inside():
                check(await channel.call(WHERE, b""))

    run(main())
