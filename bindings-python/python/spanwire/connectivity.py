"""The state of a channel's connections."""

import enum

from .method import Bytes, Method, UnaryMethod


class Connectivity(enum.IntEnum):
    """The state of a channel's connections, in gRPC's words."""

    IDLE = 0
    """No connection and no wish for one; the next call makes one."""
    CONNECTING = 1
    """A connection is being made."""
    READY = 2
    """Calls are being carried."""
    TRANSIENT_FAILURE = 3
    """The last attempt failed; the next follows after a pause."""


# What the native module needs to know of an answer: that it is bytes.
CHANGED: UnaryMethod[Bytes, bytes] = Method.unary("/spanwire.Channel/ConnectivityChanged")
