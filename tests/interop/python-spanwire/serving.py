"""What the service does alike on asyncio and on threads."""

from __future__ import annotations

import os

import spanwire
import spanwire.sync
from generated.grpc.testing import messages_pb2 as pb
from generated.load_report_pb2 import LoadReportRequest
from spanwire import Code, RpcError

from testing import INITIAL_KEY, REPORT_TRAILER, TRAILING_KEY, load_report

SERVER_ID = f"spanwire-python-{os.getpid()}"
MAX_RESPONSE_BYTES = 64 << 20
MIN_INTERVAL_SECONDS = 0.1
"""Load reports never come more often, whatever the client asks for."""

AnyContext = spanwire.Context | spanwire.sync.Context


def unary_call(request: pb.SimpleRequest, context: AnyContext) -> pb.SimpleResponse:
    """UnaryCall, whole."""
    check_claim(request, context)
    _echo_metadata(context)
    fail_if_asked(request.response_status)
    if request.response_compressed.value:
        context.set_compression("gzip")
    if request.HasField("orca_per_query_report"):
        report = load_report(request.orca_per_query_report)
        context.trailers.append(REPORT_TRAILER, report.SerializeToString())
    return pb.SimpleResponse(
        payload=_payload(request.response_type, request.response_size),
        server_id=SERVER_ID if request.fill_server_id else "",
    )


def begin_stream(context: AnyContext) -> None:
    """What comes before the first response of a stream."""
    _echo_metadata(context)
    # Which responses are to be compressed shows only later; plain ones may mix with them.
    context.set_compression("gzip")


def output_response(
    request: pb.StreamingOutputCallRequest, parameters: pb.ResponseParameters
) -> pb.StreamingOutputCallResponse:
    """One response, compressed or not as the parameters say."""
    response = pb.StreamingOutputCallResponse(
        payload=_payload(request.response_type, parameters.size)
    )
    return response if parameters.compressed.value else spanwire.uncompressed(response)


def check_claim(
    request: pb.SimpleRequest | pb.StreamingInputCallRequest, context: AnyContext
) -> None:
    """Fails a request that says of itself that it came compressed, or not, if that is not so."""
    claims = request.HasField("expect_compressed")
    if claims and request.expect_compressed.value != context.compressed:
        text = "the request did not come as expect_compressed says"
        raise RpcError(Code.INVALID_ARGUMENT, text)


def fail_if_asked(status: pb.EchoStatus) -> None:
    """Ends the call with the status that the request asks for."""
    if status.code:
        raise RpcError(Code(status.code), status.message)


def not_implemented() -> RpcError:
    """The error of a method that is not implemented."""
    return RpcError(Code.UNIMPLEMENTED, "nobody implements this method")


def interval_seconds(request: LoadReportRequest) -> float:
    """How long to wait from one load report to the next."""
    asked = request.report_interval
    return max(asked.seconds + asked.nanos / 1e9, MIN_INTERVAL_SECONDS)


def _echo_metadata(context: AnyContext) -> None:
    for value in context.metadata.get_all(INITIAL_KEY):
        context.headers.append(INITIAL_KEY, value)
    for value in context.metadata.get_all(TRAILING_KEY):
        context.trailers.append(TRAILING_KEY, value)


def _payload(kind: pb.PayloadType, size: int) -> pb.Payload:
    if kind != pb.COMPRESSABLE:
        raise RpcError(Code.INVALID_ARGUMENT, "response_type is not COMPRESSABLE")
    if not 0 <= size <= MAX_RESPONSE_BYTES:
        raise RpcError(Code.INVALID_ARGUMENT, "a response of that size cannot be made")
    return pb.Payload(body=bytes(size))
