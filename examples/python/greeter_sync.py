"""One request, one response, without asyncio.

python -m spanwire gen --lang python -I ../../proto/examples --out generated ../../proto/examples
python greeter_sync.py server 127.0.0.1:50051
python greeter_sync.py client 127.0.0.1:50051 Ada
"""

from __future__ import annotations

import sys

from generated.greeter.v1.greeter_pb2 import Greeting, GreetRequest
from generated.greeter.v1.greeter_spanwire import GreeterSyncBase, GreeterSyncClient
from spanwire import Code, RpcError
from spanwire.sync import Channel, Context, Server


class Polite(GreeterSyncBase):
    """Greets whoever has a name. Several threads call it at the same time."""

    def greet(self, request: GreetRequest, context: Context) -> Greeting:
        """One greeting."""
        if not request.name:
            raise RpcError(Code.INVALID_ARGUMENT, "name is empty: whom shall I greet?")
        print(f"greeting {request.name} at {context.peer}", flush=True)
        return Greeting(text=f"Hello, {request.name}!")


def serve(address: str) -> None:
    """Serves until Ctrl-C or SIGTERM, and lets the calls that run finish."""
    server = Server(Polite(), address=address)
    server.start()
    print(f"listening on {server.target}", flush=True)
    server.run(grace=5)
    print("bye")


def greet(target: str, name: str) -> None:
    """Asks for one greeting and prints it."""
    with Channel(target) as channel:
        greeter = GreeterSyncClient(channel)
        # The server may still be starting: wait for it, but not for ever.
        greeting = greeter.greet(GreetRequest(name=name), wait_for_ready=True, timeout=10)
        print(greeting.text)


match sys.argv[1:]:
    case ["server", address]:
        serve(address)
    case ["client", target, name]:
        try:
            greet(target, name)
        except RpcError as error:
            sys.exit(str(error))
    case _:
        sys.exit("usage: greeter_sync.py server ADDRESS | client TARGET NAME")
