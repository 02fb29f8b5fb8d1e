"""A network namespace of the runner's own.

Some official interop servers listen on every interface. In a namespace that
has nothing but loopback they are reachable by nobody else, and no port is
ever taken by another program.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x4000_0000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def enter_private_network() -> str | None:
    """Moves this process and its later children into a network of their own.

    Needs root and Linux. Returns None when done, else why not: the caller
    then goes on in the network that it has. Call it before starting threads.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            return os.strerror(ctypes.get_errno())
    except (AttributeError, OSError) as error:
        return str(error)
    # A new namespace comes with loopback switched off.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", IFF_UP)
        fcntl.ioctl(control.fileno(), SIOCSIFFLAGS, request)
    return None
