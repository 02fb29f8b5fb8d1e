"""A server that misbehaves on the HTTP/2 level, one way per test case.

    http2_server.py --port=PORT --test_case=CASE

The cases are those of doc/http2-interop-test-descriptions.md. One process
serves one run of one case on 127.0.0.1. On SIGTERM it says what the client
did wrong and exits with 1, or exits with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame
from interop_pb import messages_pb2

NO_ERROR = 0
SMALL_DATA = 5
"""Payload bytes in each DATA frame of the two padding cases."""
WHOLE_PADDING = 255
PREFACE_BYTES = 24
FRAME_HEADER_BYTES = 9
REPLY_DELAY_SECONDS = 0.02
"""Keeps a max_streams call open long enough for a second one to show."""

RESPONSE_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
TRAILERS = [("grpc-status", "0")]


@dataclass
class Verdict:
    """What was seen over all connections; `faults` decides the exit code."""

    connections_with_calls: int = 0
    calls: int = 0
    pings_sent: int = 0
    pings_acknowledged: int = 0
    most_streams_at_once: int = 0
    broken: list[str] = field(default_factory=list)

    def faults(self, case: str) -> list[str]:
        """The assertions of the server side of `case` that do not hold."""
        found = list(self.broken)
        if self.calls == 0:
            found.append("no call arrived")
        if case == "goaway" and self.connections_with_calls != 2:
            found.append(f"calls came on {self.connections_with_calls} connections, not on 2")
        if case == "ping" and self.pings_sent != self.pings_acknowledged:
            found.append(f"{self.pings_acknowledged} of {self.pings_sent} pings acknowledged")
        if case == "max_streams" and self.most_streams_at_once > 1:
            found.append(f"{self.most_streams_at_once} streams were open where 1 was allowed")
        return found


class GoawayFilter:
    """Takes the client's GOAWAY frames out of what it sends.

    A client may say GOAWAY and still finish its streams; h2 takes the
    connection as closed from then on, so it must not see that frame.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._preface_left = PREFACE_BYTES

    def pass_on(self, data: bytes) -> bytes:
        """The whole frames that are there by now, without GOAWAY."""
        head, data = data[: self._preface_left], data[self._preface_left :]
        self._preface_left -= len(head)
        self._buffer += data
        kept = bytearray(head)
        while len(self._buffer) >= FRAME_HEADER_BYTES:
            size = FRAME_HEADER_BYTES + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < size:
                break
            if self._buffer[3] != GoAwayFrame.type:
                kept += self._buffer[:size]
            del self._buffer[:size]
        return bytes(kept)


