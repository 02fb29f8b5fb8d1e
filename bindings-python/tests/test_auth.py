"""Who calls, by token and by certificate, and who may: options, and what handlers see."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import spanwire.sync
from aio import RAW, run
from spanwire import Channel, Code, Context, Jwt, Method, RpcError, Server, Tls
from spanwire.options import Certificate, ServerOptions

CERTS = Path(__file__).resolve().parents[2] / "ffi-c" / "tests" / "certs.sh"
ISSUER = "https://login.example.com"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with certificates, and the keys of an issuer with a token."""
    folder = tmp_path_factory.mktemp("auth")
    subprocess.run([CERTS, folder], check=True, capture_output=True)
    return folder


def server_tls(made: Path, **more: Any) -> Tls:
    return Tls(certificate_file=made / "server.pem", key_file=made / "server.key", **more)


def client_tls(made: Path, **more: Any) -> Tls:
    return Tls(ca_file=made / "ca.pem", server_name="localhost", **more)


def test_handlers_see_claims(made: Path) -> None:
    seen: list[tuple[str | None, dict[str, Any] | None]] = []

    async def get(request: bytes, context: Context) -> bytes:
        seen.append((context.subject, context.claims))
        return b""

    jwt = Jwt(
        jwks_file=made / "keys.json",
        issuers=[ISSUER],
        audiences=["other", "orders"],
        algorithms=["EdDSA"],
        clock_skew=0,
        required_claims=["scope"],
    )
    assert repr(jwt) == f'Jwt(issuers=["{ISSUER}"], audiences=["other", "orders"])'

    async def main() -> None:
        async with Server(handlers={RAW: get}, address="127.0.0.1:0", tls=server_tls(made), jwt=jwt) as server:
            tls = client_tls(made)
            async with Channel(server.target, tls=tls, bearer_token_file=str(made / "token")) as channel:
                await channel.call(RAW, b"")
            for wrong in (None, "a.b.c"):
                async with Channel(server.target, tls=tls, bearer_token=wrong) as channel:
                    with pytest.raises(RpcError) as raised:
                        await channel.call(RAW, b"")
                    assert raised.value.code == Code.UNAUTHENTICATED

    run(main())
    [(subject, claims)] = seen
    assert subject == "ada" and claims and claims["scope"] == "orders.read" and claims["iss"] == ISSUER


def test_tokens_need_tls_unless_said_otherwise(made: Path) -> None:
    def get(request: bytes, context: spanwire.sync.Context) -> bytes:
        assert context.claims is not None
        return (context.subject or "").encode()

    token = [("authorization", "Bearer " + (made / "token").read_text())]
    for accept in (False, True):
        jwt = Jwt(
            jwks_file=str(made / "keys.json"), issuers=[ISSUER], audiences=["orders"], danger_accept_plaintext=accept
        )
        with (
            spanwire.sync.Server(handlers={RAW: get}, address="127.0.0.1:0", jwt=jwt) as server,
            spanwire.sync.Channel(server.target) as channel,
        ):
            if accept:
                assert channel.unary(RAW, b"", metadata=token) == b"ada"
            else:
                with pytest.raises(RpcError, match="bearer tokens are taken over TLS alone"):
                    channel.unary(RAW, b"", metadata=token)


class Keys(http.server.BaseHTTPRequestHandler):
    """A web server with the keys of an issuer."""

    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_keys_come_from_a_url(made: Path) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return (context.subject or "nobody").encode()

    Keys.text = (made / "keys.json").read_bytes()
    web = http.server.HTTPServer(("127.0.0.1", 0), Keys)
    jwt = Jwt(
        jwks_url=f"http://127.0.0.1:{web.server_port}/keys.json",
        jwks_refresh_interval=60,
        issuers=[ISSUER],
        audiences=["orders"],
        unauthenticated_methods=["/grpc.health.v1.Health/*"],
        danger_accept_plaintext=True,
    )
    token = [("authorization", "Bearer " + (made / "token").read_text())]

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0", health=True, jwt=jwt) as server,
            Channel(server.target) as channel,
        ):
            assert await channel.call(RAW, b"", metadata=token) == b"ada"
            with pytest.raises(RpcError) as raised:
                await channel.call(RAW, b"")
            assert raised.value.code == Code.UNAUTHENTICATED
            assert await channel.call(Method.unary("/grpc.health.v1.Health/Check"), b"") == b"\x08\x01"

    serving = threading.Thread(target=web.serve_forever)
    serving.start()
    try:
        run(main())
    finally:
        web.shutdown()
        serving.join()
        web.server_close()


