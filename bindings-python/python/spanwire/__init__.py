"""gRPC for Python: asyncio (and trio) here, blocking in :mod:`spanwire.sync`; one engine below both."""

import atexit
import os

from . import _native
from ._native import Tls
from .errors import Code, RpcError
from .metadata import Metadata
from .method import Kind, Method

__all__ = ["Code", "Kind", "Metadata", "Method", "RpcError", "Tls"]

# The engine's threads end before the interpreter does, and do not come along into the child of a fork.
atexit.register(_native.shutdown)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.after_fork_in_child)
