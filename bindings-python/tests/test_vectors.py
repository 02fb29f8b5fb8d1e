"""The shared vectors of tests/vectors, through the whole of this package.

What a case says about bytes is said to, or seen by, a raw HTTP/2 peer. Only the
encoding of timeouts is left to the engine's own tests: what is sent is the
time that is left, which is another one each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spanwire
import spanwire.sync
from raw_http2 import Answer, RawServer, ok, raw_call, trailers_only
from spanwire import Code, Metadata, Method, RpcError
from spanwire.pytest_plugin import Serve

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
UNARY = Method.unary("/test.Vectors/Unary")
DOWN = Method.server_streaming("/test.Vectors/Down")
LIMIT_SECONDS = 20.0

Case = dict[str, Any]


def cases(file: str, key: str) -> pytest.MarkDecorator:
    """All cases of one list, as parameters named `case`."""
    found: list[Case] = json.loads((VECTORS / file).read_text())[key]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case["name"] for case in found])


class Wire:
    """A raw server and a channel to it; tests set the answer."""

    def __init__(self) -> None:
        self.answer: Answer = ok()
        self.seen: dict[str, str] = {}
        self.server = RawServer(self._respond)
        self.channel = spanwire.sync.Channel(self.server.target)

    def _respond(self, headers: dict[str, str]) -> Answer:
        self.seen = headers
        return self.answer

    def error(self) -> RpcError | None:
        """How a call ends."""
        try:
            list(self.channel.call(DOWN, b"", timeout=LIMIT_SECONDS))
        except RpcError as error:
            return error
        return None

    def code(self) -> str:
        """The name of the code with which a call ends."""
        error = self.error()
        return error.code.name if error else "OK"


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    with made.server, made.channel:
        yield made


@cases("metadata.json", "binary_decode")
def test_binary_metadata_that_arrive(case: Case, wire: Wire) -> None:
    wire.answer = ok(x_bin=case["wire"])
    call = wire.channel.call(DOWN, b"", timeout=LIMIT_SECONDS)
    assert list(call) == []
    assert call.trailers is not None
    assert [value.hex() for value in map(_bytes, call.trailers.get_all("x-bin"))] == case["values"]


def _bytes(value: str | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


@cases("metadata.json", "binary_encode")
def test_binary_metadata_that_are_sent(case: Case, wire: Wire) -> None:
    metadata = {"x-bin": bytes.fromhex(case["value"])}
    list(wire.channel.call(DOWN, b"", metadata=metadata, timeout=LIMIT_SECONDS))
    assert wire.seen["x-bin"] == case["wire"]


@cases("metadata.json", "keys")
def test_metadata_keys(case: Case) -> None:
    key = case["key"]
    value = b"x" if key.endswith("-bin") else "x"
    if case["ok"]:
        assert list(Metadata({key: value})) == [key.lower()]
    else:
        with pytest.raises(ValueError):
            Metadata({key: value})


@cases("metadata.json", "values")
def test_metadata_values(case: Case) -> None:
    value = case["value"]
    if case["ok"]:
        assert Metadata({"key": value})["key"] == value
    else:
        with pytest.raises(ValueError):
            Metadata({"key": value})


@cases("status.json", "message_encode")
def test_status_messages_that_are_sent(case: Case, spanwire_serve: Serve) -> None:
    async def fail(request: bytes, context: spanwire.Context) -> bytes:
        raise RpcError(Code.ABORTED, case["message"])

    target = spanwire_serve(handlers={UNARY: fail}, address="127.0.0.1:0")
    exchange = raw_call(_port(target), UNARY.path, b"\0\0\0\0\0")
    # Without a message there need not be a field.
    assert exchange.headers.get("grpc-message", "") == case["wire"]


def _port(target: str) -> int:
    return int(target.rpartition(":")[2])


@cases("status.json", "message_decode")
def test_status_messages_that_arrive(case: Case, wire: Wire) -> None:
    wire.answer = trailers_only(("grpc-status", "10"), ("grpc-message", case["wire"]))
    error = wire.error()
    assert error is not None and error.code == Code.ABORTED
    assert error.message == case["message"]


@cases("status.json", "codes")
def test_status_codes(case: Case, wire: Wire) -> None:
    wire.answer = trailers_only(("grpc-status", case["wire"]))
    error = wire.error()
    assert (error.code.name if error else "OK") == case["code"]
    assert (error is not None and f'"{case["wire"]}"' in error.message) == case["raw_kept"]


@cases("status.json", "http")
def test_http_statuses(case: Case, wire: Wire) -> None:
    wire.answer = Answer([(":status", str(case["http"]))])
    assert wire.code() == case["code"]


@cases("status.json", "reset")
def test_resets(case: Case, wire: Wire) -> None:
    # Behind the headers, so that no attempt follows.
    wire.answer = Answer(ok().headers, reset=case["reason"])
    assert wire.code() == case["code"]


@cases("timeout.json", "decode")
def test_timeouts_that_arrive(case: Case, spanwire_serve: Serve) -> None:
    async def left(request: bytes, context: spanwire.Context) -> bytes:
        return repr(context.time_remaining()).encode()

    target = spanwire_serve(handlers={UNARY: left}, address="127.0.0.1:0")
    fields = ("grpc-timeout", case["wire"])
    exchange = raw_call(_port(target), UNARY.path, b"\0\0\0\0\0", fields)
    found = exchange.body[5:].decode()
    if case.get("error"):
        assert exchange.headers["grpc-status"] == str(int(Code.INTERNAL))
    elif case["nanos"] == "none":
        assert found == "None"
    elif int(case["nanos"]) < 1_000_000_000:
        # It may have been over before the handler came to its turn.
        over = str(int(Code.DEADLINE_EXCEEDED))
        assert found or exchange.headers.get("grpc-status") == over
    else:
        seconds = int(case["nanos"]) / 1e9
        assert seconds - LIMIT_SECONDS < float(found) <= seconds


@cases("frames.json", "streams")
def test_frames(case: Case, wire: Wire) -> None:
    wire.answer = ok(*map(bytes.fromhex, case["chunks"]), encoding=case["encoding"])
    call = wire.channel.call(DOWN, b"", timeout=LIMIT_SECONDS, max_recv_message_bytes=case["limit"])
    messages, end = [], "ok"
    try:
        for message in call:
            messages.append(message.hex())
    except RpcError as error:
        end = error.code.name
    assert (messages, end) == (case["messages"], case["end"])


@cases("encodings.json", "decompress")
def test_compressed_messages(case: Case, wire: Wire) -> None:
    message = bytes.fromhex(case["wire"])
    compressed = case["encoding"] != "identity"
    frame = bytes([compressed]) + len(message).to_bytes(4, "big") + message
    wire.answer = ok(frame, encoding=case["encoding"])
    # There is no such limit as 0; no case needs one of these to tell 0 from 1.
    limit = max(case["limit"], 1)
    call = wire.channel.call(DOWN, b"", timeout=LIMIT_SECONDS, max_recv_message_bytes=limit)
    if "message" in case:
        assert [message.hex() for message in call] == [case["message"]]
        assert call.compressed == compressed
    else:
        with pytest.raises(RpcError) as failed:
            list(call)
        codes = {"too_large": Code.RESOURCE_EXHAUSTED, "corrupt": Code.INTERNAL}
        assert failed.value.code == codes[case["error"]]


@cases("encodings.json", "accept")
def test_encodings_that_the_client_takes(case: Case, spanwire_serve: Serve) -> None:
    async def compress(request: bytes, context: spanwire.Context) -> bytes:
        context.set_compression(request.decode())
        return bytes(1000)

    target = spanwire_serve(handlers={UNARY: compress}, address="127.0.0.1:0")
    for encoding in ("gzip", "deflate", "zstd"):
        body = b"\0" + len(encoding).to_bytes(4, "big") + encoding.encode()
        accept = ("grpc-accept-encoding", case["wire"])
        exchange = raw_call(_port(target), UNARY.path, body, accept)
        used = exchange.headers.get("grpc-encoding", "identity")
        assert used == (encoding if encoding in case["holds"] else "identity")
