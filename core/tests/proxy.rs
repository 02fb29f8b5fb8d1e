//! Channels through an HTTP proxy (gRFC A1), with a small one in the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::{Channel, ChannelBuilder, ClientTls, Code, Proxy, Raw, Server, ServerTls, Status};
use support::{ECHO, Echo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A name that nothing here resolves.
const NAME: &str = "orders.invalid:50051";

/// A proxy: what it was sent before the tunnels, and where it is.
struct Asked {
    heads: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Asked {
    fn channel(&self) -> ChannelBuilder {
        Channel::builder(NAME).proxy(Proxy::Url(format!("http://me:p%40ss@127.0.0.1:{}", self.port)))
    }
}

/// Answers CONNECT with `answer`, and leads on to `server`, if there is one.
async fn proxy(answer: &'static [u8], server: Option<String>) -> Asked {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asked = Asked { heads: Arc::default(), port: listener.local_addr().unwrap().port() };
    let heads = asked.heads.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (heads, server) = (heads.clone(), server.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                client.write_all(answer).await?;
                if let Some(server) = server {
                    copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await?;
                } else {
                    // Until the client has enough.
                    while client.read(&mut [0; 64]).await? > 0 {}
                }
                std::io::Result::Ok(())
            });
        }
    });
    asked
}

async fn server(tls: Option<ServerTls>) -> String {
    let builder = Server::builder().service(Echo::default());
    let builder = tls.into_iter().fold(builder, |builder, tls| builder.tls(tls));
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    let address = server.target();
    tokio::spawn(server.run());
    address
}

async fn call(channel: &Channel) -> Result<Raw, Status> {
    channel.unary(&ECHO, Raw::from("hi")).timeout(Duration::from_secs(10)).await
}

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n";

#[tokio::test]
async fn name_goes_to_the_proxy_as_it_is_with_the_credentials() {
    let asked = proxy(ESTABLISHED, Some(server(None).await)).await;
    assert_eq!(call(&asked.channel().build().unwrap()).await.unwrap(), Raw::from("hi"));
    let heads = asked.heads.lock().unwrap().clone();
    // printf 'me:p@ss' | base64
    let head =
        format!("CONNECT {NAME} HTTP/1.1\r\nHost: {NAME}\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n");
    assert_eq!(heads, [head]);
}

#[tokio::test]
async fn tls_is_with_the_server_behind_the_proxy() {
    let key = rcgen::generate_simple_self_signed(["orders.invalid".to_owned()]).unwrap();
    let (certificate, key) = (key.cert.pem(), key.signing_key.serialize_pem());
    let server = server(Some(ServerTls::from_pem(certificate.clone(), key))).await;
    let asked = proxy(b"HTTP/1.0 200\r\n\r\n", Some(server)).await;
    let channel = asked.channel().tls(ClientTls::new().with_ca_pem(certificate)).build().unwrap();
    assert_eq!(call(&channel).await.unwrap(), Raw::from("hi"));
}

#[tokio::test]
async fn refusals_name_the_proxy_and_its_setting() {
    static LONG: [u8; 20_000] = [b'x'; 20_000];
    for (answer, due) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..],
            "refused CONNECT orders.invalid:50051: \"HTTP/1.1 403 Forbidden\"",
        ),
        (b"HTTP/1.1 407 Who?\r\n\r\n", "wants a user and a password, or others than those in its URL"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP: it answered CONNECT with \"SSH-2.0-OpenSSH\""),
        (&LONG, "answered CONNECT with a head of more than 16384 bytes"),
    ] {
        let asked = proxy(answer, None).await;
        let status = call(&asked.channel().build().unwrap()).await.unwrap_err();
        let place = format!("the proxy 127.0.0.1:{} (set by proxy) {due}", asked.port);
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(&place), "{status} instead of {place}");
    }
}

#[tokio::test]
async fn proxy_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let channel = Channel::builder(NAME).proxy(Proxy::Url(format!("127.0.0.1:{port}"))).build().unwrap();
    let status = call(&channel).await.unwrap_err();
    let place = format!("the proxy 127.0.0.1:{port} (set by proxy): 127.0.0.1:{port}: ");
    assert!(status.message().contains(&place), "{status}");
    let channel =
        Channel::builder(NAME).proxy(Proxy::Url("http://proxy.invalid:1".to_owned())).build().unwrap();
    let status = call(&channel).await.unwrap_err();
    assert!(status.message().contains("the proxy proxy.invalid:1 (set by proxy): "), "{status}");
}

#[tokio::test(start_paused = true)]
async fn silent_proxy_is_left_after_the_connect_timeout() {
    let asked = proxy(b"", None).await;
    let channel = asked.channel().connect_timeout(Duration::from_secs(5)).build().unwrap();
    let begin = tokio::time::Instant::now();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).await.unwrap_err();
    assert_eq!(begin.elapsed().as_secs(), 5);
    let text = status.message();
    assert!(text.contains("(set by proxy)") && text.contains("no answer within connect_timeout"), "{status}");
}

#[tokio::test]
async fn addresses_and_channels_without_a_proxy_do_not_ask_it() {
    let address = server(None).await;
    let asked = proxy(ESTABLISHED, None).await;
    let url = || Proxy::Url(format!("127.0.0.1:{}", asked.port));
    let fixed = Channel::builder(&format!("ipv4:{address}")).proxy(url()).build().unwrap();
    call(&fixed).await.unwrap();
    let off = Channel::builder(&address).proxy(Proxy::Off).build().unwrap();
    call(&off).await.unwrap();
    let connected = address.clone();
    let own = Channel::builder(NAME).proxy(url()).connector(move || TcpStream::connect(connected.clone()));
    call(&own.build().unwrap()).await.unwrap();
    assert!(asked.heads.lock().unwrap().is_empty());
}

/// The environment belongs to the whole process, so the channel that reads it is in another one.
#[tokio::test(flavor = "multi_thread")]
async fn environment_names_the_proxy() {
    const CHILD: &str = "SPANWIRE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(call(&Channel::new(NAME).unwrap()).await.unwrap(), Raw::from("hi"));
        return;
    }
    let asked = proxy(ESTABLISHED, Some(server(None).await)).await;
    let run = |variable: &str, value: String| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        for known in ["grpc_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy", "no_grpc_proxy", "no_proxy"] {
            child.env_remove(known);
        }
        child.env_remove("NO_PROXY").args(["--exact", "environment_names_the_proxy"]);
        let child = child.env(CHILD, "1").env(variable, value);
        String::from_utf8_lossy(&child.output().unwrap().stdout).into_owned()
    };
    let output = run("https_proxy", format!("http://127.0.0.1:{}", asked.port));
    assert!(output.contains("1 passed"), "{output}");
    assert_eq!(asked.heads.lock().unwrap().len(), 1);
    let output = run("grpc_proxy", "https://me:secret@proxy.test".to_owned());
    assert!(output.contains("1 failed") && output.contains("grpc_proxy"), "{output}");
    assert!(!output.contains("secret"), "{output}");
}
