"""The end of the chain, on threads: server.py ENDPOINT PROPAGATORS. Prints its target."""

from __future__ import annotations

import sys

from spanwire import Method, sync


def answer(request: bytes, context: sync.Context) -> bytes:
    """What came."""
    assert context.traceparent is not None
    return request


endpoint, propagators = sys.argv[1:]
telemetry = {"endpoint": endpoint, "service_name": "python", "propagators": propagators}
handlers = {Method.unary("/test.Chain/Call"): answer}
with sync.Server(handlers=handlers, address="127.0.0.1:0", telemetry=telemetry) as server:
    print(server.target, flush=True)
    server.wait()
