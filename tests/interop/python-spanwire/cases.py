"""The cases of the client on asyncio."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import spanwire
from generated.grpc.testing import messages_pb2 as pb
from generated.grpc.testing.empty_pb2 import Empty
from generated.grpc.testing.test_spanwire import (
    UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL,
    TestServiceClient,
)
from generated.load_report_pb2 import LoadReport, LoadReportRequest, Span
from spanwire import Code

import testing
from testing import CALL_LIMIT_SECONDS, LARGE_REQUEST, LARGE_RESPONSE, check, check_equal

Output = spanwire.BidiCall[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]


class Session:
    """The flags, and channels to the server under test."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags

    def channel(self) -> spanwire.Channel:
        """A new channel; channels share no connection."""
        flags = self.flags
        tls = None
        if flags.use_tls:
            tls = spanwire.Tls(ca_file=flags.custom_ca_file, server_name=flags.server_host_override)
        authority = flags.server_host_override or None
        return spanwire.Channel(
            f"{flags.server_host}:{flags.server_port}", tls=tls, authority=authority
        )


Case = Callable[[Session, TestServiceClient], Awaitable[None]]


async def error_of(call: Awaitable[Any]) -> spanwire.RpcError:
    """How the call fails; a call that does not fail the case."""
    try:
        found = await call
    except spanwire.RpcError as error:
        return error
    raise testing.CaseFailed(f"the call answered {found!r}, and should have failed")


async def expect_sizes(
    call: AsyncIterable[pb.StreamingOutputCallResponse], sizes: tuple[int, ...]
) -> None:
    """Fails the case unless exactly these responses come."""
    found = [response async for response in call]
    check_equal(len(found), len(sizes), "responses")
    for response, size in zip(found, sizes, strict=True):
        testing.check_zeros(response.payload, size)


async def expect_end(call: Output) -> None:
    """Half-closes; no response may follow, and the status must be OK."""
    await call.done_sending()
    check_equal(await call.receive(), None, "a response that nobody asked for")


async def exchange(call: Output, request_size: int, response_size: int) -> None:
    """One request, and its response."""
    await call.send(testing.ping(request_size, response_size))
    response = await call.receive()
    check(response is not None, "the stream ended early")
    assert response is not None
    testing.check_zeros(response.payload, response_size)


async def empty_unary(session: Session, service: TestServiceClient) -> None:
    """EmptyCall."""
    check_equal(await service.empty_call(Empty(), timeout=CALL_LIMIT_SECONDS), Empty(), "response")


async def large_unary(session: Session, service: TestServiceClient) -> None:
    """UnaryCall with a large request and a large response."""
    request = testing.large_request()
    testing.check_large(await service.unary_call(request, timeout=CALL_LIMIT_SECONDS))


