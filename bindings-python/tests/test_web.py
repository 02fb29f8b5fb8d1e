"""gRPC-Web: which pages may call, and what their browsers are told."""

from __future__ import annotations

import http.client
from typing import Any, cast

import pytest

import spanwire.sync
from aio import RAW
from spanwire.options import WebOptions

ORIGIN = "https://page.example"
MESSAGE = b"\0\0\0\0\2hi"
CALL = {"Origin": ORIGIN, "Content-Type": "application/grpc-web+proto"}
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


def serve(web: WebOptions | None) -> spanwire.sync.Server:
    return spanwire.sync.Server(handlers={RAW: lambda request, context: request}, address="127.0.0.1:0", web=web)


def send(
    server: spanwire.sync.Server, method: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(server.target)
    try:
        connection.request(method, RAW.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_listed_pages_may_call() -> None:
    web: WebOptions = {
        "origins": [ORIGIN],
        "allow_credentials": True,
        "allow_headers": ("authorization",),
        "expose_headers": ["x-cost"],
        "max_age": 0,
    }
    with serve(web) as server:
        status, headers, _ = send(server, "OPTIONS", PREFLIGHT)
        assert status == 204
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["access-control-allow-credentials"] == "true"
        assert headers["access-control-allow-headers"].endswith(", authorization")
        assert headers["access-control-max-age"] == "0"
        status, headers, body = send(server, "POST", CALL, MESSAGE)
        assert status == 200
        assert headers["access-control-expose-headers"].endswith(", x-cost")
        assert body == MESSAGE + b"\x80\0\0\0\x10grpc-status: 0\r\n"
        status, _, _ = send(server, "POST", {**CALL, "Origin": "https://other.example"}, MESSAGE)
        assert status == 403


def test_browsers_remember_for_two_hours_by_default() -> None:
    with serve({"origins": ["*"]}) as server:
        _, headers, _ = send(server, "OPTIONS", PREFLIGHT)
        assert headers["access-control-max-age"] == "7200"
        assert headers["access-control-allow-origin"] == "*"


def test_it_is_not_spoken_without_being_asked_for() -> None:
    with serve(None) as server, pytest.raises((http.client.HTTPException, OSError)):
        send(server, "POST", CALL, MESSAGE)


def test_options_say_what_is_wrong_with_them() -> None:
    cases: list[tuple[object, type[Exception], str]] = [
        ({"origins": ["page.example"]}, Exception, r'web\.origins: "page\.example" cannot be used'),
        ({"origin": []}, TypeError, "web has no .*origin"),
        ({"origins": ORIGIN}, TypeError, "origins: a sequence of str is due"),
        ([], TypeError, "web: dict is due"),
    ]
    for web, error, text in cases:
        with pytest.raises(error, match=text), serve(cast("WebOptions", web)):
            pass
