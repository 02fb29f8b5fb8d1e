"""Which call a task handles: calls that it makes inherit the deadline."""

from __future__ import annotations

import contextvars

from ._native import Context

CURRENT: contextvars.ContextVar[Context] = contextvars.ContextVar("spanwire.context")
