"""The official interop client cases, on grpcio's public API.

Run it as any official interop client is run:

    interop_client.py --server_host=127.0.0.1 --server_port=PORT \
        --test_case=large_unary [--use_tls=true --custom_ca_file=ca.pem \
        --server_host_override=foo.test.google.fr]

Exit codes: 0 the case passed, 1 it failed (the reason is on standard error),
77 grpcio's public API cannot express the case ("not offered").
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from interop_pb import empty_pb2, messages_pb2, test_pb2_grpc

from wire_meter import WireMeter

NOT_OFFERED_EXIT = 77
CALL_LIMIT_SECONDS = 20.0

LARGE_REQUEST = 271_828
LARGE_RESPONSE = 314_159
REQUEST_SIZES = (27_182, 8, 1_828, 45_904)
RESPONSE_SIZES = (31_415, 9, 2_653, 58_979)
INITIAL_KEY, INITIAL_VALUE = "x-grpc-test-echo-initial", "test_initial_metadata_value"
TRAILING_KEY, TRAILING_VALUE = "x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"

NOT_OFFERED = {
    "cacheable_unary": "grpcio has no cacheable calls (they would go as GET)",
    "client_compressed_streaming": "a grpcio client cannot choose compression per message",
    "client_compressed_streaming_noprobe": (
        "a grpcio client cannot choose compression per message"
    ),
    "orca_per_rpc": "grpcio shows no backend load reports",
    "orca_oob": "grpcio shows no backend load reports",
    "max_concurrent_streams_connection_scaling": "grpcio opens one connection per address",
    "data_frame_padding": "grpcio refuses padded DATA frames (unsupported data flags: 0x08)",
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


class Requests:
    """A request stream that is fed while the call runs."""

    def __init__(self) -> None:
        self._queue: queue.Queue[object] = queue.Queue()

    def send(self, message: object) -> None:
        """Queues one message."""
        self._queue.put(message)

    def half_close(self) -> None:
        """Ends the stream."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        message = self._queue.get()
        if message is None:
            raise StopIteration
        return message


class Session:
    """What a case gets: the flags, and channels made from them."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self._open: list[grpc.Channel] = []

    def channel(self, host: str | None = None, port: int | None = None) -> grpc.Channel:
        """A new channel to the server under test, or to a relay before it."""
        target = f"{host or self.flags.server_host}:{port or self.flags.server_port}"
        options: list[tuple[str, Any]] = []
        override = self.flags.server_host_override
        if self.flags.use_tls:
            roots = Path(self.flags.custom_ca_file).read_bytes()
            if override:
                options.append(("grpc.ssl_target_name_override", override))
            channel = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(root_certificates=roots), options=options
            )
        else:
            if override:
                options.append(("grpc.default_authority", override))
            channel = grpc.insecure_channel(target, options=options)
        self._open.append(channel)
        return channel

    def stub(self) -> Any:
        """The stub of TestService on a new channel."""
        return test_pb2_grpc.TestServiceStub(self.channel())

    def close(self) -> None:
        """Closes every channel."""
        for channel in self._open:
            channel.close()


def payload(size: int) -> Any:
    """A payload of `size` zero bytes."""
    return messages_pb2.Payload(body=bytes(size))


def large_request(**fields: Any) -> Any:
    """The request of large_unary, with more fields if wanted."""
    return messages_pb2.SimpleRequest(
        response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST), **fields
    )


def check_large(response: Any) -> None:
    """Checks that a response has the body which large_unary asks for."""
    check_equal(len(response.payload.body), LARGE_RESPONSE, "response payload bytes")
    check(not any(response.payload.body), "response payload has bytes other than zero")


def status_of(call: Callable[[], object]) -> grpc.RpcError:
    """Runs a call that must fail and returns its error."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise CaseFailed("the call succeeded, an error was due")


def empty_unary(session: Session) -> None:
    response = session.stub().EmptyCall(empty_pb2.Empty(), timeout=CALL_LIMIT_SECONDS)
    check_equal(response.ByteSize(), 0, "response bytes")


def large_unary(session: Session) -> None:
    check_large(session.stub().UnaryCall(large_request(), timeout=CALL_LIMIT_SECONDS))


