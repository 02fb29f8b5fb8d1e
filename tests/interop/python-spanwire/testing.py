"""What the interop clients and servers share: names, sizes, checks and flags.

The messages and services are generated into target/interop/python-spanwire,
by `spanwire gen`, as the package `generated`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "target/interop/python-spanwire"))

import spanwire
from generated.grpc.testing import messages_pb2 as pb
from generated.load_report_pb2 import LoadReport, LoadReportRequest, NamedNumber

NOT_OFFERED_EXIT = 77
CALL_LIMIT_SECONDS = 20.0
"""No call of a case takes longer, unless the case is about time."""

LARGE_REQUEST = 271_828
LARGE_RESPONSE = 314_159
REQUEST_SIZES = (27_182, 8, 1_828, 45_904)
RESPONSE_SIZES = (31_415, 9, 2_653, 58_979)
COMPRESSED_RESPONSE_SIZES = ((31_415, True), (92_653, False))
"""Payload bytes, and whether the response is to come compressed."""

INITIAL_KEY, INITIAL_VALUE = "x-grpc-test-echo-initial", "test_initial_metadata_value"
TRAILING_KEY, TRAILING_VALUE = "x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"
STATUS_MESSAGE = "test status message"
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
REPORT_TRAILER = "endpoint-load-metrics-bin"
"""The trailer that carries the load report of one call."""

STREAM_CORE_METRICS = spanwire.Method.server_streaming(
    "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", LoadReportRequest, LoadReport
)

NOT_OFFERED = {
    "cacheable_unary": "calls never go as GET, so no HTTP cache can answer them",
    "max_concurrent_streams_connection_scaling": "a channel opens one connection per address",
}


class CaseFailed(Exception):
    """A case's assertion did not hold; the text says which."""


def check(condition: bool, text: str) -> None:
    """Fails the case with `text` unless `condition` holds."""
    if not condition:
        raise CaseFailed(text)


def check_equal(found: object, wanted: object, what: str) -> None:
    """Fails the case unless `found == wanted`."""
    check(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def check_zeros(payload: pb.Payload, size: int) -> None:
    """Fails the case unless the payload has that many bytes, all of them zero."""
    check_equal(len(payload.body), size, "payload bytes")
    check(not any(payload.body), "a payload has bytes other than zero")


def check_large(response: pb.SimpleResponse) -> None:
    """Fails the case unless it answers a `large_request`."""
    check_zeros(response.payload, LARGE_RESPONSE)


def check_status(error: spanwire.RpcError, code: spanwire.Code, message: str | None = None) -> None:
    """Fails the case unless the call ended with this status."""
    check(error.code == code, f"{code.name} was due, the call has {error}")
    if message is not None:
        check_equal(error.message, message, "status message")


def check_echo(metadata: spanwire.Metadata | None, key: str, value: str | bytes) -> None:
    """Fails the case unless the key is there once, with this value."""
    assert metadata is not None, "the call is not over"
    check_equal(list(metadata.get_all(key)), [value], key)


def check_report(trailers: spanwire.Metadata | None) -> None:
    """Fails the case unless the load report of `PER_QUERY_REPORT` is in the trailers."""
    assert trailers is not None, "the call is not over"
    found = trailers.get(REPORT_TRAILER)
    check(isinstance(found, bytes), "the trailers have no report")
    assert isinstance(found, bytes)
    check_equal(LoadReport.FromString(found), load_report(PER_QUERY_REPORT), "load report")


def zeros(size: int) -> pb.Payload:
    """A payload of zero bytes."""
    return pb.Payload(body=bytes(size))


def large_request(
    *, expect: bool | None = None, compressed: bool | None = None
) -> pb.SimpleRequest:
    """The request of large_unary; it claims to be compressed, and asks for that, if told to."""
    return pb.SimpleRequest(
        response_size=LARGE_RESPONSE,
        payload=zeros(LARGE_REQUEST),
        expect_compressed=None if expect is None else pb.BoolValue(value=expect),
        response_compressed=None if compressed is None else pb.BoolValue(value=compressed),
    )


def input_request(size: int, expect: bool | None = None) -> pb.StreamingInputCallRequest:
    """A request of StreamingInputCall; it claims to be compressed, or not, if told to."""
    claim = None if expect is None else pb.BoolValue(value=expect)
    return pb.StreamingInputCallRequest(payload=zeros(size), expect_compressed=claim)


def output_request(sizes: Sequence[int]) -> pb.StreamingOutputCallRequest:
    """A request for responses of these sizes."""
    return pb.StreamingOutputCallRequest(
        response_parameters=[pb.ResponseParameters(size=size) for size in sizes]
    )


def compressed_output_request() -> pb.StreamingOutputCallRequest:
    """A request for one compressed and one plain response."""
    return pb.StreamingOutputCallRequest(
        response_parameters=[
            pb.ResponseParameters(size=size, compressed=pb.BoolValue(value=compressed))
            for size, compressed in COMPRESSED_RESPONSE_SIZES
        ]
    )


def ping(request_size: int, response_size: int) -> pb.StreamingOutputCallRequest:
    """A request for one response, on FullDuplexCall."""
    return pb.StreamingOutputCallRequest(
        response_parameters=[pb.ResponseParameters(size=response_size)],
        payload=zeros(request_size),
    )


def asked_status(message: str) -> pb.EchoStatus:
    """Asks for the status UNKNOWN with this message."""
    return pb.EchoStatus(code=spanwire.Code.UNKNOWN, message=message)


def orca_report(cpu: float, memory: float, utilization: float) -> pb.TestOrcaReport:
    """A load report as the test messages write it."""
    return pb.TestOrcaReport(
        cpu_utilization=cpu, memory_utilization=memory, utilization={"util": utilization}
    )


OOB_REPORTS = (orca_report(0.8210, 0.5847, 0.30499), orca_report(0.29309, 0.2, 0.2039))
PER_QUERY_REPORT = orca_report(0.8210, 0.5847, 0.30499)
PER_QUERY_REPORT.request_cost["cost"] = 3456.32


def load_report(report: pb.TestOrcaReport) -> LoadReport:
    """The same in the shape in which it travels."""

    def numbers(named: Mapping[str, float]) -> list[NamedNumber]:
        return [NamedNumber(key=key, value=value) for key, value in named.items()]

    return LoadReport(
        cpu_utilization=report.cpu_utilization,
        mem_utilization=report.memory_utilization,
        request_cost=numbers(report.request_cost),
        utilization=numbers(report.utilization),
    )
