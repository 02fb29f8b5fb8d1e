"""What a collector gets of a program that asks for telemetry, and where its handlers see that they are."""

from __future__ import annotations

import asyncio
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aio import run
from spanwire import Channel, Method, Server, sync
from spanwire.options import TelemetryOptions

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
SERVICES = "opentelemetry/proto/collector/{}/v1/{}_service"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PROGRAM = """if True:
    import asyncio, sys, spanwire

    OUTER, INNER = spanwire.Method.unary("/test.Front/Outer"), spanwire.Method.unary("/test.Front/Inner")
    telemetry = {"endpoint": sys.argv[1], "service_name": "front", "resource_attributes": "zone=a"}

    async def outer(request, context):
        return await channel.call(INNER, context.traceparent.encode())

    async def inner(request, context):
        assert context.traceparent[:36] == request.decode()[:36], "one trace"
        return request

    async def main():
        global channel
        handlers = {OUTER: outer, INNER: inner}
        async with spanwire.Server(handlers=handlers, address="127.0.0.1:0", telemetry=telemetry) as server:
            async with spanwire.Channel(server.target, telemetry=telemetry) as channel:
                answer = await channel.call(OUTER, b"", metadata={"traceparent": sys.argv[2]})
                print(answer.decode())

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The generated modules of what a collector gets, by signal."""
    folder = tmp_path_factory.mktemp("otlp")
    files = [PROTO / f"{SERVICES.format(signal, signal)}.proto" for signal in ("metrics", "trace")]
    gen = [sys.executable, "-m", "spanwire", "gen", "--lang", "python", "--out", str(folder), "-I", str(PROTO)]
    subprocess.run([*gen, *map(str, files)], check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(folder))
    names = {signal: SERVICES.format(signal, signal).replace("/", ".") + "_pb2" for signal in ("metrics", "trace")}
    yield {signal: importlib.import_module(name) for signal, name in names.items()}
    sys.path.remove(str(folder))


class Collector:
    """Keeps what it gets."""

    def __init__(self, messages: dict[str, Any]) -> None:
        self.metrics: list[Any] = []
        self.traces: list[Any] = []
        self.handlers: dict[Any, Any] = {}
        for signal, name, kept in (("metrics", "Metrics", self.metrics), ("trace", "Trace", self.traces)):
            request, response = (
                getattr(messages[signal], f"Export{name}Service{kind}") for kind in ("Request", "Response")
            )
            path = f"/opentelemetry.proto.collector.{signal}.v1.{name}Service/Export"
            self.handlers[Method.unary(path, request, response)] = keeping(kept, response)

    @property
    def spans(self) -> dict[str, Any]:
        scopes = (scope for one in self.traces for of in one.resource_spans for scope in of.scope_spans)
        return {span.name: span for scope in scopes for span in scope.spans}


def keeping(kept: list[Any], response: Any) -> Any:
    async def export(request: Any, context: Any) -> Any:
        kept.append(request)
        return response()

    return export


def test_collector_gets_one_trace_with_its_parents_and_the_metrics(messages: dict[str, Any]) -> None:
    collector = Collector(messages)

    async def main() -> str:
        async with Server(handlers=collector.handlers, address="127.0.0.1:0") as server:
            arguments = ["-c", PROGRAM, f"http://{server.target}", CALLER]
            child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
            output, _ = await child.communicate()
            assert child.returncode == 0
            return output.decode().strip()

    seen = run(main())
    spans, parent = collector.spans, bytes.fromhex(CALLER.split("-")[2])
    chain = [f"{kind}.test.Front.{name}" for name in ("Outer", "Inner") for kind in ("Sent", "Attempt", "Recv")]
    assert sorted(spans) == sorted(chain)
    for name in chain:
        assert spans[name].trace_id.hex() == CALLER.split("-")[1], name
        assert spans[name].parent_span_id == parent, name
        parent = spans[name].span_id
    assert seen.split("-")[2] == spans["Recv.test.Front.Outer"].span_id.hex(), "what the handler sees"
    resource = collector.traces[0].resource_spans[0].resource.attributes
    named = {pair.key: pair.value.string_value for pair in resource}
    assert (named["service.name"], named["zone"]) == ("front", "a")
    names = {
        metric.name
        for one in collector.metrics
        for of in one.resource_metrics
        for scope in of.scope_metrics
        for metric in scope.metrics
    }
    assert {"grpc.client.attempt.duration", "grpc.client.call.duration", "grpc.server.call.duration"} <= names


WHERE = Method.unary("/test.Where/Where")


def test_blocking_handlers_see_where_they_are() -> None:
    def where(request: bytes, context: Any) -> bytes:
        return (context.traceparent or "nowhere").encode()

    cases: list[tuple[TelemetryOptions | None, str]] = [(None, "nowhere"), ({"endpoint": ""}, CALLER[:36])]
    for telemetry, expected in cases:
        with (
            sync.Server(handlers={WHERE: where}, address="127.0.0.1:0", telemetry=telemetry) as server,
            sync.Channel(server.target) as channel,
        ):
            answer = channel.unary(WHERE, b"", metadata={"traceparent": CALLER})
        assert answer.decode()[:36] == expected


@pytest.mark.parametrize(
    ("telemetry", "error", "text"),
    [
        ({"endpoint": "http://"}, ValueError, "telemetry: endpoint"),
        ({"trace_ratio": 1.5}, ValueError, "telemetry: trace_ratio"),
        ({"trace_ratio": -0.5}, ValueError, "trace_ratio"),
        ({"propagators": "b3"}, ValueError, "telemetry: propagators"),
        ({"access_log": "some"}, ValueError, "telemetry: access_log"),
        ({"nonsense": 1}, TypeError, "telemetry has no option"),
        ("http://collector", TypeError, "dict is due"),
    ],
)
def test_options_that_make_no_sense_are_named(telemetry: Any, error: type[Exception], text: str) -> None:
    async def main() -> None:
        async with Channel("127.0.0.1:1", telemetry=telemetry):
            pass

    with pytest.raises(error, match=text):
        run(main())


def test_the_snippet_of_the_page_works() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    snippet, *_ = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    inside = re.sub("^", "    ", snippet, flags=re.MULTILINE)
    program = f"import asyncio\nasync def main():\n{inside}\nasyncio.run(main())"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_ratio_of_none_records_only_what_is_recorded_elsewhere() -> None:
    async def where(request: bytes, context: Any) -> bytes:
        traceparent: str = context.traceparent
        return traceparent.encode()

    async def main() -> None:
        telemetry: TelemetryOptions = {"endpoint": "", "trace_ratio": 0}
        async with (
            Server(handlers={WHERE: where}, address="127.0.0.1:0", telemetry=telemetry) as server,
            Channel(server.target) as channel,
        ):
            assert (await channel.call(WHERE, b"")).endswith(b"-00")
            assert (await channel.call(WHERE, b"", metadata={"traceparent": CALLER})).endswith(b"-01")

    run(main())
