"""gRPC for Python: asyncio (and trio) here, blocking in :mod:`spanwire.sync`; one engine below both."""

import atexit
import os

# Some only for the native module, which looks them up when it needs them: a fork must not come upon their import.
from . import _context, _feed, _log, _loop, _native  # noqa: F401
from ._native import Context, Jwt, Tls, TlsIdentity
from .call import BidiCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall
from .channel import Channel, Client
from .connectivity import Connectivity
from .errors import Code, RpcError
from .interceptor import CallInfo, Interceptor, Next, only
from .metadata import Metadata
from .method import Kind, Method, uncompressed
from .options import CallOptions, ChannelOptions, ServerOptions
from .server import Server, Service

__all__ = [
    "BidiCall",
    "Call",
    "CallInfo",
    "CallOptions",
    "Channel",
    "ChannelOptions",
    "Client",
    "ClientStreamingCall",
    "Code",
    "Connectivity",
    "Context",
    "Interceptor",
    "Jwt",
    "Kind",
    "Metadata",
    "Method",
    "Next",
    "RpcError",
    "Server",
    "ServerOptions",
    "ServerStreamingCall",
    "Service",
    "Tls",
    "TlsIdentity",
    "UnaryCall",
    "only",
    "uncompressed",
]

# The engine's threads end before the interpreter does, and do not come along into the child of a fork.
atexit.register(_native.shutdown)
atexit.register(_log.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.after_fork_in_child)