class Connection(asyncio.Protocol):
    """One connection of the client under test."""

    transport: asyncio.Transport

    def __init__(self, case: str, verdict: Verdict) -> None:
        self._case = case
        self._verdict = verdict
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._filter = GoawayFilter()
        self._requests: dict[int, bytearray] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._window_opened = asyncio.Event()
        self._limit_in_force = False
        self._calls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the settings; max_streams takes all but one stream away."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._h2.initiate_connection()
        if self._case == "max_streams":
            self._h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Ends the answers that can no longer be given."""
        for answer in self._answers:
            answer.cancel()

    def data_received(self, data: bytes) -> None:
        """Feeds the bytes to h2 and acts on what comes out."""
        try:
            events = self._h2.receive_data(self._filter.pass_on(data))
        except h2.exceptions.ProtocolError as error:
            self._verdict.broken.append(f"{type(error).__name__}: {error}")
            self._flush()
            self.transport.close()
            return
        for event in events:
            self._act(event)
        self._flush()

    def _act(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            self._requests[event.stream_id] = bytearray()
            if self._limit_in_force:
                now_open = len(self._requests)
                most = max(self._verdict.most_streams_at_once, now_open)
                self._verdict.most_streams_at_once = most
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            self._requests[event.stream_id] += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            self._start_answer(event.stream_id)
        elif isinstance(event, h2.events.SettingsAcknowledged):
            # h2 says this once for each SETTINGS; only an acknowledged limit
            # binds the client.
            changed = event.changed_settings or {}
            if h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS in changed:
                self._limit_in_force = self._case == "max_streams"
        elif isinstance(event, h2.events.PingAckReceived):
            self._verdict.pings_acknowledged += 1
        elif isinstance(event, h2.events.StreamReset):
            self._requests.pop(event.stream_id or 0, None)
        # An opened window and a changed initial window both let data out.
        self._window_opened.set()

    def _start_answer(self, stream: int) -> None:
        if self._calls == 0:
            self._verdict.connections_with_calls += 1
        self._calls += 1
        self._verdict.calls += 1
        answer = asyncio.ensure_future(self._answer(stream))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _answer(self, stream: int) -> None:
        request = messages_pb2.SimpleRequest.FromString(bytes(self._requests[stream][5:]))
        body = messages_pb2.SimpleResponse(
            payload=messages_pb2.Payload(body=bytes(request.response_size))
        ).SerializeToString()
        message = struct.pack(">BI", 0, len(body)) + body
        try:
            await ANSWERS[self._case](self, stream, message)
        except h2.exceptions.ProtocolError as error:
            # The client reset the stream or left; its own assertions say
            # whether that was right.
            print(f"stream {stream}: {type(error).__name__}: {error}", file=sys.stderr)
        self._requests.pop(stream, None)
        self._flush()

    # What the answers are made of.

    def _flush(self) -> None:
        self.transport.write(self._h2.data_to_send())

    def _headers(self, stream: int) -> None:
        self._h2.send_headers(stream, RESPONSE_HEADERS)

    def _reset(self, stream: int) -> None:
        self._h2.reset_stream(stream, NO_ERROR)

    def _trailers(self, stream: int) -> None:
        self._h2.send_headers(stream, TRAILERS, end_stream=True)

    def _ping(self) -> None:
        self._verdict.pings_sent += 1
        self._h2.ping(struct.pack(">Q", self._verdict.pings_sent))

    async def _data(
        self, stream: int, data: bytes, most: int = 16_384, padding: int | None = None
    ) -> None:
        """Sends `data` in frames of at most `most` bytes, as windows allow."""
        # The padding and its length byte count against the window.
        extra = 0 if padding is None else padding + 1
        sent = 0
        while sent < len(data):
            room = min(
                self._h2.local_flow_control_window(stream),
                self._h2.max_outbound_frame_size,
            )
            size = min(most, len(data) - sent, room - extra)
            if size <= 0 or self.transport.get_write_buffer_size() > 1 << 20:
                self._window_opened.clear()
                self._flush()
                # The write buffer drains without an event: look again soon.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._window_opened.wait(), 0.05)
                continue
            self._h2.send_data(stream, data[sent : sent + size], pad_length=padding)
            sent += size
        self._flush()

    # The cases.

    async def well(self, stream: int, message: bytes) -> None:
        """A right answer; max_streams needs no more than that."""
        await asyncio.sleep(REPLY_DELAY_SECONDS)
        self._headers(stream)
        await self._data(stream, message)
        self._trailers(stream)

    async def goaway(self, stream: int, message: bytes) -> None:
        """GOAWAY while the first call is being answered, which then finishes."""
        if self._calls == 1 and self._verdict.connections_with_calls == 1:
            # Written past h2, which would send nothing more after its own.
            frame = GoAwayFrame(last_stream_id=stream, error_code=NO_ERROR)
            self._flush()
            self.transport.write(frame.serialize())
        self._headers(stream)
        await self._data(stream, message)
        self._trailers(stream)

    async def rst_after_header(self, stream: int, message: bytes) -> None:
        """Headers, then RST_STREAM(NO_ERROR)."""
        self._headers(stream)
        self._reset(stream)

    async def rst_during_data(self, stream: int, message: bytes) -> None:
        """Half of the message, then RST_STREAM(NO_ERROR)."""
        self._headers(stream)
        await self._data(stream, message[: len(message) // 2])
        self._reset(stream)

    async def rst_after_data(self, stream: int, message: bytes) -> None:
        """The whole message, then RST_STREAM(NO_ERROR) where trailers are due."""
        self._headers(stream)
        await self._data(stream, message)
        self._reset(stream)

    async def ping(self, stream: int, message: bytes) -> None:
        """A ping before and after the headers and the data."""
        self._ping()
        self._headers(stream)
        self._ping()
        self._flush()
        self._ping()
        await self._data(stream, message)
        self._ping()
        self._trailers(stream)

    async def data_frame_padding(self, stream: int, message: bytes) -> None:
        """Five bytes of message and 255 of padding in each frame."""
        self._headers(stream)
        await self._data(stream, message, most=SMALL_DATA, padding=WHOLE_PADDING)
        self._trailers(stream)

    async def no_df_padding_sanity_test(self, stream: int, message: bytes) -> None:
        """The same small frames with no padding."""
        self._headers(stream)
        await self._data(stream, message, most=SMALL_DATA)
        self._trailers(stream)


ANSWERS = {
    "goaway": Connection.goaway,
    "rst_after_header": Connection.rst_after_header,
    "rst_during_data": Connection.rst_during_data,
    "rst_after_data": Connection.rst_after_data,
    "ping": Connection.ping,
    "max_streams": Connection.well,
    "data_frame_padding": Connection.data_frame_padding,
    "no_df_padding_sanity_test": Connection.no_df_padding_sanity_test,
}


async def serve(port: int, case: str) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    verdict = Verdict()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    stop: Callable[[], None] = stopped.set
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    server = await loop.create_server(lambda: Connection(case, verdict), "127.0.0.1", port)
    await stopped.wait()
    server.close()
    faults = verdict.faults(case)
    for fault in faults:
        print(f"{case}: FAIL: {fault}", file=sys.stderr)
    print(f"{case}: {verdict}")
    return 1 if faults else 0


def main() -> int:
    """Reads the official flags and serves."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--test_case", required=True, choices=sorted(ANSWERS))
    flags = parser.parse_args()
    return asyncio.run(serve(flags.port, flags.test_case))


if __name__ == "__main__":
    sys.exit(main())
