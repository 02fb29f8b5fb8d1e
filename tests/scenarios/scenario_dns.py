"""A name server for one name, whose answers a scenario changes while clients ask."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence

NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
TYPE_A = 1
ANSWER_TTL_SECONDS = 1


def answer(query: bytes, name: str, addresses: Sequence[str] | int) -> bytes:
    """The response to a query: these addresses, or this error code; other names do not exist."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    (kind,) = struct.unpack("!H", question[-4:-2])
    asked = question[:-4].lower() == _labels(name)
    code = addresses if isinstance(addresses, int) else NO_ERROR
    found = [] if isinstance(addresses, int) or kind != TYPE_A else addresses
    if not asked:
        code, found = NO_SUCH_NAME, []
    # A response, with recursion wanted and available.
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
    # 0xC00C is the name of the question.
    records = b"".join(
        struct.pack("!HHHIH", 0xC00C, TYPE_A, 1, ANSWER_TTL_SECONDS, 4) + socket.inet_aton(address)
        for address in found
    )
    return head + question + records


def _labels(name: str) -> bytes:
    parts = [part.encode() for part in name.split(".")]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


class NameServer:
    """Answers on port 53 of an address of this machine until it is closed."""

    def __init__(self, address: str, name: str) -> None:
        self.addresses: Sequence[str] | int = []
        """What the name leads to, or the error code of the answers."""
        self.questions = 0
        self._name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(4096)
            self.questions += 1
            self._socket.sendto(answer(query, self._name, self.addresses), peer)
