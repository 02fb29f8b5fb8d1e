"""One request, one response.

python -m spanwire gen --lang python -I ../../proto/examples --out generated ../../proto/examples
python greeter.py server 127.0.0.1:50051
python greeter.py client 127.0.0.1:50051 Ada
"""

from __future__ import annotations

import sys

from common import run, serve
from generated.greeter.v1.greeter_pb2 import Greeting, GreetRequest
from generated.greeter.v1.greeter_spanwire import GreeterBase, GreeterClient
from spanwire import Channel, Code, Context, RpcError


class Polite(GreeterBase):
    """Greets whoever has a name."""

    async def greet(self, request: GreetRequest, context: Context) -> Greeting:
        """One greeting."""
        if not request.name:
            raise RpcError(Code.INVALID_ARGUMENT, "name is empty: whom shall I greet?")
        print(f"greeting {request.name} at {context.peer}", flush=True)
        return Greeting(text=f"Hello, {request.name}!")


async def greet(target: str, name: str) -> None:
    """Asks for one greeting and prints it."""
    async with Channel(target) as channel:
        greeter = GreeterClient(channel)
        # The server may still be starting: wait for it, but not for ever.
        greeting = await greeter.greet(GreetRequest(name=name), wait_for_ready=True, timeout=10)
        print(greeting.text)


match sys.argv[1:]:
    case ["server", address]:
        run(serve(Polite(), address))
    case ["client", target, name]:
        run(greet(target, name))
    case _:
        sys.exit("usage: greeter.py server ADDRESS | client TARGET NAME")
