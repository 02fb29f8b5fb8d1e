//! Peers that speak something else, and TLS that does not come about.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{FrozenClock, LONG, TestServer, UNARY, assert_status, raw};
use spanwire::{Channel, ClientTls, Code, Kind, Method, Raw, Server, ServerTls};
use spanwire_faults::frame::PREFACE;
use spanwire_faults::{RawClient, RawServer};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

const ECHO: Method = Method::new("/test.Probe/Echo", Kind::Unary);

async fn assert_serves(server: &TestServer) {
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary("/test.Probe/Echo", b"hi").await.grpc_status(), Some("0"));
}

// ---- something else than HTTP/2 ----

#[tokio::test]
async fn server_ends_connections_that_begin_with_anything_but_the_preface() {
    let server = TestServer::start().await;
    let one_bit_off: Vec<u8> =
        PREFACE.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 20)).collect();
    for bytes in [
        &b"garbage, and quite a lot of it, so that no preface can be hoped for"[..],
        &[0; 64],
        &[0xff; 64],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /test.Probe/Echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.6\r\nand more than a preface is long\r\n",
        // A TLS ClientHello, as far as a plain port reads it.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz",
        &one_bit_off,
    ] {
        let mut client = RawClient::connect_bare(server.address()).await;
        client.send_bytes(bytes).await;
        // To the end of the connection, whatever is said before it.
        client.read_to_end().await;
    }
    assert_eq!(server.calls(), 0);
    assert_serves(&server).await;
}

#[tokio::test]
async fn server_survives_a_preface_that_ends_early_or_is_followed_by_something_else() {
    let server = TestServer::start().await;
    for bytes in [
        &PREFACE[..1],
        &PREFACE[..23],
        PREFACE,
        &[PREFACE, b"\0\0\x08\x06\0\0\0\0\0pingping"].concat(),
        &[PREFACE, &[0xff; 50]].concat(),
    ] {
        let mut client = RawClient::connect_bare(server.address()).await;
        client.send_bytes(bytes).await;
        client.shut_down().await;
        client.read_to_end().await;
    }
    assert_serves(&server).await;
}

#[tokio::test]
async fn client_reports_a_server_that_speaks_something_else_as_unavailable() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"[..],
        b"220 mail.invalid ESMTP ready, and more than nine bytes\r\n",
        &[0; 40],
        b"\x15\x03\x01\x00\x02\x02\x46 a TLS alert on a plain connection",
    ] {
        let server = RawServer::bind().await;
        let channel = common::build(Channel::builder(&server.target()));
        let play = async {
            let mut connection = server.accept_bare().await;
            connection.send_bytes(answer).await;
            connection
        };
        let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG);
        let (outcome, _connection) = tokio::join!(call.into_future(), play);
        let status = outcome.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{}: {status}", answer.escape_ascii());
        assert_eq!(status.sent(), spanwire::Sent::NotSent);
    }
}

// ---- TLS against plain, plain against TLS ----

#[tokio::test]
async fn a_tls_channel_to_a_plain_server_is_unavailable_and_says_why() {
    let server = TestServer::start().await;
    let channel = Channel::builder(&server.target()).tls(ClientTls::new()).build().unwrap();
    let status = channel.unary::<Raw, Raw>(&ECHO, raw("")).timeout(LONG).await.unwrap_err();
    assert_status(&status, Code::Unavailable, "TLS");
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_plain_channel_to_a_tls_server_is_unavailable_and_says_why() {
    let identity = Identity::new(&["localhost"]);
    let server = identity.serve().await;
    let channel = common::build(Channel::builder(&server.target()));
    let status = channel.unary::<Raw, Raw>(&ECHO, raw("")).timeout(LONG).await.unwrap_err();
    assert_status(&status, Code::Unavailable, "TLS");
    identity.assert_serves(&server).await;
}

#[tokio::test]
async fn a_silent_client_of_a_tls_server_is_dropped_after_twenty_seconds() {
    let identity = Identity::new(&["localhost"]);
    let server = identity.serve().await;
    let mut mute = RawClient::connect_bare(server.address()).await;
    identity.assert_serves(&server).await;
    let clock = FrozenClock::new();
    clock.advance(Duration::from_millis(20_100)).await;
    mute.read_to_end().await;
}

#[tokio::test]
async fn garbage_to_a_tls_server_ends_that_connection_alone() {
    let identity = Identity::new(&["localhost"]);
    let server = identity.serve().await;
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], PREFACE, &[0xff; 100], b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]
    {
        let mut client = RawClient::connect_bare(server.address()).await;
        client.send_bytes(bytes).await;
        client.read_to_end().await;
    }
    identity.assert_serves(&server).await;
}

