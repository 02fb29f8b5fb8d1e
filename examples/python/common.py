"""What the examples share."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from spanwire import RpcError, Server, Service


async def serve(service: Service, address: str) -> None:
    """Serves until Ctrl-C or SIGTERM, lets the calls that run finish, and says goodbye."""
    server = Server(service, address=address)
    await server.start()
    print(f"listening on {server.target}", flush=True)
    await server.run(grace=5)
    print("bye")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a program; a call that failed is told on standard error, with exit code 1."""
    try:
        asyncio.run(main)
    except RpcError as error:
        sys.exit(str(error))
