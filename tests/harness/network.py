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
from collections.abc import Mapping
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
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
    _switch_loopback_on()
    return None


def _switch_loopback_on() -> None:
    """A new namespace comes with it switched off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", IFF_UP)
        fcntl.ioctl(control.fileno(), SIOCSIFFLAGS, request)


def enter_private_machine(files: Mapping[Path, Path]) -> None:
    """As `enter_private_network`, with files of our own in the place of system files.

    Needs Linux, and root or the right to be root in a namespace of one's own. Call it before
    starting threads.

    Raises:
        OSError: why it cannot be done.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    user, group = os.geteuid(), os.getegid()
    become_root = 0 if user == 0 else CLONE_NEWUSER
    check(libc.unshare(CLONE_NEWNET | CLONE_NEWNS | become_root), "unshare")
    if become_root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    # Else what is mounted here would be mounted for everybody.
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    for system, own in files.items():
        source, place = str(own).encode(), str(system).encode()
        check(libc.mount(source, place, None, MS_BIND, None), f"mount {system}")
    _switch_loopback_on()