// ---- TLS that does not fit ----

/// A self-signed certificate.
struct Identity {
    cert_pem: String,
    key_pem: String,
    cert: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            cert_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            cert: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    fn server_tls(&self) -> ServerTls {
        ServerTls::from_pem(self.cert_pem.clone(), self.key_pem.clone())
    }

    fn client_tls(&self) -> ClientTls {
        ClientTls::new().with_ca_pem(self.cert_pem.clone()).server_name("localhost")
    }

    async fn serve(&self) -> TestServer {
        TestServer::with(|server| server.tls(self.server_tls())).await
    }

    async fn assert_serves(&self, server: &TestServer) {
        let channel = Channel::builder(&server.target()).tls(self.client_tls()).build().unwrap();
        assert_eq!(channel.unary::<Raw, Raw>(&ECHO, raw("hi")).timeout(LONG).await.unwrap(), raw("hi"));
    }

    fn rustls_server(&self, alpn: &[&[u8]]) -> ServerConfig {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    /// A TLS connection to `server` that offers these protocols.
    async fn connect(
        &self,
        server: &TestServer,
        alpn: &[&[u8]],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let tcp = TcpStream::connect(server.address()).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }
}

#[tokio::test]
async fn a_raw_client_over_tls_with_alpn_h2_is_served() {
    let identity = Identity::new(&["localhost"]);
    let server = identity.serve().await;
    let tls = identity.connect(&server, &[b"http/1.1", b"h2"]).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = RawClient::over(tls);
    client.open(&[], 0).await;
    assert_eq!(client.unary("/test.Probe/Echo", b"hi").await.grpc_status(), Some("0"));
}

#[tokio::test]
async fn a_tls_server_refuses_clients_that_do_not_offer_h2() {
    let identity = Identity::new(&["localhost"]);
    let server = identity.serve().await;
    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        if let Ok(tls) = identity.connect(&server, alpn).await {
            // TLS 1.3 clients are done before the server has judged them: then the connection ends.
            let mut client = RawClient::over(tls);
            client.read_to_end().await;
        }
    }
    assert_eq!(server.calls(), 0);
    identity.assert_serves(&server).await;
}

/// The status of a call over TLS with `tls` against a rustls server that answers no HTTP/2.
async fn call_over_tls(tls: ClientTls, config: ServerConfig) -> spanwire::Status {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = Channel::builder(&listener.local_addr().unwrap().to_string()).tls(tls).build().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let play = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG);
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    outcome.unwrap_err()
}

