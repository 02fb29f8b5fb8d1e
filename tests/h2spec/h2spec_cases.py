"""What is known of h2spec's cases."""

from __future__ import annotations

RACES_WHY = """
h2spec knows nothing of gRPC: its requests are GET. A Spanwire server answers each of them with
HTTP 405 as soon as its headers are there, and if the request goes on, closes its stream with
RST_STREAM(NO_ERROR), as RFC 9113 section 8.1 has it for an answer that needs no more of the
request. The cases below send headers, and then an offence on the same stream. If the offence is
read before the answer is made, it is met with the error that h2spec wants. If the answer is
first, the stream is closed by us, and what still comes on it is ignored, as section 5.1 asks of
whoever has sent RST_STREAM. So each of them passes in one run and fails in another; no gRPC
call is concerned.
"""
"""For docs/h2spec.md."""

RACES: dict[str, tuple[str, str]] = {
    "http2/5.1/8": ("STREAM_CLOSED", "nothing"),
    "http2/5.1/9": ("STREAM_CLOSED", "nothing"),
    "http2/6.9.1/3": ("FLOW_CONTROL_ERROR", "RST_STREAM(NO_ERROR)"),
    "http2/8.1/1": ("PROTOCOL_ERROR", "nothing"),
    "http2/8.1.2.1/3": ("PROTOCOL_ERROR", "nothing"),
    "http2/8.1.2.6/1": ("PROTOCOL_ERROR", "nothing"),
    "http2/8.1.2.6/2": ("PROTOCOL_ERROR", "nothing"),
}
"""Case to what h2spec wants, and what it sees beside the answer if it loses the race."""
