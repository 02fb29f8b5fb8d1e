"""Bearer tokens that the program gets for itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from .errors import Code, RpcError

if TYPE_CHECKING:
    import asyncio

    from .options import Token, TokenSource

_Answer = tuple[int, str, float | None]


def bound(source: TokenSource) -> Callable[[], _Answer]:
    """What the engine asks, on a thread of its own: ``source``, awaited on the loop that runs here, if one does."""
    loop = _running_loop()

    def get() -> _Answer:
        try:
            token = source()
            if inspect.isawaitable(token):
                token = _awaited(token, loop)
            return _answer(token)
        except RpcError as error:
            return error.code.value, error.message, None
        except Exception as error:
            return Code.UNAVAILABLE.value, f"bearer_token: {type(error).__name__}: {error}", None

    return get


def _running_loop() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _awaited(token: Awaitable[Token], loop: asyncio.AbstractEventLoop | None) -> Token:
    import asyncio

    async def wait() -> Token:
        return await token

    if loop is None:
        return asyncio.run(wait())
    return asyncio.run_coroutine_threadsafe(wait(), loop).result()


def _answer(token: Token) -> _Answer:
    value, expires = (token, None) if isinstance(token, str) else token
    if not isinstance(value, str):
        raise TypeError(f"the source has to give a str, not {type(value).__name__}")
    return Code.OK.value, value, expires.timestamp() if isinstance(expires, datetime) else expires