def client_compressed_unary(session: Session) -> None:
    claimed = large_request(expect_compressed=messages_pb2.BoolValue(value=True))
    stub = session.stub()
    error = status_of(
        lambda: stub.UnaryCall(
            claimed, timeout=CALL_LIMIT_SECONDS, compression=grpc.Compression.NoCompression
        )
    )
    check_equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "status of the probe")
    client_compressed_unary_noprobe(session)


def client_compressed_unary_noprobe(session: Session) -> None:
    stub = session.stub()
    for compressed in (True, False):
        request = large_request(expect_compressed=messages_pb2.BoolValue(value=compressed))
        how = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
        check_large(stub.UnaryCall(request, timeout=CALL_LIMIT_SECONDS, compression=how))


def server_compressed_unary(session: Session) -> None:
    with WireMeter(session.flags.server_host, session.flags.server_port) as meter:
        stub = test_pb2_grpc.TestServiceStub(session.channel("127.0.0.1", meter.port))
        for wanted in (True, False):
            before = meter.received
            request = large_request(response_compressed=messages_pb2.BoolValue(value=wanted))
            check_large(stub.UnaryCall(request, timeout=CALL_LIMIT_SECONDS))
            arrived = meter.received - before
            check_equal(
                arrived < LARGE_RESPONSE, wanted, f"compressed ({arrived} bytes on the wire)"
            )


def client_streaming(session: Session) -> None:
    requests = (
        messages_pb2.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_SIZES
    )
    response = session.stub().StreamingInputCall(requests, timeout=CALL_LIMIT_SECONDS)
    check_equal(response.aggregated_payload_size, sum(REQUEST_SIZES), "aggregated_payload_size")


def server_streaming(session: Session) -> None:
    request = messages_pb2.StreamingOutputCallRequest(
        response_parameters=[messages_pb2.ResponseParameters(size=size) for size in RESPONSE_SIZES]
    )
    responses = session.stub().StreamingOutputCall(request, timeout=CALL_LIMIT_SECONDS)
    found = tuple(len(response.payload.body) for response in responses)
    check_equal(found, RESPONSE_SIZES, "response payload bytes")


def server_compressed_streaming(session: Session) -> None:
    sizes = (31_415, 92_653)
    request = messages_pb2.StreamingOutputCallRequest(
        response_parameters=[
            messages_pb2.ResponseParameters(
                size=size, compressed=messages_pb2.BoolValue(value=compressed)
            )
            for size, compressed in zip(sizes, (True, False), strict=True)
        ]
    )
    with WireMeter(session.flags.server_host, session.flags.server_port) as meter:
        stub = test_pb2_grpc.TestServiceStub(session.channel("127.0.0.1", meter.port))
        responses = stub.StreamingOutputCall(request, timeout=CALL_LIMIT_SECONDS)
        found = tuple(len(response.payload.body) for response in responses)
        check_equal(found, sizes, "response payload bytes")
        # The second message alone is plain; with both plain there would be
        # 124,068 bytes, with both compressed a few hundred.
        arrived = meter.received
        check(sizes[1] < arrived < sum(sizes), f"{arrived} bytes on the wire for one plain of two")


def _ping(request_size: int, response_size: int) -> Any:
    return messages_pb2.StreamingOutputCallRequest(
        response_parameters=[messages_pb2.ResponseParameters(size=response_size)],
        payload=payload(request_size),
    )


def ping_pong(session: Session) -> None:
    requests = Requests()
    responses = session.stub().FullDuplexCall(requests, timeout=CALL_LIMIT_SECONDS)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
        requests.send(_ping(request_size, response_size))
        check_equal(len(next(responses).payload.body), response_size, "response payload bytes")
    requests.half_close()
    check_equal(list(responses), [], "responses after the half-close")


def empty_stream(session: Session) -> None:
    responses = session.stub().FullDuplexCall(iter(()), timeout=CALL_LIMIT_SECONDS)
    check_equal(list(responses), [], "responses")
    check_equal(responses.code(), grpc.StatusCode.OK, "status")


def _check_echo(initial: Any, trailing: Any) -> None:
    check_equal(
        [value for key, value in initial if key == INITIAL_KEY], [INITIAL_VALUE], INITIAL_KEY
    )
    check_equal(
        [value for key, value in trailing if key == TRAILING_KEY], [TRAILING_VALUE], TRAILING_KEY
    )


