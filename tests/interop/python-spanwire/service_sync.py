"""grpc.testing.TestService on threads, and the stream of load reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

from generated.grpc.testing import messages_pb2 as pb
from generated.grpc.testing.empty_pb2 import Empty
from generated.grpc.testing.test_spanwire import TestServiceSyncBase
from generated.load_report_pb2 import LoadReport, LoadReportRequest
from spanwire.sync import Context

import serving
from testing import load_report


class TestService(TestServiceSyncBase):
    """The features that the official documents list for servers."""

    def __init__(self) -> None:
        self._load = LoadReport()
        # Of the call that sets the load, so that two of them do not mix their reports.
        self._own_load = threading.Lock()

    def empty_call(self, request: Empty, context: Context) -> Empty:
        """Answers with nothing."""
        return Empty()

    def unary_call(self, request: pb.SimpleRequest, context: Context) -> pb.SimpleResponse:
        """Answers with as many bytes as asked for."""
        return serving.unary_call(request, context)

    def cacheable_unary_call(
        self, request: pb.SimpleRequest, context: Context
    ) -> pb.SimpleResponse:
        """The same."""
        return serving.unary_call(request, context)

    def unimplemented_call(self, request: Empty, context: Context) -> Empty:
        """Nobody implements this one."""
        raise serving.not_implemented()

    def streaming_input_call(
        self, requests: Iterator[pb.StreamingInputCallRequest], context: Context
    ) -> pb.StreamingInputCallResponse:
        """Answers with the sum of all payload sizes."""
        total = 0
        for request in requests:
            serving.check_claim(request, context)
            total += len(request.payload.body)
        return pb.StreamingInputCallResponse(aggregated_payload_size=total)

    def streaming_output_call(
        self, request: pb.StreamingOutputCallRequest, context: Context
    ) -> Iterator[pb.StreamingOutputCallResponse]:
        """Answers with one message for each of the parameters."""
        serving.begin_stream(context)
        serving.fail_if_asked(request.response_status)
        yield from self._responses(request)

    def full_duplex_call(
        self, requests: Iterator[pb.StreamingOutputCallRequest], context: Context
    ) -> Iterator[pb.StreamingOutputCallResponse]:
        """Answers each request as streaming_output_call does, as it comes."""
        serving.begin_stream(context)
        with ExitStack() as stack:
            owns_load = False
            for request in requests:
                serving.fail_if_asked(request.response_status)
                if request.HasField("orca_oob_report"):
                    if not owns_load:
                        stack.enter_context(self._own_load)
                        owns_load = True
                    self._load = load_report(request.orca_oob_report)
                yield from self._responses(request)

    def half_duplex_call(
        self, requests: Iterator[pb.StreamingOutputCallRequest], context: Context
    ) -> Iterator[pb.StreamingOutputCallResponse]:
        """Answers all requests once the last one is there."""
        serving.begin_stream(context)
        for request in list(requests):
            yield from self._responses(request)

    def stream_core_metrics(
        self, request: LoadReportRequest, context: Context
    ) -> Iterator[LoadReport]:
        """The load, again and again, until the client has enough."""
        while not context.cancelled:
            yield self._load
            time.sleep(serving.interval_seconds(request))

    def _responses(
        self, request: pb.StreamingOutputCallRequest
    ) -> Iterator[pb.StreamingOutputCallResponse]:
        for parameters in request.response_parameters:
            if parameters.interval_us:
                time.sleep(parameters.interval_us / 1e6)
            yield serving.output_response(request, parameters)