#[tokio::test]
async fn a_tls_channel_refuses_servers_that_do_not_choose_h2() {
    let identity = Identity::new(&["localhost"]);
    let status = call_over_tls(identity.client_tls(), identity.rustls_server(&[])).await;
    assert_status(&status, Code::Unavailable, "ALPN");
    let status = call_over_tls(identity.client_tls(), identity.rustls_server(&[b"http/1.1"])).await;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_name_are_unavailable_and_said() {
    let identity = Identity::new(&["localhost"]);
    let stranger = Identity::new(&["localhost"]);
    let status = call_over_tls(stranger.client_tls(), identity.rustls_server(&[b"h2"])).await;
    assert_status(&status, Code::Unavailable, "certificate");
    let other_name = identity.client_tls().server_name("other.example");
    let status = call_over_tls(other_name, identity.rustls_server(&[b"h2"])).await;
    assert_status(&status, Code::Unavailable, "other.example");
}

#[tokio::test]
async fn a_client_without_its_certificate_is_refused_by_a_server_that_wants_one() {
    let identity = Identity::new(&["localhost"]);
    let member = Identity::new(&["member"]);
    let tls = identity.server_tls().client_ca_pem(member.cert_pem.clone());
    let server = TestServer::with(|server| server.tls(tls)).await;
    let channel = Channel::builder(&server.target()).tls(identity.client_tls()).build().unwrap();
    let status = channel.unary::<Raw, Raw>(&ECHO, raw("")).timeout(LONG).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(server.calls(), 0);

    let with_identity =
        identity.client_tls().with_identity_pem(member.cert_pem.clone(), member.key_pem.clone());
    let channel = Channel::builder(&server.target()).tls(with_identity).build().unwrap();
    assert_eq!(channel.unary::<Raw, Raw>(&ECHO, raw("hi")).timeout(LONG).await.unwrap(), raw("hi"));
}

// ---- certificates that cannot be read ----

/// The error text of a server with these TLS settings.
async fn bind_error(tls: ServerTls) -> String {
    Server::builder().tls(tls).bind("127.0.0.1:0").await.expect_err("these settings cannot work").to_string()
}

#[tokio::test]
async fn unreadable_certificates_of_a_server_fail_at_the_start_and_are_named() {
    let identity = Identity::new(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("cert.pem"), &identity.cert_pem).unwrap();
    std::fs::write(path("key.pem"), &identity.key_pem).unwrap();
    std::fs::write(path("garbage.pem"), "this is no certificate").unwrap();
    std::fs::write(path("broken.pem"), "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n")
        .unwrap();

    let error = bind_error(ServerTls::from_files(path("missing.pem"), path("key.pem"))).await;
    assert!(error.contains("missing.pem"), "{error}");
    let error = bind_error(ServerTls::from_files(path("cert.pem"), path("missing.key"))).await;
    assert!(error.contains("missing.key"), "{error}");
    for bad in ["garbage.pem", "broken.pem"] {
        let error = bind_error(ServerTls::from_files(path(bad), path("key.pem"))).await;
        assert!(error.contains(bad), "{error}");
        let error = bind_error(ServerTls::from_files(path("cert.pem"), path(bad))).await;
        assert!(error.contains(bad), "{error}");
        let tls = ServerTls::from_files(path("cert.pem"), path("key.pem")).client_ca_file(path(bad));
        let error = bind_error(tls).await;
        assert!(error.contains(bad), "{error}");
    }
    let other = Identity::new(&["localhost"]);
    let error = bind_error(ServerTls::from_pem(identity.cert_pem.clone(), other.key_pem)).await;
    assert!(error.contains("key"), "a key of another certificate: {error}");
    bind_error(ServerTls::from_pem("", "")).await;
}

#[tokio::test]
async fn unreadable_certificates_of_a_channel_fail_when_it_is_built_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing-ca.pem");
    let garbage = folder.path().join("garbage-ca.pem");
    std::fs::write(&garbage, "this is no certificate").unwrap();
    for (path, name) in [(missing, "missing-ca.pem"), (garbage, "garbage-ca.pem")] {
        let tls = ClientTls::new().with_ca_file(path);
        let error =
            Channel::builder("localhost:1").tls(tls).build().expect_err("this cannot work").to_string();
        assert!(error.contains(name), "{error}");
    }
    let tls = ClientTls::new().with_identity_pem("no certificate", "no key");
    assert!(Channel::builder("localhost:1").tls(tls).build().is_err());
}