def custom_metadata(session: Session) -> None:
    stub = session.stub()
    metadata = ((INITIAL_KEY, INITIAL_VALUE), (TRAILING_KEY, TRAILING_VALUE))
    response, call = stub.UnaryCall.with_call(
        large_request(), metadata=metadata, timeout=CALL_LIMIT_SECONDS
    )
    check_large(response)
    _check_echo(call.initial_metadata(), call.trailing_metadata())

    stream = stub.FullDuplexCall(
        iter([_ping(LARGE_REQUEST, LARGE_RESPONSE)]), metadata=metadata, timeout=CALL_LIMIT_SECONDS
    )
    check_equal([len(each.payload.body) for each in stream], [LARGE_RESPONSE], "response sizes")
    _check_echo(stream.initial_metadata(), stream.trailing_metadata())


def _check_status(error: grpc.RpcError, message: str) -> None:
    check_equal(error.code(), grpc.StatusCode.UNKNOWN, "status code")
    check_equal(error.details(), message, "status message")


def status_code_and_message(session: Session) -> None:
    stub = session.stub()
    wanted = messages_pb2.EchoStatus(code=2, message="test status message")
    unary = messages_pb2.SimpleRequest(response_status=wanted)
    _check_status(
        status_of(lambda: stub.UnaryCall(unary, timeout=CALL_LIMIT_SECONDS)), wanted.message
    )
    duplex = messages_pb2.StreamingOutputCallRequest(response_status=wanted)
    _check_status(
        status_of(lambda: list(stub.FullDuplexCall(iter([duplex]), timeout=CALL_LIMIT_SECONDS))),
        wanted.message,
    )


def special_status_message(session: Session) -> None:
    stub = session.stub()
    wanted = messages_pb2.EchoStatus(code=2, message=SPECIAL_MESSAGE)
    request = messages_pb2.SimpleRequest(response_status=wanted)
    _check_status(
        status_of(lambda: stub.UnaryCall(request, timeout=CALL_LIMIT_SECONDS)), SPECIAL_MESSAGE
    )


def unimplemented_method(session: Session) -> None:
    stub = session.stub()
    error = status_of(lambda: stub.UnimplementedCall(empty_pb2.Empty(), timeout=CALL_LIMIT_SECONDS))
    check_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "status code")


def unimplemented_service(session: Session) -> None:
    stub = test_pb2_grpc.UnimplementedServiceStub(session.channel())
    error = status_of(lambda: stub.UnimplementedCall(empty_pb2.Empty(), timeout=CALL_LIMIT_SECONDS))
    check_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "status code")


def cancel_after_begin(session: Session) -> None:
    call = session.stub().StreamingInputCall.future(Requests(), timeout=CALL_LIMIT_SECONDS)
    call.cancel()
    check(call.cancelled(), "the call is not cancelled")
    check_equal(call.code(), grpc.StatusCode.CANCELLED, "status code")


def cancel_after_first_response(session: Session) -> None:
    requests = Requests()
    responses = session.stub().FullDuplexCall(requests, timeout=CALL_LIMIT_SECONDS)
    requests.send(_ping(REQUEST_SIZES[0], RESPONSE_SIZES[0]))
    check_equal(len(next(responses).payload.body), RESPONSE_SIZES[0], "response payload bytes")
    responses.cancel()
    error = status_of(lambda: next(responses))
    check_equal(error.code(), grpc.StatusCode.CANCELLED, "status code")


def timeout_on_sleeping_server(session: Session) -> None:
    requests = Requests()
    requests.send(messages_pb2.StreamingOutputCallRequest(payload=payload(REQUEST_SIZES[0])))
    responses = session.stub().FullDuplexCall(requests, timeout=0.001)
    error = status_of(lambda: next(responses))
    check_equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "status code")


def pick_first_unary(session: Session) -> None:
    stub = session.stub()
    request = messages_pb2.SimpleRequest(response_size=1, payload=payload(1), fill_server_id=True)
    servers = {stub.UnaryCall(request, timeout=CALL_LIMIT_SECONDS).server_id for _ in range(100)}
    check_equal(len(servers), 1, "servers that answered")
    check("" not in servers, "the server gave no server_id")


