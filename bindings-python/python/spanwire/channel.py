"""Channels, and what generated clients are built on."""

from __future__ import annotations

from types import TracebackType

from . import _native
from .connectivity import CHANGED, Connectivity


class Channel(_native.Channel):
    """A connection to a service, made when it is needed and again when it is lost::

        async with Channel("dns:///orders:443", tls=Tls()) as channel:
            orders = OrdersClient(channel)

    Any number of calls, tasks and event loops may use it at once. After a fork, the child's first call makes a
    connection of its own.

    Args:
        target: ``dns:///host:port``, ``host:port``, ``unix:/path``, ``inprocess:name``, or an address.
        interceptors: see :mod:`spanwire.interceptor`; the first is the outermost.
        **options: see :class:`spanwire.options.ChannelOptions`.

    Raises:
        ValueError: the target, an option or a certificate cannot be used; the text says which and why.
        TypeError: an option has a wrong type, or there is none of this name.
    """

    __slots__ = ()

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connectivity(self) -> Connectivity:
        """The state of the connections."""
        return Connectivity(self._connectivity())

    async def connectivity_changed(self, known: Connectivity, *, timeout: float | None = None) -> Connectivity:
        """Waits until the state of the connections is another than `known`, and gives it.

        States that last only a moment may be missed.

        Raises:
            RpcError: DEADLINE_EXCEEDED when the timeout (seconds) is over, CANCELLED when the channel is closed.
        """
        call = self._connectivity_changed(CHANGED, known, timeout)
        try:
            number: bytes = await call
        finally:
            call.cancel()
        return Connectivity(number[0])

    async def close(self) -> None:
        """Lets go of the connection: no more calls can be made. Those that are under way go on, and end it."""
        self._close()


class Client:
    """What generated clients are built on: they make the calls of one service on a channel."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel) -> None:
        """A client on a channel, which may have any number of them."""
        self._channel = channel
