"""Loads a server of bench.v1.Echo and prints what it did as one line of JSON.

client.py LIBRARY PORT SECONDS IN_FLIGHT SIZE MODE [--raw]
"""

from __future__ import annotations

import argparse
import importlib

import echo
import loops


def main() -> None:
    """Does one job."""
    parser = echo.arguments(__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("size", type=int)
    parser.add_argument("mode", choices=("unary", "ping_pong", "down", "up"))
    flags = parser.parse_args()
    if flags.library.endswith("-sync"):
        load_sync(flags)
    else:
        loops.run(flags.library, load_asyncio(flags))


async def load_asyncio(flags: argparse.Namespace) -> None:
    """On an event loop."""
    from load_asyncio import load

    messages = echo.Messages(flags.raw)
    client, close = importlib.import_module(loops.module(flags.library)).connect(
        flags.port, messages
    )
    await load(client, messages, flags.seconds, flags.in_flight, flags.size, flags.mode)
    await close()


def load_sync(flags: argparse.Namespace) -> None:
    """On threads."""
    from load_sync import load

    messages = echo.Messages(flags.raw)
    client, close = importlib.import_module(loops.module(flags.library)).connect(
        flags.port, messages
    )
    load(client, messages, flags.seconds, flags.in_flight, flags.size, flags.mode)
    close()


if __name__ == "__main__":
    main()
