"""The cases of the client on the blocking API."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import spanwire
import spanwire.sync
from generated.grpc.testing import messages_pb2 as pb
from generated.grpc.testing.empty_pb2 import Empty
from generated.grpc.testing.test_spanwire import (
    TEST_SERVICE_UNARY_CALL,
    UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL,
    TestServiceSyncClient,
)
from generated.load_report_pb2 import LoadReport, LoadReportRequest, Span
from spanwire import Code

import testing
from testing import CALL_LIMIT_SECONDS, LARGE_REQUEST, LARGE_RESPONSE, check, check_equal

Output = spanwire.sync.BidiCall[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]


class Session:
    """The flags, and channels to the server under test."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags

    def channel(self) -> spanwire.sync.Channel:
        """A new channel; channels share no connection."""
        flags = self.flags
        tls = None
        if flags.use_tls:
            tls = spanwire.Tls(ca_file=flags.custom_ca_file, server_name=flags.server_host_override)
        authority = flags.server_host_override or None
        return spanwire.sync.Channel(
            f"{flags.server_host}:{flags.server_port}", tls=tls, authority=authority
        )


Case = Callable[[Session, TestServiceSyncClient], None]


def error_of(call: Callable[[], Any]) -> spanwire.RpcError:
    """How the call fails; a call that does not fail the case."""
    try:
        found = call()
    except spanwire.RpcError as error:
        return error
    raise testing.CaseFailed(f"the call answered {found!r}, and should have failed")


def expect_sizes(call: Iterable[pb.StreamingOutputCallResponse], sizes: tuple[int, ...]) -> None:
    """Fails the case unless exactly these responses come."""
    found = list(call)
    check_equal(len(found), len(sizes), "responses")
    for response, size in zip(found, sizes, strict=True):
        testing.check_zeros(response.payload, size)


def expect_end(call: Output) -> None:
    """Half-closes; no response may follow, and the status must be OK."""
    call.done_sending()
    check_equal(call.receive(), None, "a response that nobody asked for")


def exchange(call: Output, request_size: int, response_size: int) -> None:
    """One request, and its response."""
    call.send(testing.ping(request_size, response_size))
    response = call.receive()
    check(response is not None, "the stream ended early")
    assert response is not None
    testing.check_zeros(response.payload, response_size)


def empty_unary(session: Session, service: TestServiceSyncClient) -> None:
    """EmptyCall."""
    check_equal(service.empty_call(Empty(), timeout=CALL_LIMIT_SECONDS), Empty(), "response")


def large_unary(session: Session, service: TestServiceSyncClient) -> None:
    """UnaryCall with a large request and a large response."""
    request = testing.large_request()
    testing.check_large(service.unary_call(request, timeout=CALL_LIMIT_SECONDS))


