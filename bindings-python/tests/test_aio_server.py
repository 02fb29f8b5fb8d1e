"""Servers of the asyncio API: handlers, contexts, shutdown, TLS."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from aio import COUNT, DOUBLE, GET, RAW, RAW_CHAT, RAW_STREAM, SUM, Echo, number, run, text
from spanwire import Channel, Code, Context, Method, RpcError, Server, Service, Tls


async def echo(request: bytes, context: Context) -> bytes:
    return request


def test_server_tells_where_it_listens() -> None:
    async def main() -> None:
        server = Server(handlers={RAW: echo}, address="127.0.0.1:0")
        assert server.port is None and server.target == ""
        async with server:
            assert server.port and server.target == f"127.0.0.1:{server.port}"
            with pytest.raises(RuntimeError, match=r"started before"):
                await server.start()
        await server.close()

    run(main())


@pytest.mark.parametrize("address", ["unix:{}/socket", "inprocess:test-server"])
def test_addresses_without_a_port(address: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with Server(handlers={RAW: echo}, address=address.format(tmp_path)) as server:
            assert server.port is None
            async with Channel(server.target) as channel:
                assert await channel.call(RAW, b"a") == b"a"

    run(main())


def test_context_tells_of_the_call() -> None:
    async def get(request: StringValue, context: Context) -> StringValue:
        assert context.method is GET and "Get" in repr(context)
        assert context.peer.startswith("ipv4:127.0.0.1:")
        assert context.tls_identity is None
        assert not context.cancelled
        left = context.time_remaining()
        assert left is not None and 4 < left <= 5
        task = asyncio.current_task()
        assert task is not None and task.get_name() == "/test.Echo/Get"
        return request

    async def main() -> None:
        async with Server(handlers={GET: get}, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            await channel.call(GET, text("a"), timeout=5)

    run(main())


def test_context_variables_come_from_where_the_server_was_started() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def get(request: bytes, context: Context) -> bytes:
        found = variable.get()
        variable.set("changed")
        return found.encode()

    async def main() -> None:
        async with Channel("inprocess:context") as channel:
            with pytest.raises(RpcError):
                await channel.call(RAW, b"")
            variable.set("start")
            async with Server(handlers={RAW: get}, address="inprocess:context"):
                variable.set("later")
                for _ in range(3):
                    assert await channel.call(RAW, b"", wait_for_ready=True) == b"start"

    run(main())


def test_requests_can_be_taken_by_hand_and_in_batches() -> None:
    async def batches(requests: Any, context: Context) -> Int64Value:
        first = await requests.receive()
        total = first.value
        while batch := await requests.receive_batch():
            total += sum(request.value for request in batch)
        assert await requests.receive() is None
        return number(total)

    async def main() -> None:
        async with (
            Server(handlers={SUM: batches}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            answer = await channel.call(SUM, map(number, range(1000)))
            assert answer.value == sum(range(1000))

    run(main())


def test_handlers_may_answer_before_they_have_read() -> None:
    async def chat(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        yield b"hello"
        async for request in requests:
            yield request
        yield b"bye"

    async def main() -> None:
        async with (
            Server(handlers={RAW_CHAT: chat}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
            channel.call(RAW_CHAT) as call,
        ):
            assert await call.receive() == b"hello"
            await call.send(b"a")
            assert await call.receive() == b"a"
            await call.done_sending()
            assert await call.receive() == b"bye"
            assert await call.receive() is None

    run(main())


def test_generator_is_closed_when_its_client_leaves() -> None:
    ended = asyncio.Event()

    async def stream(request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.sleep(30)
        finally:
            # What a generator does at its end may wait, too.
            await asyncio.sleep(0.01)
            ended.set()

    async def main() -> None:
        async with (
            Server(handlers={RAW_STREAM: stream}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            async with channel.call(RAW_STREAM, b"") as call:
                assert await call.receive() == b"first"
            await ended.wait()

    run(main())


@pytest.mark.parametrize("what", ["yielded", "returned"])
def test_wrong_response_is_the_handlers_fault(what: str, caplog: pytest.LogCaptureFixture) -> None:
    async def get(request: StringValue, context: Context) -> Any:
        return 5

    async def count(request: Int64Value, context: Context) -> AsyncIterator[Any]:
        yield "text"

    async def main() -> None:
        handlers: Any = {GET: get, COUNT: count}
        async with Server(handlers=handlers, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            call: Any = channel.call(GET, text("a")) if what == "returned" else channel.call(COUNT, number(1)).receive()
            with pytest.raises(RpcError) as raised:
                await call
            assert raised.value.code == Code.UNKNOWN

    run(main())
    assert "is due, not" in caplog.text


def test_malformed_request_does_not_reach_the_handler() -> None:
    async def main() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server, Channel(server.target) as channel:
            with pytest.raises(RpcError) as raised:
                await channel.call(Method.unary("/test.Echo/Get"), b"\xff\xff")
            assert raised.value.code == Code.INTERNAL

    run(main())


def test_task_that_a_handler_cancels_itself_is_cancelled_for_the_client() -> None:
    async def get(request: bytes, context: Context) -> bytes:
        raise asyncio.CancelledError

    async def main() -> None:
        async with Server(handlers={RAW: get}, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            with pytest.raises(RpcError) as raised:
                await channel.call(RAW, b"")
            assert raised.value.code == Code.CANCELLED

    run(main())


def test_asyncio_timeouts_and_groups_work_in_handlers() -> None:
    async def get(request: bytes, context: Context) -> bytes:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0.001, b"slept"))
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            return task.result()
        return b""

    async def main() -> None:
        async with Server(handlers={RAW: get}, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            assert await channel.call(RAW, b"") == b"slept"

    run(main())


def test_leaving_the_block_drains() -> None:
    async def slow(request: bytes, context: Context) -> bytes:
        started.set()
        await asyncio.sleep(0.1)
        return b"done"

    started = asyncio.Event()

    async def main() -> None:
        async with Channel("inprocess:drain") as channel:
            async with Server(handlers={RAW: slow}, address="inprocess:drain") as server:
                waiting = asyncio.ensure_future(server.wait())
                call = channel.call(RAW, b"")
                await started.wait()
            assert await call == b"done"
            await waiting

    run(main())


def test_grace_ends_what_is_left() -> None:
    async def main() -> None:
        service = Echo()
        server = Server(service, address="127.0.0.1:0")
        await server.start()
        async with Channel(server.target) as channel:
            call = channel.call(GET, text("wait"))
            await service.waiting.wait()
            await server.close(grace=0.05)
            with pytest.raises(RpcError):
                await call
            await service.cancelled.wait()

    run(main())


def test_failure_in_the_block_does_not_wait_for_streams() -> None:
    async def main() -> None:
        service = Echo()
        calls = []
        with pytest.raises(KeyboardInterrupt):
            async with Server(service, address="127.0.0.1:0") as server, Channel(server.target) as channel:
                calls.append(channel.call(GET, text("wait")))
                await service.waiting.wait()
                raise KeyboardInterrupt

    run(main(), 5)


def test_what_cannot_serve_is_refused() -> None:
    untyped: Any = Server

    def plain(request: bytes, context: Context) -> bytes:
        return request

    async def coroutine(request: bytes, context: Context) -> bytes:
        return request

    with pytest.raises(TypeError, match=r"/test\.Raw/Get.*async def"):
        Server(handlers={RAW: plain}, address="127.0.0.1:0")
    with pytest.raises(TypeError, match=r"/test\.Raw/Stream.*yield"):
        Server(handlers={RAW_STREAM: coroutine}, address="127.0.0.1:0")
    with pytest.raises(TypeError, match=r"spanwire\.Service"):
        Server(object(), address="127.0.0.1:0")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"spanwire\.Method"):
        Server(handlers={"/a.B/C": coroutine}, address="127.0.0.1:0")

    async def main() -> None:
        for address, error in [("nowhere", ValueError), ("127.0.0.1:99999", ValueError), ("192.0.2.1:1", OSError)]:
            with pytest.raises(error):
                await Server(handlers={RAW: echo}, address=address).start()
        with pytest.raises(ValueError, match=r"registered before"):
            await Server(Echo(), Echo(), address="127.0.0.1:0").start()
        for option, value in [("max_connections", 0), ("stall_timeout", -1), ("handshake_timeout", float("inf"))]:
            with pytest.raises(ValueError, match=f"^{option}"):
                await untyped(handlers={RAW: echo}, address="127.0.0.1:0", **{option: value}).start()
        with pytest.raises(TypeError, match='Server has no option "port"'):
            await Server(handlers={RAW: echo}, address="127.0.0.1:0", port=1).start()  # type: ignore[call-arg]

    run(main())


class Abstract(Service):
    """What generated bases are like."""

    __spanwire_service__ = "test.Echo"
    __spanwire_methods__ = (("get", GET), ("double", DOUBLE))

    async def get(self, request: StringValue, context: Context) -> StringValue:
        raise RpcError(Code.UNIMPLEMENTED)

    async def double(self, requests: AsyncIterator[Int64Value], context: Context) -> AsyncIterator[Int64Value]:
        raise RpcError(Code.UNIMPLEMENTED)
        yield


def test_generator_that_raises_at_once_is_its_status() -> None:
    async def main() -> None:
        async with Server(Abstract(), address="127.0.0.1:0") as server, Channel(server.target) as channel:
            for call in (channel.call(GET, text("a")), channel.call(DOUBLE, []).receive()):
                with pytest.raises(RpcError, match=r"^UNIMPLEMENTED$"):
                    await call

    run(main())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates of a server and of a client that it has signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def key(name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]

    openssl("req", "-x509", *key("ca"), "-out", "ca.pem", "-subj", "/CN=test ca", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text(f"subjectAltName=DNS:{name}.test,IP:127.0.0.1")
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signer, "-out", f"{name}.pem", "-days", "2", "-extfile", "names")
    return folder


def test_tls_proves_the_server_and_mutual_tls_the_client(certificates: Path) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return context.tls_identity.certificates[0] if context.tls_identity else b"nobody"

    ours = Tls(
        ca_file=certificates / "ca.pem",
        certificate_file=certificates / "server.pem",
        key_file=str(certificates / "server.key"),
        client_certificate_optional=True,
    )
    assert "server.pem" in repr(ours)

    async def main() -> None:
        async with Server(handlers={RAW: get}, address="127.0.0.1:0", tls=ours) as server:
            by_pem = Tls(ca_pem=(certificates / "ca.pem").read_text())
            async with Channel(server.target, tls=by_pem) as channel:
                assert await channel.call(RAW, b"") == b"nobody"
            mutual = Tls(
                ca_pem=(certificates / "ca.pem").read_bytes(),
                certificate_pem=(certificates / "client.pem").read_bytes(),
                key_pem=(certificates / "client.key").read_bytes(),
                server_name="server.test",
            )
            async with Channel(server.target, tls=mutual) as channel:
                pem = (certificates / "client.pem").read_text()
                assert await channel.call(RAW, b"") == ssl.PEM_cert_to_DER_cert(pem)
            for wrong in (Tls(), Tls(ca_file=certificates / "ca.pem", server_name="other.test")):
                async with Channel(server.target, tls=wrong) as channel:
                    with pytest.raises(RpcError) as raised:
                        await channel.call(RAW, b"")
                    assert raised.value.code == Code.UNAVAILABLE and raised.value.sent == "not_sent"
            async with Channel(server.target, tls=Tls(danger_accept_any_certificate=True)) as channel:
                assert await channel.call(RAW, b"") == b"nobody"

    run(main())


def test_wrong_certificates_are_said_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.pem"):
        Channel("127.0.0.1:1", tls=Tls(ca_file=tmp_path / "none.pem"))
    with pytest.raises(ValueError, match=r"belong together"):
        Channel("127.0.0.1:1", tls=Tls(certificate_pem=b"x"))
    with pytest.raises(TypeError, match="ca_pem: bytes or str is due, not int"):
        Tls(ca_pem=1)  # type: ignore[arg-type]

    async def main() -> None:
        with pytest.raises(ValueError, match=r"certificate"):
            await Server(handlers={RAW: echo}, address="127.0.0.1:0", tls=Tls()).start()

    run(main())


SERVING = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from aio import Echo
from spanwire import Server

async def main():
    server = Server(Echo(), address="127.0.0.1:0")
    await server.start()
    print(server.port, flush=True)
    await server.run(grace=5)
    print("ended", flush=True)

{run}
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_by_a_signal(kind: signal.Signals, loop: str) -> None:
    start = "import trio; trio.run(main)" if loop == "trio" else f"import {loop}; {loop}.run(main())"
    program = SERVING.format(tests=os.path.dirname(__file__), run=start)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        async def main() -> None:
            async with Channel(f"127.0.0.1:{port}") as channel:
                await channel.call(COUNT, number(1)).receive()

        # Once it answers, it is in `run`.
        run(main())
        process.send_signal(kind)
        assert process.stdout.readline() == "ended\n"
        assert process.wait(5) == 0
