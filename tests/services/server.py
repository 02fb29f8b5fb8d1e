"""Greets at an address, with health, reflection and channelz, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys

from greeter.v1.greeter_pb2 import Greeting, GreetRequest
from greeter.v1.greeter_spanwire import GreeterBase
from spanwire import Context, Server


class Polite(GreeterBase):
    """Greets whoever asks."""

    async def greet(self, request: GreetRequest, context: Context) -> Greeting:
        """One greeting."""
        return Greeting(text=f"Hello, {request.name}!")


async def main(address: str) -> None:
    """The whole program."""
    server = Server(
        Polite(), address=address, health=True, reflection=True, channelz=True, drain_delay=2
    )
    server.set_health("greeter.v1.Greeter", True)
    await server.run(grace=20)


asyncio.run(main(sys.argv[1]))