async def client_compressed_unary(session: Session, service: TestServiceClient) -> None:
    """A false claim, so that a server that does not look is found out; then the true ones."""
    probe = testing.large_request(expect=True)
    error = await error_of(service.unary_call(probe, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INVALID_ARGUMENT)
    await client_compressed_unary_noprobe(session, service)


async def client_compressed_unary_noprobe(session: Session, service: TestServiceClient) -> None:
    """A compressed request and a plain one, each saying which it is."""
    request = testing.large_request(expect=True)
    response = await service.unary_call(request, timeout=CALL_LIMIT_SECONDS, compression="gzip")
    testing.check_large(response)
    request = testing.large_request(expect=False)
    testing.check_large(await service.unary_call(request, timeout=CALL_LIMIT_SECONDS))


async def server_compressed_unary(session: Session, service: TestServiceClient) -> None:
    """A response that is to be compressed, and one that is not."""
    for wanted in (True, False):
        request = testing.large_request(compressed=wanted)
        call = service.unary_call(request, timeout=CALL_LIMIT_SECONDS)
        testing.check_large(await call)
        check_equal(call.compressed, wanted, "response compressed")


async def client_streaming(session: Session, service: TestServiceClient) -> None:
    """Four requests, whose sizes the server adds up."""
    requests = [testing.input_request(size) for size in testing.REQUEST_SIZES]
    summary = await service.streaming_input_call(requests, timeout=CALL_LIMIT_SECONDS)
    check_equal(summary.aggregated_payload_size, 74_922, "aggregated_payload_size")


async def client_compressed_streaming(session: Session, service: TestServiceClient) -> None:
    """As client_compressed_unary, with a stream."""
    probe = [testing.input_request(27_182, expect=True)]
    error = await error_of(service.streaming_input_call(probe, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INVALID_ARGUMENT)
    await client_compressed_streaming_noprobe(session, service)


async def client_compressed_streaming_noprobe(session: Session, service: TestServiceClient) -> None:
    """A compressed message and a plain one in one stream."""
    async with service.streaming_input_call(timeout=CALL_LIMIT_SECONDS, compression="gzip") as call:
        await call.send(testing.input_request(27_182, expect=True))
        await call.send(spanwire.uncompressed(testing.input_request(45_904, expect=False)))
        summary = await call
    check_equal(summary.aggregated_payload_size, 73_086, "aggregated_payload_size")


async def server_streaming(session: Session, service: TestServiceClient) -> None:
    """Four responses to one request."""
    request = testing.output_request(testing.RESPONSE_SIZES)
    responses = service.streaming_output_call(request, timeout=CALL_LIMIT_SECONDS)
    await expect_sizes(responses, testing.RESPONSE_SIZES)


async def server_compressed_streaming(session: Session, service: TestServiceClient) -> None:
    """A compressed response and a plain one in one stream."""
    request = testing.compressed_output_request()
    found = []
    async with service.streaming_output_call(request, timeout=CALL_LIMIT_SECONDS) as call:
        async for response in call:
            found.append((len(response.payload.body), call.compressed))
    check_equal(tuple(found), testing.COMPRESSED_RESPONSE_SIZES, "sizes, and whether compressed")


async def ping_pong(session: Session, service: TestServiceClient) -> None:
    """Requests and responses in turns."""
    async with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        for sizes in zip(testing.REQUEST_SIZES, testing.RESPONSE_SIZES, strict=True):
            await exchange(call, *sizes)
        await expect_end(call)


async def empty_stream(session: Session, service: TestServiceClient) -> None:
    """A stream without messages."""
    async with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        await expect_end(call)


async def custom_metadata(session: Session, service: TestServiceClient) -> None:
    """Metadata that come back, in front and behind."""
    metadata: dict[str, str | bytes] = {
        testing.INITIAL_KEY: testing.INITIAL_VALUE,
        testing.TRAILING_KEY: testing.TRAILING_VALUE,
    }
    unary = service.unary_call(
        testing.large_request(), timeout=CALL_LIMIT_SECONDS, metadata=metadata
    )
    testing.check_large(await unary)
    await check_echoes(unary)
    async with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS, metadata=metadata) as call:
        await exchange(call, LARGE_REQUEST, LARGE_RESPONSE)
        await expect_end(call)
        await check_echoes(call)


async def check_echoes(call: Output | spanwire.UnaryCall[pb.SimpleResponse]) -> None:
    """Fails the case unless both metadata came back."""
    testing.check_echo(await call.headers(), testing.INITIAL_KEY, testing.INITIAL_VALUE)
    testing.check_echo(call.trailers, testing.TRAILING_KEY, testing.TRAILING_VALUE)


async def status_code_and_message(session: Session, service: TestServiceClient) -> None:
    """A status that the request asks for, of a unary call and of a stream."""
    await check_asked_status(service, testing.STATUS_MESSAGE)
    asked = testing.asked_status(testing.STATUS_MESSAGE)
    async with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        await call.send(pb.StreamingOutputCallRequest(response_status=asked))
        await call.done_sending()
        error = await error_of(call.receive())
    testing.check_status(error, Code.UNKNOWN, testing.STATUS_MESSAGE)


async def check_asked_status(service: TestServiceClient, message: str) -> None:
    """Fails the case unless the status comes that is asked for."""
    request = pb.SimpleRequest(response_status=testing.asked_status(message))
    error = await error_of(service.unary_call(request, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.UNKNOWN, message)


async def special_status_message(session: Session, service: TestServiceClient) -> None:
    """A message with white space and Unicode."""
    await check_asked_status(service, testing.SPECIAL_MESSAGE)


async def unimplemented_method(session: Session, service: TestServiceClient) -> None:
    """A method that the service has not."""
    error = await error_of(service.unimplemented_call(Empty(), timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.UNIMPLEMENTED)


async def unimplemented_service(session: Session, service: TestServiceClient) -> None:
    """A service that the server has not."""
    async with session.channel() as channel:
        method = UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL
        error = await error_of(channel.call(method, Empty(), timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.UNIMPLEMENTED)


async def cancel_after_begin(session: Session, service: TestServiceClient) -> None:
    """A call that is cancelled before anything is sent."""
    call = service.streaming_input_call(timeout=CALL_LIMIT_SECONDS)
    call.cancel()
    testing.check_status(await error_of(call), Code.CANCELLED)


async def cancel_after_first_response(session: Session, service: TestServiceClient) -> None:
    """A call that is cancelled in the middle."""
    async with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        await exchange(call, testing.REQUEST_SIZES[0], testing.RESPONSE_SIZES[0])
        call.cancel()
        testing.check_status(await error_of(call.receive()), Code.CANCELLED)


async def timeout_on_sleeping_server(session: Session, service: TestServiceClient) -> None:
    """A millisecond, for a server that waits for more. It may be over before anything is sent."""

    async def send_and_wait() -> pb.StreamingOutputCallResponse | None:
        async with service.full_duplex_call(timeout=0.001) as call:
            payload = testing.zeros(testing.REQUEST_SIZES[0])
            await call.send(pb.StreamingOutputCallRequest(payload=payload))
            return await call.receive()

    testing.check_status(await error_of(send_and_wait()), Code.DEADLINE_EXCEEDED)


async def pick_first_unary(session: Session, service: TestServiceClient) -> None:
    """All calls of a channel reach one server."""
    request = pb.SimpleRequest(response_size=1, payload=testing.zeros(1), fill_server_id=True)
    servers = set()
    for _ in range(100):
        response = await service.unary_call(request, timeout=CALL_LIMIT_SECONDS)
        servers.add(response.server_id)
    check("" not in servers, "the server gave no server_id")
    check_equal(len(servers), 1, "servers that answered")


async def orca_per_rpc(session: Session, service: TestServiceClient) -> None:
    """A load report in the trailers."""
    request = pb.SimpleRequest(orca_per_query_report=testing.PER_QUERY_REPORT)
    call = service.unary_call(request, timeout=CALL_LIMIT_SECONDS)
    await call
    testing.check_report(call.trailers)


async def orca_oob(session: Session, service: TestServiceClient) -> None:
    """Load reports on a stream of their own, as another call sets them."""
    interval = LoadReportRequest(report_interval=Span(nanos=100_000_000))
    async with (
        session.channel() as channel,
        channel.call(testing.STREAM_CORE_METRICS, interval, timeout=CALL_LIMIT_SECONDS) as reports,
        service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call,
    ):
        for report in testing.OOB_REPORTS:
            parameters = [pb.ResponseParameters(size=1)]
            await call.send(
                pb.StreamingOutputCallRequest(
                    orca_oob_report=report, response_parameters=parameters
                )
            )
            check(await call.receive() is not None, "the stream ended early")
            await expect_report(reports, testing.load_report(report))
        await expect_end(call)


async def expect_report(reports: AsyncIterable[LoadReport], wanted: LoadReport) -> None:
    """Waits for a report; the deadline of the stream is the limit."""
    async for found in reports:
        if found == wanted:
            return
    raise testing.CaseFailed("the report that was sent did not come back")


async def goaway(session: Session, service: TestServiceClient) -> None:
    """GOAWAY comes in the first call; the second one takes a new connection, which is counted."""
    await large_unary(session, service)
    await large_unary(session, service)


async def reset(session: Session, service: TestServiceClient) -> None:
    """The server resets the stream before there is a status: the call must fail."""
    error = await error_of(service.unary_call(testing.large_request(), timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INTERNAL)


async def max_streams(session: Session, service: TestServiceClient) -> None:
    """The server takes one call at a time; further ones wait, and none fails."""
    # The first call lets the limit arrive.
    await large_unary(session, service)
    await asyncio.gather(*(large_unary(session, service) for _ in range(10)))


async def rpc_soak(session: Session, service: TestServiceClient) -> None:
    """Many large calls on one channel, within budgets."""
    await _soak(session, service)


async def channel_soak(session: Session, service: TestServiceClient) -> None:
    """The same, each on a channel of its own."""
    await _soak(session, None)


async def _soak(session: Session, shared: TestServiceClient | None) -> None:
    flags = session.flags
    end = time.monotonic() + flags.soak_overall_timeout_seconds
    failures: list[str] = []
    done = 0

    async def call_once(service: TestServiceClient) -> None:
        request = pb.SimpleRequest(
            response_size=flags.soak_response_size, payload=testing.zeros(flags.soak_request_size)
        )
        began = time.monotonic()
        response = await service.unary_call(request, timeout=CALL_LIMIT_SECONDS)
        testing.check_zeros(response.payload, flags.soak_response_size)
        took = (time.monotonic() - began) * 1000
        limit = flags.soak_per_iteration_max_acceptable_latency_ms
        check(took <= limit, f"{took:.0f} ms, limit {limit} ms")

    async def work() -> None:
        nonlocal done
        for number in range(flags.soak_iterations // flags.soak_num_threads):
            if time.monotonic() > end:
                return
            pause = asyncio.create_task(asyncio.sleep(flags.soak_min_time_ms_between_rpcs / 1000))
            try:
                if shared is not None:
                    await call_once(shared)
                else:
                    async with session.channel() as channel:
                        await call_once(TestServiceClient(channel))
            except (spanwire.RpcError, testing.CaseFailed) as failure:
                failures.append(f"iteration {number}: {failure}")
            done += 1
            await pause

    await asyncio.gather(*(work() for _ in range(flags.soak_num_threads)))
    wanted = flags.soak_iterations // flags.soak_num_threads * flags.soak_num_threads
    check_equal(done, wanted, "iterations within the overall time")
    check(len(failures) <= flags.soak_max_failures, "; ".join(failures))


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_compressed_unary,
        client_compressed_unary_noprobe,
        server_compressed_unary,
        client_streaming,
        client_compressed_streaming,
        client_compressed_streaming_noprobe,
        server_streaming,
        server_compressed_streaming,
        ping_pong,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
        pick_first_unary,
        rpc_soak,
        channel_soak,
        orca_per_rpc,
        orca_oob,
        goaway,
        max_streams,
    )
}
CASES |= {
    "rst_after_header": reset,
    "rst_during_data": reset,
    "rst_after_data": reset,
    "ping": large_unary,
    "data_frame_padding": large_unary,
    "no_df_padding_sanity_test": large_unary,
}


def run(name: str, flags: argparse.Namespace) -> None:
    """Runs one case; an exception says why it failed."""

    async def in_loop() -> None:
        session = Session(flags)
        async with session.channel() as channel:
            await CASES[name](session, TestServiceClient(channel))

    asyncio.run(in_loop())
