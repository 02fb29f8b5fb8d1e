"""Whether gevent has taken over, and its modules, which nobody else needs."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def is_patched() -> bool:
    """Whether what the standard library calls threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def module(name: str) -> Any:
    """A module of gevent."""
    return importlib.import_module(name)
