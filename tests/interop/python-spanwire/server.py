"""The official interop server, on Spanwire.

server.py --api=asyncio|sync --port=PORT [--use_tls=true --tls_cert_file=F --tls_key_file=F]
    [--web_origin=URL]

It listens on 127.0.0.1 only, until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from spanwire import Server, Tls, sync

import testing
from client import boolean

GRACE_SECONDS = 1.0
# Streams of load reports hold a thread each, as does every call that waits.
WORKERS = 64


async def serve(options: dict[str, Any]) -> None:
    """Serves on asyncio."""
    from service import TestService

    service = TestService()
    handlers = {testing.STREAM_CORE_METRICS: service.stream_core_metrics}
    await Server(service, handlers=handlers, **options).run(grace=GRACE_SECONDS)


def serve_sync(options: dict[str, Any]) -> None:
    """Serves on threads."""
    from service_sync import TestService

    service = TestService()
    handlers = {testing.STREAM_CORE_METRICS: service.stream_core_metrics}
    server = sync.Server(service, handlers=handlers, workers=WORKERS, **options)
    server.run(grace=GRACE_SECONDS)


def main() -> int:
    """Serves until a signal."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--api", choices=("asyncio", "sync"), default="asyncio")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--use_tls", type=boolean, default=False)
    parser.add_argument("--tls_cert_file", default=None)
    parser.add_argument("--tls_key_file", default=None)
    parser.add_argument("--web_origin", default=None, help="whose pages may call by gRPC-Web")
    flags = parser.parse_args()

    tls = None
    if flags.use_tls:
        tls = Tls(certificate_file=flags.tls_cert_file, key_file=flags.tls_key_file)
    options: dict[str, Any] = {"address": f"127.0.0.1:{flags.port}", "tls": tls}
    if flags.web_origin:
        names = ["x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"]
        pages = {"origins": [flags.web_origin], "allow_headers": names, "expose_headers": names[:1]}
        options["web"] = pages
    if flags.api == "asyncio":
        asyncio.run(serve(options))
    else:
        serve_sync(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
