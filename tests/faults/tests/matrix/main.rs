//! Faults on the way between a channel and a server, each with every kind of call, without a retry policy and with one:
//! what the caller is told, in every cell. Besides, in every cell: nothing hangs, no call that was acknowledged is lost, none
//! runs twice without a policy, what was not sent did not run, and the channel recovers.
//!
//! The table of `docs/faults.md` is that of this test; `BLESS=1 cargo test -p spanwire-faults --test matrix` writes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod document;
mod faults;
#[cfg(target_os = "linux")]
mod loss;
mod service;
mod swap;

use std::sync::Arc;
use std::time::Duration;

use calls::{Call, KINDS, Kind, Outcome, make};
use faults::{LONG, POLICY, Row, rows};
use futures_util::stream;
use service::{Books, Entry};
use spanwire::{Channel, ChannelBuilder, ClientTls, Keepalive, Raw, Server, ServerTls};
use spanwire_faults::proxy::FaultProxy;
use tokio::sync::mpsc;

/// Runs a cell in virtual time.
fn in_virtual_time<T>(cell: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(cell)
}

fn with_policy(builder: ChannelBuilder, retried: bool) -> ChannelBuilder {
    let pause = Duration::from_millis(10);
    // Twelve seconds of silence are a lost connection.
    let keepalive = Keepalive { timeout: Duration::from_secs(2), ..Keepalive::new(Duration::from_secs(10)) };
    let builder = builder.backoff(pause, pause).keepalive(keepalive);
    if retried { builder.service_config(POLICY) } else { builder }
}

/// What is wrong with the end of a call, by the books.
fn against_the_books(outcome: &Outcome, entry: Entry, retried: bool) -> Option<String> {
    let status = &outcome.status;
    if status.is_ok() && entry.finished == 0 {
        return Some("an acknowledged call is lost".to_owned());
    }
    if entry.begun > 1 && !retried {
        return Some(format!("the call ran {} times without a policy", entry.begun));
    }
    if entry.begun > outcome.attempts as usize {
        return Some(format!("the call ran {} times in {} attempts", entry.begun, outcome.attempts));
    }
    (!status.is_ok() && status.sent() == spanwire::Sent::NotSent && entry.begun > 0)
        .then(|| "a call that was not sent ran".to_owned())
}

/// Calls until the channel has recovered, which it must within three calls.
async fn recovers(channel: &Channel) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..3 {
        let call = Call { name: "again", body: Raw::from("again"), deadline: LONG };
        let outcome = make(channel, Kind::Unary, &call).await;
        if outcome.status.is_ok() {
            return Ok(());
        }
        last = outcome.status.to_string();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(format!("the channel does not recover: {last}"))
}

async fn play(row: &Row, kind: Kind, retried: bool) -> (String, Vec<String>) {
    let (to_server, connections) = mpsc::unbounded_channel();
    let incoming = stream::unfold(connections, async |mut connections| {
        Some((Ok(connections.recv().await?), connections))
    });
    let books = Books::default();
    let identity = rcgen::generate_simple_self_signed(["memory".to_owned()]).unwrap();
    let certificate = identity.cert.pem();
    let mut server = Server::builder().service(books.clone());
    if row.tls {
        server = server.tls(ServerTls::from_pem(certificate.clone(), identity.signing_key.serialize_pem()));
    }
    tokio::spawn(server.bind_incoming(incoming).unwrap().run());
    let proxy = Arc::new(FaultProxy::new(row.fault, to_server));
    let dialled = proxy.clone();
    let mut channel = Channel::builder("memory").connector(move || std::future::ready(dialled.dial()));
    if row.tls {
        channel = channel.tls(ClientTls::new().with_ca_pem(certificate));
    }
    let channel = with_policy(channel, retried).build().unwrap();
    let body = Raw::from(vec![b'x'; if row.large { 300_000 } else { 3 }]);
    let call = Call { name: "first", body, deadline: row.deadline };
    let first = make(&channel, kind, &call);
    let Ok(outcome) = tokio::time::timeout(3 * LONG, first).await else {
        return ("hangs".to_owned(), Vec::new());
    };
    let wire = proxy.requests();
    let mut wrong: Vec<String> =
        against_the_books(&outcome, books.of("first"), retried).into_iter().collect();
    if wire > outcome.attempts as usize {
        wrong.push(format!("{wire} attempts were on the wire, and {} are told", outcome.attempts));
    }
    wrong.extend(recovers(&channel).await.err());
    (outcome.to_string(), wrong)
}

#[test]
fn every_cell_is_as_it_is_documented() {
    let mut problems = Vec::new();
    for row in rows() {
        for (retried, due) in [(false, row.plain), (true, row.retried)] {
            for ((label, kind), due) in KINDS.into_iter().zip(due) {
                let (outcome, wrong) = in_virtual_time(play(&row, kind, retried));
                let cell = format!("{} × {label}{}", row.name, if retried { " × retries" } else { "" });
                if outcome != due {
                    problems.push(format!("{cell}: {outcome}, and due is {due}"));
                }
                problems.extend(wrong.into_iter().map(|problem| format!("{cell}: {problem}")));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
