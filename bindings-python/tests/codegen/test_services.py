"""Generated clients and servers talk to each other: all kinds, asyncio and blocking, also where names are escaped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROTOS = ROOT / "codegen" / "tests"

ASYNCIO = """
import asyncio, spanwire
from generated.edge import kinds_pb2 as kinds, legacy_types_pb2 as legacy
from generated.edge.kinds_spanwire import Words_Base, Words_Client
from generated.money.money_pb2 import Amount

class Service(Words_Base):
    async def from_(self, request, context):
        return kinds.None_.class_(none=request)
    async def spanwire_(self, request, context):
        for _ in range(request.int):
            yield kinds.None_(truth="Name")
    async def overload_(self, requests, context):
        return kinds.Words(int=sum([request.int async for request in requests]))
    async def lambda_(self, requests, context):
        async for request in requests:
            yield Amount(cents=request.int)
    async def words_pb2_(self, request, context):
        return legacy.Legacy(id=request.int)
    async def init(self, request, context):
        raise spanwire.RpcError(spanwire.Code.NOT_FOUND, "nothing")

async def main():
    words = [kinds.Words(int=1), kinds.Words(int=2)]
    async with spanwire.Server(Service(), address="inprocess:asyncio") as server:
        async with spanwire.Channel(server.target) as channel:
            client = Words_Client(channel)
            assert (await client.from_(kinds.None_(truth="Name"))).none.truth == kinds.None_.Name
            assert len([each async for each in client.spanwire_(kinds.Words(int=3))]) == 3
            assert (await client.overload_(words)).int == 3
            assert [each.cents async for each in client.lambda_(words)] == [1, 2]
            assert (await client.words_pb2_(kinds.Words(int=7), timeout=5)).id == 7
            try:
                await client.init(kinds.Words())
            except spanwire.RpcError as error:
                assert error.code == spanwire.Code.NOT_FOUND
            else:
                raise AssertionError("answered")

asyncio.run(main())
"""

BLOCKING = """
import spanwire, spanwire.sync
from generated.edge import kinds_pb2 as kinds, legacy_types_pb2 as legacy
from generated.edge.kinds_spanwire import Words_SyncBase, Words_SyncClient
from generated.money.money_pb2 import Amount

class Service(Words_SyncBase):
    def from_(self, request, context):
        return kinds.None_.class_(none=request)
    def spanwire_(self, request, context):
        for _ in range(request.int):
            yield kinds.None_(truth="Name")
    def overload_(self, requests, context):
        return kinds.Words(int=sum(request.int for request in requests))
    def lambda_(self, requests, context):
        for request in requests:
            yield Amount(cents=request.int)
    def words_pb2_(self, request, context):
        return legacy.Legacy(id=request.int)
    def init(self, request, context):
        raise spanwire.RpcError(spanwire.Code.NOT_FOUND, "nothing")

words = [kinds.Words(int=1), kinds.Words(int=2)]
with spanwire.sync.Server(Service(), address="inprocess:blocking") as server:
    with spanwire.sync.Channel(server.target) as channel:
        client = Words_SyncClient(channel)
        assert client.from_(kinds.None_(truth="Name")).none.truth == kinds.None_.Name
        assert len(list(client.spanwire_(kinds.Words(int=3)))) == 3
        assert client.overload_(words).int == 3
        with client.overload_() as call:
            call.send(words[1])
            assert call.result().int == 2
        assert [each.cents for each in client.lambda_(words)] == [1, 2]
        assert client.words_pb2_(kinds.Words(int=7), timeout=5).id == 7
        try:
            client.init(kinds.Words())
        except spanwire.RpcError as error:
            assert error.code == spanwire.Code.NOT_FOUND
        else:
            raise AssertionError("answered")
"""

ABSTRACT = """
from generated.orders_spanwire import OrdersBase, OrdersSyncBase

for base in (OrdersBase, OrdersSyncBase):
    try:
        type("Half", (base,), {"get": lambda self, request, context: None})()
    except TypeError as error:
        assert "chat" in str(error)
    else:
        raise AssertionError("a server without all methods")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `generated`."""
    folder = tmp_path_factory.mktemp("services")
    includes = [f"-I{PROTOS / name}" for name in ("protos", "python-protos")]
    files = [PROTOS / "protos" / "orders.proto", PROTOS / "python-protos" / "edge" / "kinds.proto"]
    gen: list[str | Path] = [sys.executable, "-m", "spanwire", "gen", "--lang", "python", "--out", folder / "generated"]
    subprocess.run([*gen, *includes, *files], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.parametrize("program", [ASYNCIO, BLOCKING, ABSTRACT], ids=["asyncio", "blocking", "abstract"])
def test_generated_services_work(project: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