def client_compressed_unary(session: Session, service: TestServiceSyncClient) -> None:
    """A false claim, so that a server that does not look is found out; then the true ones."""
    probe = testing.large_request(expect=True)
    error = error_of(lambda: service.unary_call(probe, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INVALID_ARGUMENT)
    client_compressed_unary_noprobe(session, service)


def client_compressed_unary_noprobe(session: Session, service: TestServiceSyncClient) -> None:
    """A compressed request and a plain one, each saying which it is."""
    request = testing.large_request(expect=True)
    response = service.unary_call(request, timeout=CALL_LIMIT_SECONDS, compression="gzip")
    testing.check_large(response)
    request = testing.large_request(expect=False)
    testing.check_large(service.unary_call(request, timeout=CALL_LIMIT_SECONDS))


def server_compressed_unary(session: Session, service: TestServiceSyncClient) -> None:
    """A response that is to be compressed, and one that is not."""
    with session.channel() as channel:
        for wanted in (True, False):
            request = testing.large_request(compressed=wanted)
            call = channel.call(TEST_SERVICE_UNARY_CALL, request, timeout=CALL_LIMIT_SECONDS)
            testing.check_large(call.result())
            check_equal(call.compressed, wanted, "response compressed")


def client_streaming(session: Session, service: TestServiceSyncClient) -> None:
    """Four requests, whose sizes the server adds up."""
    requests = (testing.input_request(size) for size in testing.REQUEST_SIZES)
    summary = service.streaming_input_call(requests, timeout=CALL_LIMIT_SECONDS)
    check_equal(summary.aggregated_payload_size, 74_922, "aggregated_payload_size")


def client_compressed_streaming(session: Session, service: TestServiceSyncClient) -> None:
    """As client_compressed_unary, with a stream."""
    probe = [testing.input_request(27_182, expect=True)]
    error = error_of(lambda: service.streaming_input_call(probe, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INVALID_ARGUMENT)
    client_compressed_streaming_noprobe(session, service)


def client_compressed_streaming_noprobe(session: Session, service: TestServiceSyncClient) -> None:
    """A compressed message and a plain one in one stream."""
    with service.streaming_input_call(timeout=CALL_LIMIT_SECONDS, compression="gzip") as call:
        call.send(testing.input_request(27_182, expect=True))
        call.send(spanwire.uncompressed(testing.input_request(45_904, expect=False)))
        summary = call.result()
    check_equal(summary.aggregated_payload_size, 73_086, "aggregated_payload_size")


def server_streaming(session: Session, service: TestServiceSyncClient) -> None:
    """Four responses to one request."""
    request = testing.output_request(testing.RESPONSE_SIZES)
    responses = service.streaming_output_call(request, timeout=CALL_LIMIT_SECONDS)
    expect_sizes(responses, testing.RESPONSE_SIZES)


def server_compressed_streaming(session: Session, service: TestServiceSyncClient) -> None:
    """A compressed response and a plain one in one stream."""
    request = testing.compressed_output_request()
    with service.streaming_output_call(request, timeout=CALL_LIMIT_SECONDS) as call:
        found = tuple((len(response.payload.body), call.compressed) for response in call)
    check_equal(found, testing.COMPRESSED_RESPONSE_SIZES, "sizes, and whether compressed")


def ping_pong(session: Session, service: TestServiceSyncClient) -> None:
    """Requests and responses in turns."""
    with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        for sizes in zip(testing.REQUEST_SIZES, testing.RESPONSE_SIZES, strict=True):
            exchange(call, *sizes)
        expect_end(call)


def empty_stream(session: Session, service: TestServiceSyncClient) -> None:
    """A stream without messages."""
    with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        expect_end(call)


def custom_metadata(session: Session, service: TestServiceSyncClient) -> None:
    """Metadata that come back, in front and behind."""
    metadata: dict[str, str | bytes] = {
        testing.INITIAL_KEY: testing.INITIAL_VALUE,
        testing.TRAILING_KEY: testing.TRAILING_VALUE,
    }
    with session.channel() as channel:
        request = testing.large_request()
        unary = channel.call(
            TEST_SERVICE_UNARY_CALL, request, timeout=CALL_LIMIT_SECONDS, metadata=metadata
        )
        testing.check_large(unary.result())
        check_echoes(unary)
    with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS, metadata=metadata) as call:
        exchange(call, LARGE_REQUEST, LARGE_RESPONSE)
        expect_end(call)
        check_echoes(call)


def check_echoes(call: Output | spanwire.sync.UnaryCall[pb.SimpleResponse]) -> None:
    """Fails the case unless both metadata came back."""
    testing.check_echo(call.headers(), testing.INITIAL_KEY, testing.INITIAL_VALUE)
    testing.check_echo(call.trailers, testing.TRAILING_KEY, testing.TRAILING_VALUE)


def status_code_and_message(session: Session, service: TestServiceSyncClient) -> None:
    """A status that the request asks for, of a unary call and of a stream."""
    check_asked_status(service, testing.STATUS_MESSAGE)
    asked = testing.asked_status(testing.STATUS_MESSAGE)
    with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        call.send(pb.StreamingOutputCallRequest(response_status=asked))
        call.done_sending()
        error = error_of(call.receive)
    testing.check_status(error, Code.UNKNOWN, testing.STATUS_MESSAGE)


def check_asked_status(service: TestServiceSyncClient, message: str) -> None:
    """Fails the case unless the status comes that is asked for."""
    request = pb.SimpleRequest(response_status=testing.asked_status(message))
    error = error_of(lambda: service.unary_call(request, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.UNKNOWN, message)


def special_status_message(session: Session, service: TestServiceSyncClient) -> None:
    """A message with white space and Unicode."""
    check_asked_status(service, testing.SPECIAL_MESSAGE)


def unimplemented_method(session: Session, service: TestServiceSyncClient) -> None:
    """A method that the service has not."""
    error = error_of(lambda: service.unimplemented_call(Empty(), timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.UNIMPLEMENTED)


def unimplemented_service(session: Session, service: TestServiceSyncClient) -> None:
    """A service that the server has not."""
    method = UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL
    with session.channel() as channel:
        error = error_of(channel.call(method, Empty(), timeout=CALL_LIMIT_SECONDS).result)
    testing.check_status(error, Code.UNIMPLEMENTED)


def cancel_after_begin(session: Session, service: TestServiceSyncClient) -> None:
    """A call that is cancelled before anything is sent."""
    call = service.streaming_input_call(timeout=CALL_LIMIT_SECONDS)
    call.cancel()
    testing.check_status(error_of(call.result), Code.CANCELLED)


def cancel_after_first_response(session: Session, service: TestServiceSyncClient) -> None:
    """A call that is cancelled in the middle."""
    with service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call:
        exchange(call, testing.REQUEST_SIZES[0], testing.RESPONSE_SIZES[0])
        call.cancel()
        testing.check_status(error_of(call.receive), Code.CANCELLED)


def timeout_on_sleeping_server(session: Session, service: TestServiceSyncClient) -> None:
    """A millisecond, for a server that waits for more. It may be over before anything is sent."""

    def send_and_wait() -> pb.StreamingOutputCallResponse | None:
        with service.full_duplex_call(timeout=0.001) as call:
            payload = testing.zeros(testing.REQUEST_SIZES[0])
            call.send(pb.StreamingOutputCallRequest(payload=payload))
            return call.receive()

    testing.check_status(error_of(send_and_wait), Code.DEADLINE_EXCEEDED)


def pick_first_unary(session: Session, service: TestServiceSyncClient) -> None:
    """All calls of a channel reach one server."""
    request = pb.SimpleRequest(response_size=1, payload=testing.zeros(1), fill_server_id=True)
    servers = {
        service.unary_call(request, timeout=CALL_LIMIT_SECONDS).server_id for _ in range(100)
    }
    check("" not in servers, "the server gave no server_id")
    check_equal(len(servers), 1, "servers that answered")


def orca_per_rpc(session: Session, service: TestServiceSyncClient) -> None:
    """A load report in the trailers."""
    request = pb.SimpleRequest(orca_per_query_report=testing.PER_QUERY_REPORT)
    with session.channel() as channel:
        call = channel.call(TEST_SERVICE_UNARY_CALL, request, timeout=CALL_LIMIT_SECONDS)
        call.result()
        testing.check_report(call.trailers)


def orca_oob(session: Session, service: TestServiceSyncClient) -> None:
    """Load reports on a stream of their own, as another call sets them."""
    interval = LoadReportRequest(report_interval=Span(nanos=100_000_000))
    with (
        session.channel() as channel,
        channel.call(testing.STREAM_CORE_METRICS, interval, timeout=CALL_LIMIT_SECONDS) as reports,
        service.full_duplex_call(timeout=CALL_LIMIT_SECONDS) as call,
    ):
        for report in testing.OOB_REPORTS:
            parameters = [pb.ResponseParameters(size=1)]
            call.send(
                pb.StreamingOutputCallRequest(
                    orca_oob_report=report, response_parameters=parameters
                )
            )
            check(call.receive() is not None, "the stream ended early")
            expect_report(reports, testing.load_report(report))
        expect_end(call)


def expect_report(reports: Iterable[LoadReport], wanted: LoadReport) -> None:
    """Waits for a report; the deadline of the stream is the limit."""
    for found in reports:
        if found == wanted:
            return
    raise testing.CaseFailed("the report that was sent did not come back")


def goaway(session: Session, service: TestServiceSyncClient) -> None:
    """GOAWAY comes in the first call; the second one takes a new connection, which is counted."""
    large_unary(session, service)
    large_unary(session, service)


def reset(session: Session, service: TestServiceSyncClient) -> None:
    """The server resets the stream before there is a status: the call must fail."""
    request = testing.large_request()
    error = error_of(lambda: service.unary_call(request, timeout=CALL_LIMIT_SECONDS))
    testing.check_status(error, Code.INTERNAL)


def max_streams(session: Session, service: TestServiceSyncClient) -> None:
    """The server takes one call at a time; further ones wait, and none fails."""
    # The first call lets the limit arrive.
    large_unary(session, service)
    with ThreadPoolExecutor(10) as pool:
        for made in [pool.submit(large_unary, session, service) for _ in range(10)]:
            made.result()


def rpc_soak(session: Session, service: TestServiceSyncClient) -> None:
    """Many large calls on one channel, within budgets."""
    _soak(session, service)


def channel_soak(session: Session, service: TestServiceSyncClient) -> None:
    """The same, each on a channel of its own."""
    _soak(session, None)


def _soak(session: Session, shared: TestServiceSyncClient | None) -> None:
    flags = session.flags
    end = time.monotonic() + flags.soak_overall_timeout_seconds
    failures: list[str] = []
    done: list[int] = []

    def call_once(service: TestServiceSyncClient) -> None:
        request = pb.SimpleRequest(
            response_size=flags.soak_response_size, payload=testing.zeros(flags.soak_request_size)
        )
        began = time.monotonic()
        response = service.unary_call(request, timeout=CALL_LIMIT_SECONDS)
        testing.check_zeros(response.payload, flags.soak_response_size)
        took = (time.monotonic() - began) * 1000
        limit = flags.soak_per_iteration_max_acceptable_latency_ms
        check(took <= limit, f"{took:.0f} ms, limit {limit} ms")

    def work() -> None:
        for number in range(flags.soak_iterations // flags.soak_num_threads):
            began = time.monotonic()
            if began > end:
                return
            try:
                if shared is not None:
                    call_once(shared)
                else:
                    with session.channel() as channel:
                        call_once(TestServiceSyncClient(channel))
            except (spanwire.RpcError, testing.CaseFailed) as failure:
                failures.append(f"iteration {number}: {failure}")
            done.append(number)
            rest = flags.soak_min_time_ms_between_rpcs / 1000 - (time.monotonic() - began)
            time.sleep(max(rest, 0))

    workers = [threading.Thread(target=work) for _ in range(flags.soak_num_threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    wanted = flags.soak_iterations // flags.soak_num_threads * flags.soak_num_threads
    check_equal(len(done), wanted, "iterations within the overall time")
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
    session = Session(flags)
    with session.channel() as channel:
        CASES[name](session, TestServiceSyncClient(channel))
