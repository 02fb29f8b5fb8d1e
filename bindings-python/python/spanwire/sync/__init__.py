"""The blocking API: clients for threads, servers with a pool of threads; under gevent, greenlets.

It has the names of the asyncio API and no ``await``::

    with spanwire.sync.Channel("dns:///orders:443", tls=spanwire.Tls()) as channel:
        orders = OrdersSyncClient(channel)
        order = orders.get(GetOrder(id=7), timeout=1.0)
        for update in orders.watch(Watch(id=7)):
            ...

    spanwire.sync.Server(Orders(), address="0.0.0.0:443", tls=...).run()

Everything here may be used from any thread. Waiting lets go of the interpreter, and Ctrl-C ends it.
"""

from .._native import SyncContext as Context
from ..connectivity import Connectivity
from ..interceptor import CallInfo
from ._calls import BidiCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall
from ._channel import Channel, Client
from ._interceptors import ClientInterceptor, ServerInterceptor
from ._server import Handler, Server, Service

__all__ = [
    "BidiCall",
    "Call",
    "CallInfo",
    "Channel",
    "Client",
    "ClientInterceptor",
    "ClientStreamingCall",
    "Connectivity",
    "Context",
    "Handler",
    "Server",
    "ServerInterceptor",
    "ServerStreamingCall",
    "Service",
    "UnaryCall",
]
