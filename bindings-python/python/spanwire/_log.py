"""What goes to ``logging.getLogger("spanwire")``."""

from __future__ import annotations

import logging

logger = logging.getLogger("spanwire")


def handler_failed(method: str, error: BaseException) -> None:
    """A handler raised what is no RpcError: the client learns nothing of it."""
    logger.error("the handler of %s failed", method, exc_info=error)