def test_handlers_see_the_names_of_certificates(made: Path) -> None:
    seen: list[Any] = []

    async def get(request: bytes, context: Context) -> bytes:
        seen.append(context.tls_identity)
        assert context.claims is None and context.subject is None
        return b""

    policy = {"name": "p", "allow_rules": [{"name": "r", "source": {"principals": ["CN=client", ""]}}]}

    async def main() -> None:
        tls = server_tls(made, ca_file=made / "ca.pem", client_certificate_optional=True)
        options: ServerOptions = {"tls": tls, "authorization_policy": json.dumps(policy)}
        async with Server(handlers={RAW: get}, address="127.0.0.1:0", **options) as server:
            mine = {"certificate_file": made / "client.pem", "key_file": made / "client.key"}
            for own in (mine, {}):
                async with Channel(server.target, tls=client_tls(made, **own)) as channel:
                    await channel.call(RAW, b"")

    run(main())
    identity, nobody = seen
    assert nobody is None
    assert identity.certificates[0][0] == 0x30
    assert identity.dns_names == ("client.example",)
    assert identity.uris == ("spiffe://example/client",)
    assert identity.ip_addresses == ("192.0.2.1",)
    assert identity.emails == ("client@example",)
    assert identity.subject == "CN=client" and identity.spiffe_id == "spiffe://example/client"
    assert repr(identity) == '<spanwire.TlsIdentity "CN=client">'


def test_policy_of_a_file_refuses(made: Path, tmp_path: Path) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return b""

    path = tmp_path / "policy.json"
    rule = {"name": "r", "request": {"headers": [{"key": "x-test", "values": ["yes"]}]}}
    path.write_text(json.dumps({"name": "p", "allow_rules": [rule]}))

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="inprocess:policy", authorization_policy_file=path) as server,
            Channel("inprocess:policy") as channel,
        ):
            assert server.target == "inprocess:policy"
            await channel.call(RAW, b"", metadata={"x-test": "yes"})
            with pytest.raises(RpcError) as raised:
                await channel.call(RAW, b"")
            assert raised.value.code == Code.PERMISSION_DENIED
            assert raised.value.message == "unauthorized RPC request rejected"

    run(main())


def test_name_chooses_the_certificate(made: Path) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return b""

    more: list[Certificate] = [
        {"certificate_file": made / "named.pem", "key_file": made / "named.key"},
        {"certificate_pem": (made / "client.pem").read_text(), "key_pem": (made / "client.key").read_bytes()},
    ]

    async def main() -> None:
        tls = server_tls(made, more_certificates=more)
        async with Server(handlers={RAW: get}, address="127.0.0.1:0", tls=tls) as server:
            for name in ("localhost", "shop.example"):
                trust = Tls(ca_file=made / "ca.pem", server_name=name)
                async with Channel(server.target, tls=trust) as channel:
                    await channel.call(RAW, b"")

    run(main())


def test_mistakes_are_named(made: Path) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return b""

    for options, error in (
        ({"authorization_policy": "{}"}, "authorization_policy: the whole: has no allow_rules"),
        ({"jwt": Jwt(issuers=[], jwks_file=made / "keys.json")}, "jwt: whose tokens are good"),
        ({"jwt": Jwt(issuers=["i"], jwks_file="/nowhere")}, "jwks_file: /nowhere: "),
        ({"jwt": Jwt(issuers=["i"])}, "jwt: whose keys"),
        ({"jwt": Jwt(issuers=["i"], jwks_url="http://login.test/")}, "jwks_url: .* is not encrypted"),
        (
            {"jwt": Jwt(issuers=["i"], jwks_file=made / "keys.json", unauthenticated_methods=["Health"])},
            'unauthenticated_methods: "Health" must be a method',
        ),
        ({"jwt": {}}, "jwt: spanwire.Jwt is due, not dict"),
    ):

        async def main(options: Any = options, error: str = error) -> None:
            with pytest.raises((TypeError, ValueError), match=error):
                async with Server(handlers={RAW: get}, address="127.0.0.1:0", **options):
                    pass

        run(main())
    with pytest.raises(TypeError, match="more_certificates has no option"):
        server_tls(made, more_certificates=[{"file": "x"}])
