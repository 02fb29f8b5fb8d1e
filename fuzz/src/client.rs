//! A whole client with calls under way, and a server that answers whatever the input says.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use spanwire::{Channel, Encoding, Kind, Method, Raw, Status};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::Input;
use crate::body::{self, Ending};
use crate::peer::{Side, Stream, play, streams};

const UNARY: Method = Method::new("/fuzz.Echo/Unary", Kind::Unary);
const DOWN: Method = Method::new("/fuzz.Echo/Down", Kind::ServerStreaming);
const UP: Method = Method::new("/fuzz.Echo/Up", Kind::ClientStreaming);
const BIDI: Method = Method::new("/fuzz.Echo/Bidi", Kind::Bidi);

/// What each call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the engine may need beyond that: nothing but the granularity of its timers.
const SLACK: Duration = Duration::from_millis(10);

/// Some calls on a channel whose connections speak as the input says. The time is virtual.
pub fn run(data: &[u8]) {
    crate::let_h2_tear_down();
    let mut input = Input::new(data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (how, which) = (input.byte(), input.byte());
        let pipe_bytes = input.pick(&[64 * 1024, 100, 4096]);
        let (dialled, mut accepted) = mpsc::unbounded_channel();
        let channel = Channel::builder("fuzz.test:1").connector(move || {
            let (ours, theirs) = tokio::io::duplex(pipe_bytes);
            let sent = dialled.send(theirs);
            async move { sent.map(|()| ours).map_err(|_| io::ErrorKind::ConnectionRefused.into()) }
        });
        let channel = channel.build().expect("a channel");
        let calls = begin(&channel, which, how & 1 != 0);

        let mut said = Vec::new();
        loop {
            let next: Option<DuplexStream> = timeout(TIMEOUT, accepted.recv()).await.ok().flatten();
            let Some(pipe) = next else { break };
            said.push(streams(&play(&mut input, pipe, Side::Server).await.sent, |_| {}));
            if input.is_empty() {
                break;
            }
        }
        // What is dialled from here on is refused, or never answered.
        if how & 2 == 0 {
            drop(accepted);
        }
        for call in calls {
            let answer = call.await.expect("a call does not panic");
            check(&answer, &said);
        }
        drop(channel);
        // Whatever is left of the connections goes on for a while.
        sleep(TIMEOUT).await;
    });
}

/// What a call gave its caller.
struct Answer {
    one: bool,
    messages: Vec<Bytes>,
    status: Status,
}

/// Begins the calls whose bits are not set in `which`.
fn begin(channel: &Channel, which: u8, wait: bool) -> Vec<JoinHandle<Answer>> {
    let mut calls = Vec::new();
    let mut start =
        |bit: u8, call: JoinHandle<Answer>| if which & bit == 0 { calls.push(call) } else { call.abort() };
    start(1, tokio::spawn(unary(channel.clone(), wait)));
    start(2, tokio::spawn(bidi(channel.clone(), wait)));
    start(4, tokio::spawn(up(channel.clone(), wait)));
    start(8, tokio::spawn(down(channel.clone(), wait)));
    calls
}

/// Whether an answer follows from what was said.
fn check(answer: &Answer, said: &[BTreeMap<u32, Stream>]) {
    if answer.one {
        assert_eq!(answer.messages.len(), usize::from(answer.status.is_ok()));
    }
    if answer.messages.is_empty() && !answer.status.is_ok() {
        return;
    }
    let mut streams = said.iter().flat_map(BTreeMap::values);
    let explained = streams.any(|stream| {
        Encoding::ALL.iter().any(|&encoding| {
            let (messages, ending) = body::split(&stream.body, 4 << 20, encoding);
            let all = messages == answer.messages && ending == Ending::Whole && stream.ended;
            if answer.status.is_ok() { all } else { messages.starts_with(&answer.messages) }
        })
    });
    assert!(explained, "{} messages, then {:?}: nobody said that", answer.messages.len(), answer.status);
}

fn one(result: Result<Raw, Status>, begun: Instant) -> Answer {
    assert!(
        begun.elapsed() <= TIMEOUT + SLACK,
        "a call outlives its deadline by {:?}",
        begun.elapsed() - TIMEOUT
    );
    match result {
        Ok(message) => Answer { one: true, messages: vec![message.0], status: Status::ok() },
        Err(status) => {
            assert!(!status.is_ok(), "an error that is none");
            Answer { one: true, messages: Vec::new(), status }
        }
    }
}

async fn unary(channel: Channel, wait: bool) -> Answer {
    let begun = Instant::now();
    let call = channel.unary(&UNARY, Raw::from("hello")).timeout(TIMEOUT).wait_for_ready(wait);
    one(call.await, begun)
}

async fn up(channel: Channel, wait: bool) -> Answer {
    let begun = Instant::now();
    let sent = async {
        let mut call =
            channel.client_streaming::<Raw, Raw>(&UP).timeout(TIMEOUT).wait_for_ready(wait).await?;
        for size in [10, 0, 20_000] {
            call.send(Raw::from(vec![1; size])).await?;
        }
        call.finish().await
    };
    one(sent.await, begun)
}

async fn down(channel: Channel, wait: bool) -> Answer {
    let begun = Instant::now();
    let mut messages = Vec::new();
    let received = async {
        let call = channel.server_streaming::<Raw, Raw>(&DOWN, Raw::from("hello"));
        let mut call = call.timeout(TIMEOUT).wait_for_ready(wait).await?;
        while let Some(message) = call.next().await? {
            messages.push(message.0);
        }
        Ok(())
    };
    let status = received.await.err().unwrap_or_default();
    many(messages, status, begun)
}

async fn bidi(channel: Channel, wait: bool) -> Answer {
    let begun = Instant::now();
    let mut messages = Vec::new();
    let talk = async {
        let mut call = channel.bidi::<Raw, Raw>(&BIDI).timeout(TIMEOUT).wait_for_ready(wait).await?;
        for size in [0, 100, 70_000] {
            // What the server has to say about it comes out of `next`.
            if call.send(Raw::from(vec![2; size])).await.is_err() {
                break;
            }
        }
        call.half_close();
        while let Some(message) = call.next().await? {
            messages.push(message.0);
        }
        Ok(())
    };
    let status = talk.await.err().unwrap_or_default();
    many(messages, status, begun)
}

fn many(messages: Vec<Bytes>, status: Status, begun: Instant) -> Answer {
    assert!(
        begun.elapsed() <= TIMEOUT + SLACK,
        "a call outlives its deadline by {:?}",
        begun.elapsed() - TIMEOUT
    );
    Answer { one: false, messages, status }
}
