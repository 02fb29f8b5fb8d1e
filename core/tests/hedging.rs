//! Calls that are hedged by a service config (gRFC A6), in virtual time, inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{
    Channel, Code, Context, Kind, Metadata, Method, Raw, Response, Sent, Server, Status, Streaming,
};
use tokio::time::Instant;

const ONE: Method = Method::new("/test.Slow/One", Kind::Unary);
const DOWN: Method = Method::new("/test.Slow/Down", Kind::ServerStreaming);
const UP: Method = Method::new("/test.Slow/Up", Kind::ClientStreaming);
const BOTH: Method = Method::new("/test.Slow/Both", Kind::Bidi);

/// How one attempt is answered: after how many milliseconds, and with what.
type Answer = (u64, Result<(), Status>);

/// What a server saw of one attempt.
#[derive(Clone, Debug, PartialEq)]
struct Attempt {
    /// In milliseconds since the service was made.
    at: u128,
    previous: Option<String>,
    /// The client let go of it.
    cancelled: bool,
}

/// A service whose attempts take as long, and end, as they are told to.
#[derive(Clone)]
struct Slow {
    start: Instant,
    script: Arc<Mutex<Vec<Answer>>>,
    seen: Arc<Mutex<Vec<Attempt>>>,
}

struct Watch(Slow, usize, bool);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap()[self.1].cancelled = !self.2;
    }
}

impl Slow {
    /// One attempt: the script's next entry, and for ever behind its end.
    async fn attempt(&self, context: &Context) -> Result<(), Status> {
        let previous = context.metadata().get("grpc-previous-rpc-attempts").map(str::to_owned);
        let at = self.start.elapsed().as_millis();
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Attempt { at, previous, cancelled: false });
            seen.len() - 1
        };
        let mut watch = Watch(self.clone(), number, false);
        let next = self.script.lock().unwrap().get(number).cloned();
        let Some((ms, result)) = next else { std::future::pending().await };
        tokio::time::sleep(Duration::from_millis(ms)).await;
        watch.2 = true;
        result
    }

    fn seen(&self) -> Vec<Attempt> {
        self.seen.lock().unwrap().clone()
    }

    fn times(&self) -> Vec<u128> {
        self.seen().iter().map(|attempt| attempt.at).collect()
    }

    fn cancelled(&self) -> Vec<bool> {
        self.seen().iter().map(|attempt| attempt.cancelled).collect()
    }
}

impl Service for Slow {
    fn name(&self) -> &'static str {
        "test.Slow"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let this = Arc::new(self.clone());
        vec![
            (
                "One",
                Handler::unary(this.clone(), |this, request: Raw, context| async move {
                    (this.attempt(&context).await.map(|()| request), context)
                }),
            ),
            (
                "Down",
                Handler::server_streaming(
                    this.clone(),
                    |this, request: Raw, mut replies, context| async move {
                        let result = this.attempt(&context).await;
                        for _ in 0..if result.is_ok() { 3 } else { 0 } {
                            let _ = replies.send(request.clone()).await;
                        }
                        (result, context)
                    },
                ),
            ),
            (
                "Up",
                Handler::client_streaming(
                    this.clone(),
                    |this, mut requests: Streaming<Raw>, context| async move {
                        let mut all = Vec::new();
                        while let Ok(Some(message)) = requests.next().await {
                            all.extend_from_slice(&message.0);
                        }
                        (this.attempt(&context).await.map(|()| Raw::from(all)), context)
                    },
                ),
            ),
            (
                "Both",
                Handler::bidi(this, |this, mut requests: Streaming<Raw>, mut replies, context| async move {
                    let mut result = this.attempt(&context).await;
                    while let (Ok(()), Ok(Some(message))) = (&result, requests.next().await) {
                        result = replies.send(message).await;
                    }
                    (result, context)
                }),
            ),
        ]
    }
}

fn config(hedging: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], "hedgingPolicy": {{{hedging}}}}}]}}"#)
}

/// Four attempts 500 ms apart, as in the text of gRFC A6.
const FOUR: &str = r#""maxAttempts": 4, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["UNAVAILABLE"]"#;

async fn start(name: &str, script: Vec<Answer>, config: &str) -> (Slow, Channel) {
    let address = format!("inprocess:slow-{name}");
    let slow = Slow { start: Instant::now(), script: Arc::new(Mutex::new(script)), seen: Arc::default() };
    let server = Server::builder().service(slow.clone()).bind(&address).await.unwrap();
    tokio::spawn(server.run());
    (slow, Channel::builder(&address).service_config(config).build().unwrap())
}

async fn one(channel: &Channel) -> Result<Response<Raw>, Status> {
    channel.unary(&ONE, Raw::from("hi")).response().await
}

fn down() -> Result<(), Status> {
    Err(Status::unavailable("down"))
}

