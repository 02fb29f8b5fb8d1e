"""The server that is attacked, in Python; see ../src/bin/spanwire-attack-server.rs."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import re
import sys
import threading
from collections.abc import AsyncIterator

from spanwire import Context, Method, Server, Tls

TARGET = "/attack.Target"


class _Mallinfo2(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in re.findall(r"\w+", _names)]


def held() -> int:
    """The bytes that are allocated."""
    gc.collect()
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _Mallinfo2
    memory = library.mallinfo2()
    return int(memory.uordblks + memory.hblkhd)


def answer_questions() -> None:
    """Whoever started this server holds the other end: it never outlives its attacker."""
    for _ in sys.stdin:
        print(held(), flush=True)
    os._exit(0)


async def echo(request: bytes, _context: Context) -> bytes:
    """What came."""
    return request


async def who_am_i(_request: bytes, context: Context) -> bytes:
    """The address of the connection's other end: the same as long as the connection is."""
    return context.peer.encode()


async def wait(_request: bytes, _context: Context) -> bytes:
    """Never answers."""
    return await asyncio.get_running_loop().create_future()


async def down(request: bytes, _context: Context) -> AsyncIterator[bytes]:
    """As many messages of such a size as the request says: `count size`."""
    count, size = (int(word) for word in request.split())
    message = bytes(size)
    for _ in range(count):
        yield message


async def up(requests: AsyncIterator[bytes], _context: Context) -> bytes:
    """The number of messages."""
    count = 0
    async for _ in requests:
        count += 1
    return str(count).encode()


async def stall(_requests: AsyncIterator[bytes], _context: Context) -> bytes:
    """Reads nothing, and never answers."""
    return await asyncio.get_running_loop().create_future()


async def main() -> None:
    """Serves until its standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate-pem")
    parser.add_argument("--key-pem")
    parser.add_argument("--handshake-timeout-ms", type=int)
    parser.add_argument("--max-connections", type=int)
    parser.add_argument("--max-recv-message-bytes", type=int)
    parser.add_argument("--max-unfinished-request-bytes", type=int)
    flags = parser.parse_args()
    tls = None
    if flags.certificate_pem:
        tls = Tls(certificate_pem=flags.certificate_pem, key_pem=flags.key_pem)
    timeout = flags.handshake_timeout_ms
    server = Server(
        handlers={
            Method.unary(f"{TARGET}/Echo"): echo,
            Method.unary(f"{TARGET}/WhoAmI"): who_am_i,
            Method.unary(f"{TARGET}/Wait"): wait,
            Method.server_streaming(f"{TARGET}/Down"): down,
            Method.client_streaming(f"{TARGET}/Up"): up,
            Method.client_streaming(f"{TARGET}/Stall"): stall,
        },
        address="127.0.0.1:0",
        tls=tls,
        handshake_timeout=None if timeout is None else timeout / 1000,
        max_connections=flags.max_connections,
        max_recv_message_bytes=flags.max_recv_message_bytes,
        max_unfinished_request_bytes=flags.max_unfinished_request_bytes,
    )
    async with server:
        print(server.port, flush=True)
        threading.Thread(target=answer_questions, daemon=True).start()
        await server.wait()


asyncio.run(main())
