"""The official interop server, on grpcio's public API.

    interop_server.py --port=PORT [--use_tls=true --tls_cert_file=F --tls_key_file=F]

It listens on 127.0.0.1 only. grpcio tells a handler nothing of the flag that
marks a request message as compressed, so `expect_compressed` is not checked:
the two client_compressed cases are not offered.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from interop_pb import empty_pb2, messages_pb2, test_pb2_grpc

from interop_client import INITIAL_KEY, TRAILING_KEY, boolean

SERVER_ID = f"grpcio-{os.getpid()}"


def _echo_metadata(context: grpc.ServicerContext) -> None:
    for key, value in context.invocation_metadata():
        if key == INITIAL_KEY:
            context.send_initial_metadata(((key, value),))
        elif key == TRAILING_KEY:
            context.set_trailing_metadata(((key, value),))


def _fail_if_asked(status: Any, context: grpc.ServicerContext) -> None:
    if status.code == 0:
        return
    for code in grpc.StatusCode:
        if code.value[0] == status.code:
            context.abort(code, status.message)
    context.abort(grpc.StatusCode.UNKNOWN, f"code {status.code}: {status.message}")


def _payload(request: Any, size: int, context: grpc.ServicerContext) -> Any:
    if request.response_type != messages_pb2.COMPRESSABLE:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "response_type is not COMPRESSABLE")
    return messages_pb2.Payload(body=bytes(size))


class TestService(test_pb2_grpc.TestServiceServicer):  # type: ignore[misc]
    """The features that doc/interop-test-descriptions.md lists for servers."""

    def EmptyCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers with nothing."""
        return empty_pb2.Empty()

    def UnaryCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers with as many bytes as asked for."""
        _echo_metadata(context)
        _fail_if_asked(request.response_status, context)
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        return messages_pb2.SimpleResponse(
            payload=_payload(request, request.response_size, context),
            server_id=SERVER_ID if request.fill_server_id else "",
        )

    def StreamingOutputCall(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Answers with one message for each of the parameters."""
        _echo_metadata(context)
        _fail_if_asked(request.response_status, context)
        if any(each.compressed.value for each in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        yield from self._responses(request, context)

    def _responses(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for each in request.response_parameters:
            time.sleep(each.interval_us / 1e6)
            if not each.compressed.value:
                context.disable_next_message_compression()
            yield messages_pb2.StreamingOutputCallResponse(
                payload=_payload(request, each.size, context)
            )

    def StreamingInputCall(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """Answers with the sum of all payload sizes."""
        total = sum(len(request.payload.body) for request in requests)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answers each request as StreamingOutputCall does, as it comes."""
        _echo_metadata(context)
        for request in requests:
            _fail_if_asked(request.response_status, context)
            yield from self._responses(request, context)

    def HalfDuplexCall(
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answers all requests once the last one is there."""
        for request in list(requests):
            yield from self._responses(request, context)


def main() -> int:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--use_tls", type=boolean, default=False)
    parser.add_argument("--tls_cert_file", default="")
    parser.add_argument("--tls_key_file", default="")
    flags = parser.parse_args()

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    test_pb2_grpc.add_TestServiceServicer_to_server(TestService(), server)
    address = f"127.0.0.1:{flags.port}"
    if flags.use_tls:
        key = Path(flags.tls_key_file).read_bytes()
        chain = Path(flags.tls_cert_file).read_bytes()
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
    else:
        server.add_insecure_port(address)
    server.start()

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop(grace=0.5).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