def _soak(session: Session, new_channel_each_time: bool) -> None:
    flags = session.flags
    began = time.monotonic()
    failures: list[str] = []
    done: list[int] = []

    def worker() -> None:
        shared = None if new_channel_each_time else session.channel()
        for number in range(flags.soak_iterations // flags.soak_num_threads):
            started = time.monotonic()
            if started - began > flags.soak_overall_timeout_seconds:
                return
            channel = shared or session.channel()
            request = messages_pb2.SimpleRequest(
                response_size=flags.soak_response_size, payload=payload(flags.soak_request_size)
            )
            try:
                response = test_pb2_grpc.TestServiceStub(channel).UnaryCall(
                    request, timeout=CALL_LIMIT_SECONDS
                )
                check_equal(len(response.payload.body), flags.soak_response_size, "response bytes")
                took = (time.monotonic() - started) * 1000
                limit = flags.soak_per_iteration_max_acceptable_latency_ms
                check(took <= limit, f"{took:.0f} ms, limit {limit} ms")
            except (grpc.RpcError, CaseFailed) as error:
                failures.append(f"iteration {number}: {error}")
            done.append(number)
            if shared is None:
                channel.close()
            rest = flags.soak_min_time_ms_between_rpcs / 1000 - (time.monotonic() - started)
            time.sleep(max(rest, 0))

    workers = [threading.Thread(target=worker) for _ in range(flags.soak_num_threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    wanted = flags.soak_iterations // flags.soak_num_threads * flags.soak_num_threads
    check_equal(len(done), wanted, "iterations within the overall time")
    check(len(failures) <= flags.soak_max_failures, "; ".join(failures))


def rpc_soak(session: Session) -> None:
    _soak(session, new_channel_each_time=False)


def channel_soak(session: Session) -> None:
    _soak(session, new_channel_each_time=True)


def goaway(session: Session) -> None:
    stub = session.stub()
    for pause in (1, 0):
        check_large(stub.UnaryCall(large_request(), timeout=CALL_LIMIT_SECONDS))
        # The official procedure waits here, so that GOAWAY is there before
        # the second call.
        time.sleep(pause)


def call_must_fail(session: Session) -> None:
    stub = session.stub()
    status_of(lambda: stub.UnaryCall(large_request(), timeout=CALL_LIMIT_SECONDS))


def max_streams(session: Session) -> None:
    stub = session.stub()
    check_large(stub.UnaryCall(large_request(), timeout=CALL_LIMIT_SECONDS))
    calls = [stub.UnaryCall.future(large_request(), timeout=CALL_LIMIT_SECONDS) for _ in range(10)]
    for call in calls:
        check_large(call.result())


CASES: dict[str, Callable[[Session], None]] = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_compressed_unary,
        client_compressed_unary_noprobe,
        server_compressed_unary,
        client_streaming,
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
        goaway,
        max_streams,
    )
}
CASES |= {
    "rst_after_header": call_must_fail,
    "rst_during_data": call_must_fail,
    "rst_after_data": call_must_fail,
    "ping": large_unary,
    "no_df_padding_sanity_test": large_unary,
}


def boolean(text: str) -> bool:
    """The official flags write booleans out: `--use_tls=true`."""
    return text.lower() in ("true", "1", "yes")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The official flags of an interop client."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--server_host", default="127.0.0.1")
    parser.add_argument("--server_port", type=int, required=True)
    parser.add_argument("--server_host_override", default="")
    parser.add_argument("--test_case", required=True)
    parser.add_argument("--use_tls", type=boolean, default=False)
    parser.add_argument("--custom_ca_file", default="")
    parser.add_argument("--soak_iterations", type=int, default=10)
    parser.add_argument("--soak_max_failures", type=int, default=0)
    parser.add_argument("--soak_per_iteration_max_acceptable_latency_ms", type=int, default=1000)
    parser.add_argument("--soak_overall_timeout_seconds", type=int, default=10)
    parser.add_argument("--soak_min_time_ms_between_rpcs", type=int, default=0)
    parser.add_argument("--soak_request_size", type=int, default=LARGE_REQUEST)
    parser.add_argument("--soak_response_size", type=int, default=LARGE_RESPONSE)
    parser.add_argument("--soak_num_threads", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> int:
    """Runs one case; the exit code is its outcome."""
    flags = parse(sys.argv[1:])
    name = flags.test_case
    if name not in CASES:
        reason = NOT_OFFERED.get(name, "unknown case")
        print(f"{name}: not offered: {reason}", file=sys.stderr)
        return NOT_OFFERED_EXIT
    session = Session(flags)
    try:
        CASES[name](session)
    except (CaseFailed, grpc.RpcError) as error:
        print(f"{name}: FAIL: {error}", file=sys.stderr)
        return 1
    finally:
        session.close()
    print(f"{name}: pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
