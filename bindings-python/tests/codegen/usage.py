"""What type checkers must accept of generated code, and what they must refuse.

A line that must be refused says so; mypy and pyright both complain of one that is not.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Literal, assert_type

from generated import orders_pb2
from generated.edge import kinds_pb2 as kinds
from generated.money import money_pb2 as money
from generated.orders_spanwire import (
    ORDERS_GET,
    OrdersBase,
    OrdersClient,
    OrdersSyncBase,
    OrdersSyncClient,
)
from google.protobuf import empty_pb2, timestamp_pb2

import spanwire
import spanwire.sync


def messages(everything: kinds.Everything, order: orders_pb2.Order) -> None:
    """Fields, and what the constructor takes."""
    assert_type(everything.an_int32, int)
    assert_type(everything.level, kinds.Level)
    assert_type(everything.amounts[0], money.Amount)
    assert_type(everything.names[1], str)
    assert_type(everything.prices["x"].cents, int)
    assert_type(everything.levels[0], kinds.Level)
    assert_type(order.placed, timestamp_pb2.Timestamp)
    assert_type(kinds.Level.values(), list[kinds.Level])
    assert_type(kinds.Level.Value("LEVEL_HIGH"), kinds.Level)
    assert_type(everything.WhichOneof("other"), Literal["number", "other_level"] | None)
    order.state = orders_pb2.Order.STATE_PAID
    order.state = orders_pb2.Order.State.STATE_PAID
    level: kinds.Level.ValueType = kinds.LEVEL_TOP
    everything.level = level
    orders_pb2.Order(state="STATE_PAID", total={"cents": 1}, files={"a": b"x"})

    order.state = 1  # type: ignore[assignment]
    order.state = kinds.LEVEL_HIGH  # type: ignore[assignment]
    order.id = "7"  # type: ignore[assignment]
    order.placed = timestamp_pb2.Timestamp()  # type: ignore[misc]
    order.total_typo = 1  # type: ignore[attr-defined]
    orders_pb2.Order(1)  # type: ignore[call-arg]
    orders_pb2.Order(idd=1)  # type: ignore[call-arg]
    orders_pb2.Order(files={"a": "x"})  # type: ignore[dict-item]
    order.HasField("id")  # type: ignore[arg-type]
    order.ClearField("none")  # type: ignore[arg-type]
    order.WhichOneof("paymentt")  # type: ignore[arg-type]
    everything.amounts.append(1)  # type: ignore[arg-type]


async def asynchronous(orders: OrdersClient) -> None:
    """The client for asyncio."""
    request = orders_pb2.GetOrder(id=7)
    assert_type(await orders.get(request, timeout=1.0), orders_pb2.Order)
    async for update in orders.watch(request, metadata={"k": "v"}):
        assert_type(update, orders_pb2.Order)
    assert_type(await orders.upload([orders_pb2.Order()]), empty_pb2.Empty)
    async with orders.chat() as call:
        await call.send(orders_pb2.Order())
        assert_type(await call.receive(), orders_pb2.Order | None)
    assert_type(ORDERS_GET.path, str)

    orders.get(orders_pb2.Order())  # type: ignore[arg-type]
    orders.get(request, timeoutt=1.0)  # type: ignore[call-arg]
    orders.get()  # type: ignore[call-arg]


def blocking(orders: OrdersSyncClient) -> None:
    """The client for threads."""
    request = orders_pb2.GetOrder(id=7)
    assert_type(orders.get(request, timeout=1.0), orders_pb2.Order)
    for update in orders.watch(request):
        assert_type(update, orders_pb2.Order)
    assert_type(orders.upload([orders_pb2.Order()]), empty_pb2.Empty)
    with orders.upload() as call:
        call.send(orders_pb2.Order())
        assert_type(call.result(), empty_pb2.Empty)
    for reply in orders.chat([orders_pb2.Order()]):
        assert_type(reply, orders_pb2.Order)

    orders.upload([request])  # type: ignore[list-item]


class Orders(OrdersBase):
    """A server for asyncio; parameters may have names of one's own."""

    async def get(self, wanted: orders_pb2.GetOrder, context: spanwire.Context) -> orders_pb2.Order:
        return orders_pb2.Order(id=wanted.id)

    async def watch(self, request: orders_pb2.GetOrder, context: spanwire.Context) -> AsyncIterator[orders_pb2.Order]:
        yield orders_pb2.Order(id=request.id)

    async def upload(self, requests: AsyncIterator[orders_pb2.Order], context: spanwire.Context) -> empty_pb2.Empty:
        async for _ in requests:
            pass
        return empty_pb2.Empty()

    async def chat(
        self, requests: AsyncIterator[orders_pb2.Order], context: spanwire.Context
    ) -> AsyncIterator[orders_pb2.Order]:
        async for request in requests:
            yield request

    async def fetch(self, request: orders_pb2.GetOrder, context: spanwire.Context) -> orders_pb2.Order:
        return await self.get(request, context)

    async def clear(self, request: empty_pb2.Empty, context: spanwire.Context) -> timestamp_pb2.Timestamp:
        return timestamp_pb2.Timestamp()


class SyncOrders(OrdersSyncBase):
    """A server for threads, with all but one of its methods."""

    def get(self, request: orders_pb2.GetOrder, context: spanwire.sync.Context) -> orders_pb2.Order:
        return orders_pb2.Order(id=request.id)

    def watch(self, request: orders_pb2.GetOrder, context: spanwire.sync.Context) -> Iterator[orders_pb2.Order]:
        yield orders_pb2.Order(id=request.id)

    def upload(self, requests: Iterator[orders_pb2.Order], context: spanwire.sync.Context) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def chat(self, requests: Iterator[orders_pb2.Order], context: spanwire.sync.Context) -> Iterator[orders_pb2.Order]:
        yield from requests

    def fetch(self, request: orders_pb2.GetOrder, context: spanwire.sync.Context) -> orders_pb2.Order:
        return orders_pb2.Order()


class Wrong(OrdersSyncBase):
    """Another answer than the .proto says."""

    def get(self, request: orders_pb2.GetOrder, context: spanwire.sync.Context) -> str:  # type: ignore[override]
        return "order"


spanwire.Server(Orders(), address="127.0.0.1:0")
SyncOrders()  # type: ignore[abstract]
