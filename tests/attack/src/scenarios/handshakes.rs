//! Connections that never become one, in plaintext and in TLS.

use std::time::Duration;

use spanwire_faults::frame::PREFACE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::connection::Field;
use crate::scenario::{Attack, Promise, Scenario};
use crate::tls;

/// So long a connection that should be closed may stay open on a slow machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many connections at once.
const CROWD: usize = 100;

const HASTY_SERVER: &[&str] = &["--handshake-timeout-ms=300"];

/// The greatest length that a TLS record can claim; no record may be so long.
const LONG_RECORD: &[u8] = &[22, 3, 1, 0xff, 0xff];

/// A record that holds the first bytes of a ClientHello, which claims to be longer.
const HALF_HELLO: &[u8] = &[22, 3, 1, 0, 8, 1, 0, 1, 0, 3, 3, 7, 7];

pub(super) fn table() -> Vec<Scenario> {
    let plain = |name, server, script| Scenario {
        name,
        promise: Promise::Close,
        server,
        tls: false,
        attack: Attack::Script(script),
    };
    let encrypted = |name, server, script| Scenario { tls: true, ..plain(name, server, script) };
    vec![
        plain("conn_idle_preface", HASTY_SERVER, |field| {
            Box::pin(crowd(field, &[b"", b"PRI * HTTP", PREFACE]))
        }),
        Scenario {
            promise: Promise::StayWell,
            ..plain("conn_hoard", &["--max-connections=64"], |field| Box::pin(hoard(field)))
        },
        plain("http1_request", &[], |field| {
            Box::pin(crowd(field, &[b"GET / HTTP/1.1\r\nHost: attack.test\r\n\r\n"]))
        }),
        encrypted("tls_plaintext", &[], |field| Box::pin(crowd(field, &[PREFACE]))),
        encrypted("tls_garbage", HASTY_SERVER, |field| {
            Box::pin(crowd(field, &[&[0xff; 600], LONG_RECORD, &[22, 3, 3, 0, 0], &[20, 3, 3, 0, 1, 1]]))
        }),
        encrypted("tls_half_hello", HASTY_SERVER, |field| Box::pin(crowd(field, &[b"", HALF_HELLO]))),
        encrypted("tls_no_alpn", HASTY_SERVER, |field| Box::pin(after_handshake(field, &[], b""))),
        encrypted("tls_http1", HASTY_SERVER, |field| {
            Box::pin(after_handshake(field, &[b"http/1.1"], b"GET /"))
        }),
        // A close_notify, and then nothing; the socket stays open on this side.
        encrypted("tls_close_notify", HASTY_SERVER, |field| Box::pin(close_notify(field))),
    ]
}

/// Crowds of connections that say one of these things: the server must close them all.
async fn crowd(field: Field, openings: &'static [&'static [u8]]) -> Result<(), String> {
    loop {
        let mut all = JoinSet::new();
        for number in 0..CROWD {
            let field = field.clone();
            all.spawn(async move { field.ends_after(openings[number % openings.len()], PATIENCE).await });
        }
        while let Some(one) = all.join_next().await {
            one.map_err(|error| error.to_string())??;
        }
        if field.over() {
            return Ok(());
        }
    }
}

/// TLS clients that do not offer what gRPC needs.
async fn after_handshake(
    field: Field,
    offers: &'static [&'static [u8]],
    then: &'static [u8],
) -> Result<(), String> {
    while !field.over() {
        let tcp = TcpStream::connect(field.address).await.map_err(|error| error.to_string())?;
        let Ok(mut stream) = tls::connect(tcp, offers).await else {
            field.tally.note_closed();
            continue;
        };
        stream.write_all(then).await.ok();
        wait_for_end(&field, &mut stream).await?;
    }
    Ok(())
}

async fn close_notify(field: Field) -> Result<(), String> {
    while !field.over() {
        let tcp = TcpStream::connect(field.address).await.map_err(|error| error.to_string())?;
        let mut stream = tls::connect(tcp, &[b"h2"]).await.map_err(|error| error.to_string())?;
        stream.get_mut().1.send_close_notify();
        stream.flush().await.ok();
        let (tcp, _) = stream.get_mut();
        wait_for_end(&field, tcp).await?;
    }
    Ok(())
}

async fn wait_for_end(field: &Field, stream: &mut (impl AsyncReadExt + Unpin)) -> Result<(), String> {
    let mut rest = Vec::new();
    match tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await {
        Ok(_) => field.tally.note_closed(),
        Err(_) => return Err("the server does not close the connection".into()),
    }
    Ok(())
}

/// More connections than the server may have. It takes no more than that, and goes on when they leave.
async fn hoard(field: Field) -> Result<(), String> {
    let mut kept = Vec::new();
    for _ in 0..200 {
        kept.push(TcpStream::connect(field.address).await.map_err(|error| error.to_string())?);
    }
    tokio::time::sleep_until(field.until.into()).await;
    drop(kept);
    let after = Field { until: std::time::Instant::now() + PATIENCE, ..field };
    let mut client = spanwire_faults::RawClient::connect(after.address).await;
    let answer = client.unary("/attack.Target/Echo", b"hello").await;
    after.tally.note_answer();
    if answer.grpc_status() == Some("0") { Ok(()) } else { Err(format!("afterwards: {answer:?}")) }
}
