"""The engine's traces and those of OpenTelemetry's package for Python are one, for programs that use both.

It is no dependency, and nothing here imports it: a program that has not done so is in none of its spans.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import Context

_API = "opentelemetry.trace"


def current() -> tuple[str, str] | None:
    """The span that the running code is in, as ``traceparent`` and ``tracestate`` have it."""
    if _API not in sys.modules:
        return None
    # Another thread may still be at it, which this waits for.
    place = importlib.import_module(_API).get_current_span().get_span_context()
    if not place.is_valid:
        return None
    traceparent = f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"
    return traceparent, place.trace_state.to_header()


def enter(context: Context, tracestate: str | None) -> None:
    """Makes the span of a handled call the current one, for the current context of ``contextvars``."""
    if _API not in sys.modules:
        return
    api: Any = importlib.import_module(_API)
    _, trace_id, span_id, flags = (context.traceparent or "").split("-")
    place = api.SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=False,
        trace_flags=api.TraceFlags(int(flags, 16)),
        trace_state=api.TraceState.from_header([tracestate] if tracestate else []),
    )
    importlib.import_module("opentelemetry.context").attach(api.set_span_in_context(api.NonRecordingSpan(place)))