fn pushed_back(text: &str) -> Result<(), Status> {
    let mut trailers = Metadata::new();
    trailers.append("grpc-retry-pushback-ms", text).unwrap();
    Err(Status::unavailable("busy").with_metadata(trailers))
}

/// Lets the server take in that it was reset.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn first_answer_is_the_calls_and_the_others_are_cancelled() {
    let script = vec![(9000, Ok(())), (9000, Ok(())), (100, Ok(())), (0, Ok(()))];
    let (slow, channel) = start("first", script, &config(FOUR)).await;
    let answer = one(&channel).await.unwrap();
    assert_eq!((answer.message, answer.attempts), (Raw::from("hi"), 3));
    assert_eq!(slow.start.elapsed().as_millis(), 1100);
    settle().await;
    let previous: Vec<_> = slow.seen().into_iter().map(|attempt| attempt.previous).collect();
    assert_eq!(previous, [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!((slow.times(), slow.cancelled()), (vec![0, 500, 1000], vec![true, true, false]));
}

#[tokio::test(start_paused = true)]
async fn quick_answer_needs_no_second_attempt() {
    let (slow, channel) = start("quick", vec![(499, Ok(()))], &config(FOUR)).await;
    assert_eq!(one(&channel).await.unwrap().attempts, 1);
    assert_eq!(slow.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_all_attempts_begin_at_once() {
    let script = vec![(300, Ok(())), (200, Ok(())), (100, Ok(()))];
    let (slow, channel) = start("at-once", script, &config(r#""maxAttempts": 3"#)).await;
    assert_eq!(one(&channel).await.unwrap().attempts, 3);
    assert_eq!((slow.times(), slow.start.elapsed().as_millis()), (vec![0, 0, 0], 100));
}

#[tokio::test(start_paused = true)]
async fn failure_that_is_not_fatal_begins_the_next_attempt_now() {
    let script = vec![(100, down()), (100, down()), (9000, Ok(())), (10, Ok(()))];
    let (slow, channel) = start("next", script, &config(FOUR)).await;
    assert_eq!(one(&channel).await.unwrap().attempts, 4);
    assert_eq!(slow.times(), [0, 100, 200, 700]);
}

#[tokio::test(start_paused = true)]
async fn fatal_status_ends_all_attempts() {
    let script = vec![(9000, Ok(())), (100, Err(Status::permission_denied("no")))];
    let (slow, channel) = start("fatal", script, &config(FOUR)).await;
    let status = one(&channel).await.unwrap_err();
    assert_eq!(
        (status.code(), status.attempts(), status.sent()),
        (Code::PermissionDenied, 2, Sent::Answered)
    );
    settle().await;
    assert_eq!((slow.times(), slow.cancelled()), (vec![0, 500], vec![true, false]));
}

#[tokio::test(start_paused = true)]
async fn last_failure_is_the_calls_end() {
    let last = Err(Status::unavailable("last"));
    let script = vec![(900, last), (0, down()), (0, down()), (0, down())];
    let (slow, channel) = start("last", script, &config(FOUR)).await;
    let status = one(&channel).await.unwrap_err();
    assert_eq!((status.message(), status.attempts(), status.sent()), ("last", 4, Sent::Answered));
    assert_eq!((slow.times(), slow.start.elapsed().as_millis()), (vec![0, 500, 500, 500], 900));
}

#[tokio::test(start_paused = true)]
async fn server_pushes_the_next_attempt_back_or_forbids_it() {
    let script = vec![(100, pushed_back("1200")), (100, pushed_back("-1")), (0, Ok(()))];
    let (slow, channel) = start("pushback", script, &config(FOUR)).await;
    let status = one(&channel).await.unwrap_err();
    assert_eq!((status.message(), status.attempts()), ("busy", 2));
    assert_eq!((slow.times(), slow.start.elapsed().as_millis()), (vec![0, 1300], 1400));
}

#[tokio::test(start_paused = true)]
async fn attempt_under_way_is_waited_for_when_no_more_may_begin() {
    let script = vec![(2000, Ok(())), (100, pushed_back("-1")), (0, Ok(()))];
    let (slow, channel) = start("under-way", script, &config(FOUR)).await;
    assert_eq!(one(&channel).await.unwrap().attempts, 2);
    assert_eq!((slow.times(), slow.start.elapsed().as_millis()), (vec![0, 500], 2000));
}

#[tokio::test(start_paused = true)]
async fn throttling_leaves_the_first_attempt_alone() {
    let throttled =
        config(FOUR).replacen('{', r#"{"retryThrottling": {"maxTokens": 4, "tokenRatio": 1}, "#, 1);
    let script = vec![(0, down()), (0, down()), (0, Ok(())), (0, down()), (0, down()), (600, Ok(()))];
    let (slow, channel) = start("throttle", script, &throttled).await;
    // The second failure leaves two tokens, which is a half.
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 2);
    assert_eq!(one(&channel).await.unwrap().attempts, 1);
    // Three tokens, and one less with each failure.
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 1);
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 1);
    assert_eq!(one(&channel).await.unwrap().attempts, 1);
    assert_eq!(slow.times(), [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_for_all_attempts_together() {
    let (slow, channel) = start("deadline", Vec::new(), &config(FOUR)).await;
    let call = channel.unary::<_, Raw>(&ONE, Raw::default()).timeout(Duration::from_millis(1200));
    let status = call.await.unwrap_err();
    assert_eq!(
        (status.code(), status.attempts(), status.sent()),
        (Code::DeadlineExceeded, 3, Sent::MaybeSent)
    );
    settle().await;
    assert_eq!((slow.times(), slow.cancelled()), (vec![0, 500, 1000], vec![true; 3]));
}

#[tokio::test(start_paused = true)]
async fn attempt_that_could_not_begin_in_time_is_not_waited_for() {
    let (slow, channel) = start("in-time", vec![(100, pushed_back("5000"))], &config(FOUR)).await;
    let call = channel.unary::<_, Raw>(&ONE, Raw::default()).timeout(Duration::from_secs(2));
    assert_eq!(call.await.unwrap_err().message(), "busy");
    assert_eq!(slow.start.elapsed().as_millis(), 100);
}

#[tokio::test(start_paused = true)]
async fn dropped_call_cancels_every_attempt() {
    let (slow, channel) = start("dropped", Vec::new(), &config(FOUR)).await;
    let call = one(&channel);
    assert!(tokio::time::timeout(Duration::from_millis(600), call).await.is_err());
    settle().await;
    assert_eq!(slow.cancelled(), [true, true]);
    let stream = channel.server_streaming::<_, Raw>(&DOWN, Raw::from("x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    drop(stream);
    settle().await;
    assert_eq!(slow.cancelled(), [true; 4]);
}

#[tokio::test(start_paused = true)]
async fn stream_of_answers_is_the_first_that_begins() {
    let script = vec![(9000, Ok(())), (100, down()), (100, Ok(()))];
    let (slow, channel) = start("down", script, &config(FOUR)).await;
    // More than a stream keeps to send it again: of a request that is whole there is one copy.
    let request = Raw::from(vec![7; 600_000]);
    let mut stream = channel.server_streaming::<_, Raw>(&DOWN, request.clone()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(stream.next().await.unwrap(), Some(request.clone()));
    }
    assert_eq!(stream.next().await.unwrap(), None);
    assert_eq!(slow.times(), [0, 500, 600]);
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_stream_go_with_every_attempt() {
    let script = vec![(9000, Ok(())), (50, Ok(()))];
    let (slow, channel) = start("up", script, &config(FOUR)).await;
    let mut call = channel.client_streaming::<Raw, Raw>(&UP).await.unwrap();
    for part in ["a", "b", "c"] {
        call.send(Raw::from(part)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let answer = call.response().await.unwrap();
    assert_eq!((answer.message, answer.attempts), (Raw::from("abc"), 2));
    // The second attempt began after 500 ms; both have the whole request when it is whole.
    assert_eq!(slow.times(), [900, 900]);
}

#[tokio::test(start_paused = true)]
async fn both_directions_go_on_with_the_attempt_that_was_answered() {
    let (slow, channel) = start("both", vec![(9000, Ok(())), (100, Ok(()))], &config(FOUR)).await;
    let mut call = channel.bidi::<Raw, Raw>(&BOTH).await.unwrap();
    for part in ["a", "b", "c"] {
        call.send(Raw::from(part)).await.unwrap();
        assert_eq!(call.next().await.unwrap(), Some(Raw::from(part)));
    }
    call.half_close();
    assert_eq!(call.next().await.unwrap(), None);
    settle().await;
    assert_eq!((slow.times(), slow.cancelled()), (vec![0, 500], vec![true, false]));
}

#[tokio::test(start_paused = true)]
async fn request_beyond_what_is_kept_goes_on_with_one_attempt() {
    let (slow, channel) = start("beyond", vec![(100, Ok(())), (100, Ok(()))], &config(FOUR)).await;
    let mut call = channel.client_streaming::<Raw, Raw>(&UP).await.unwrap();
    let part = vec![7; 100_000];
    for _ in 0..10 {
        call.send(Raw::from(part.clone())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = call.response().await.unwrap();
    // 300 KB were there after 200 ms: no second attempt began.
    assert_eq!((answer.message.0.len(), answer.attempts, slow.times()), (1_000_000, 1, vec![1000]));
}

#[tokio::test(start_paused = true)]
async fn call_to_nowhere_fails_once_all_attempts_did() {
    let channel = Channel::builder("inprocess:slow-nowhere").service_config(config(FOUR)).build().unwrap();
    let status = one(&channel).await.unwrap_err();
    assert_eq!((status.code(), status.attempts(), status.sent()), (Code::Unavailable, 4, Sent::NotSent));
}
