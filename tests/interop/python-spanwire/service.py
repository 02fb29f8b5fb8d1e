"""grpc.testing.TestService on asyncio, and the stream of load reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import spanwire
from generated.grpc.testing import messages_pb2 as pb
from generated.grpc.testing.empty_pb2 import Empty
from generated.grpc.testing.test_spanwire import TestServiceBase
from generated.load_report_pb2 import LoadReport, LoadReportRequest

import serving
from testing import load_report


class TestService(TestServiceBase):
    """The features that the official documents list for servers."""

    def __init__(self) -> None:
        self._load = LoadReport()
        # Of the call that sets the load, so that two of them do not mix their reports.
        self._own_load = asyncio.Lock()

    async def empty_call(self, request: Empty, context: spanwire.Context) -> Empty:
        """Answers with nothing."""
        return Empty()

    async def unary_call(
        self, request: pb.SimpleRequest, context: spanwire.Context
    ) -> pb.SimpleResponse:
        """Answers with as many bytes as asked for."""
        return serving.unary_call(request, context)

    async def cacheable_unary_call(
        self, request: pb.SimpleRequest, context: spanwire.Context
    ) -> pb.SimpleResponse:
        """The same."""
        return serving.unary_call(request, context)

    async def unimplemented_call(self, request: Empty, context: spanwire.Context) -> Empty:
        """Nobody implements this one."""
        raise serving.not_implemented()

    async def streaming_input_call(
        self, requests: AsyncIterator[pb.StreamingInputCallRequest], context: spanwire.Context
    ) -> pb.StreamingInputCallResponse:
        """Answers with the sum of all payload sizes."""
        total = 0
        async for request in requests:
            serving.check_claim(request, context)
            total += len(request.payload.body)
        return pb.StreamingInputCallResponse(aggregated_payload_size=total)

    async def streaming_output_call(
        self, request: pb.StreamingOutputCallRequest, context: spanwire.Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        """Answers with one message for each of the parameters."""
        serving.begin_stream(context)
        serving.fail_if_asked(request.response_status)
        async for response in self._responses(request):
            yield response

    async def full_duplex_call(
        self, requests: AsyncIterator[pb.StreamingOutputCallRequest], context: spanwire.Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        """Answers each request as streaming_output_call does, as it comes."""
        serving.begin_stream(context)
        async with AsyncExitStack() as stack:
            owns_load = False
            async for request in requests:
                serving.fail_if_asked(request.response_status)
                if request.HasField("orca_oob_report"):
                    if not owns_load:
                        await stack.enter_async_context(self._own_load)
                        owns_load = True
                    self._load = load_report(request.orca_oob_report)
                async for response in self._responses(request):
                    yield response

    async def half_duplex_call(
        self, requests: AsyncIterator[pb.StreamingOutputCallRequest], context: spanwire.Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        """Answers all requests once the last one is there."""
        serving.begin_stream(context)
        for request in [request async for request in requests]:
            async for response in self._responses(request):
                yield response

    async def stream_core_metrics(
        self, request: LoadReportRequest, context: spanwire.Context
    ) -> AsyncIterator[LoadReport]:
        """The load, again and again."""
        while True:
            yield self._load
            await asyncio.sleep(serving.interval_seconds(request))

    async def _responses(
        self, request: pb.StreamingOutputCallRequest
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        for parameters in request.response_parameters:
            if parameters.interval_us:
                await asyncio.sleep(parameters.interval_us / 1e6)
            yield serving.output_response(request, parameters)
