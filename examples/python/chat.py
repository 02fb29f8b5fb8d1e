"""Messages both ways at once: what one says, all hear.

python -m spanwire gen --lang python -I ../../proto/examples --out generated ../../proto/examples
python chat.py server 127.0.0.1:50052
python chat.py client 127.0.0.1:50052 ada
python chat.py client 127.0.0.1:50052 grace
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from common import run, serve
from generated.chat.v1.chat_pb2 import Said, Say
from generated.chat.v1.chat_spanwire import ChatBase, ChatClient
from spanwire import Channel, Code, Context, RpcError

BACKLOG = 256
"""What a listener may be behind, in messages."""


class Listener:
    """What one of those in the room has not heard yet."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Said | None] = asyncio.Queue(BACKLOG)
        self._missed = False

    def tell(self, said: Said | None) -> None:
        """Takes in what was said; None when there is no more to hear."""
        try:
            self._waiting.put_nowait(said)
        except asyncio.QueueFull:
            self._missed = True

    async def hear(self) -> Said | None:
        """What was said next."""
        said = await self._waiting.get()
        if self._missed:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "messages came faster than you read")
        return said


class Room(ChatBase):
    """One room for all."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def tell(self, name: str, text: str) -> None:
        """Tells everyone in the room."""
        for listener in self._listeners:
            listener.tell(Said(name=name, text=text))

    async def join(self, requests: AsyncIterator[Say], context: Context) -> AsyncIterator[Said]:
        """Hears all and says something, until the client leaves."""
        name = context.metadata.get("chat-name")
        if not isinstance(name, str):
            raise RpcError(Code.INVALID_ARGUMENT, "the metadata have no chat-name")
        me = Listener()

        async def pass_on() -> None:
            with contextlib.suppress(RpcError):
                async for say in requests:
                    self.tell(name, say.text)
            # What was said before is still heard.
            me.tell(None)

        self._listeners.add(me)
        self.tell("", f"{name} joined")
        passing_on = asyncio.create_task(pass_on())
        # However the call ends: if the client is gone, the task of this handler is cancelled.
        try:
            while (said := await me.hear()) is not None:
                yield said
        finally:
            passing_on.cancel()
            self._listeners.discard(me)
            self.tell("", f"{name} left")


async def lines_of_stdin() -> AsyncIterator[str]:
    """Lines as they are typed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        yield line.decode().rstrip("\n")


async def chat(target: str, name: str) -> None:
    """Says what is typed and prints what is heard."""

    async def words() -> AsyncIterator[Say]:
        async for line in lines_of_stdin():
            yield Say(text=line)

    async with Channel(target) as channel:
        room = ChatClient(channel)
        heard = room.join(words(), metadata={"chat-name": name}, wait_for_ready=True)
        async for said in heard:
            print(f"{said.name}: {said.text}" if said.name else f"* {said.text}", flush=True)


match sys.argv[1:]:
    case ["server", address]:
        run(serve(Room(), address))
    case ["client", target, name]:
        run(chat(target, name))
    case _:
        sys.exit("usage: chat.py server ADDRESS | client TARGET NAME")
