//! Calls that are made again by a service config (gRFC A6), in virtual time, inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{
    Channel, ChannelBuilder, Code, Context, Kind, Method, Raw, Response, Sent, Server, Status, Streaming,
};
use tokio::time::Instant;

const ONE: Method = Method::new("/test.Flaky/One", Kind::Unary);
const DOWN: Method = Method::new("/test.Flaky/Down", Kind::ServerStreaming);
const UP: Method = Method::new("/test.Flaky/Up", Kind::ClientStreaming);

/// When an attempt came, and what it says of those before.
type Attempt = (Instant, Option<String>);

/// A service whose calls fail as they are told to, each attempt by itself.
#[derive(Clone, Default)]
struct Flaky {
    /// How the attempts end, the first one first; what comes behind them is answered.
    script: Arc<Mutex<Vec<Status>>>,
    seen: Arc<Mutex<Vec<Attempt>>>,
    /// Messages that a stream sends before it ends.
    messages_first: Arc<Mutex<usize>>,
}

impl Flaky {
    fn attempt(&self, context: &Context) -> Result<(), Status> {
        let previous = context.metadata().get("grpc-previous-rpc-attempts").map(str::to_owned);
        self.seen.lock().unwrap().push((Instant::now(), previous));
        let mut script = self.script.lock().unwrap();
        if script.is_empty() { Ok(()) } else { Err(script.remove(0)) }
    }

    fn fails(&self, times: usize) {
        *self.script.lock().unwrap() = vec![Status::unavailable("down"); times];
    }

    fn attempts(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Service for Flaky {
    fn name(&self) -> &'static str {
        "test.Flaky"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let this = Arc::new(self.clone());
        vec![
            (
                "One",
                Handler::unary(this.clone(), |this, request: Raw, context| async move {
                    let result = this.attempt(&context).map(|()| request);
                    (result, context)
                }),
            ),
            (
                "Down",
                Handler::server_streaming(
                    this.clone(),
                    |this, request: Raw, mut replies, context| async move {
                        let result = this.attempt(&context);
                        let messages = if result.is_ok() { 3 } else { *this.messages_first.lock().unwrap() };
                        for _ in 0..messages {
                            let _ = replies.send(request.clone()).await;
                        }
                        (result, context)
                    },
                ),
            ),
            (
                "Up",
                Handler::client_streaming(this, |this, mut requests: Streaming<Raw>, context| async move {
                    let mut all = Vec::new();
                    while let Ok(Some(message)) = requests.next().await {
                        all.extend_from_slice(&message.0);
                    }
                    let result = this.attempt(&context).map(|()| Raw::from(all));
                    (result, context)
                }),
            ),
        ]
    }
}

async fn start(name: &str) -> (Flaky, ChannelBuilder) {
    let (flaky, address) = (Flaky::default(), format!("inprocess:flaky-{name}"));
    let server = Server::builder().service(flaky.clone()).bind(&address).await.unwrap();
    tokio::spawn(server.run());
    (flaky, Channel::builder(&address))
}

/// Four attempts, with pauses of 1 s, 2 s and 4 s.
fn config(more: &str) -> String {
    format!(
        r#"{{"methodConfig": [{{"name": [{{"service": "test.Flaky"}}], "retryPolicy": {{
            "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "10s", "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]}}}}]{more}}}"#
    )
}

async fn flaky(name: &str) -> (Flaky, Channel) {
    let (flaky, channel) = start(name).await;
    (flaky, channel.service_config(config("")).build().unwrap())
}

async fn one(channel: &Channel) -> Result<Response<Raw>, Status> {
    channel.unary(&ONE, Raw::from("hi")).response().await
}

#[tokio::test(start_paused = true)]
async fn call_is_made_again_until_it_succeeds() {
    let (flaky, channel) = flaky("again").await;
    flaky.fails(3);
    let answer = one(&channel).await.unwrap();
    assert_eq!((answer.message, answer.attempts), (Raw::from("hi"), 4));
    let seen = flaky.seen.lock().unwrap().clone();
    let previous: Vec<_> = seen.iter().map(|(_, previous)| previous.as_deref()).collect();
    assert_eq!(previous, [None, Some("1"), Some("2"), Some("3")]);
    for (pair, pause) in seen.windows(2).zip([1.0, 2.0, 4.0]) {
        let took = (pair[1].0 - pair[0].0).as_secs_f64();
        assert!((0.79 * pause..1.25 * pause).contains(&took), "{took} instead of {pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn last_attempt_is_the_calls_end() {
    let (flaky, channel) = flaky("last").await;
    flaky.fails(9);
    let status = one(&channel).await.unwrap_err();
    assert_eq!((status.code(), status.message(), status.attempts()), (Code::Unavailable, "down", 4));
    assert_eq!((status.sent(), flaky.attempts()), (Sent::Answered, 4));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_again_without_a_policy_or_for_other_codes() {
    let (flaky, channel) = start("other").await;
    flaky.fails(1);
    assert_eq!(one(&channel.build().unwrap()).await.unwrap_err().attempts(), 1);
    let (flaky, channel) = self::flaky("codes").await;
    *flaky.script.lock().unwrap() = vec![Status::internal("broken")];
    assert_eq!(one(&channel).await.unwrap_err().code(), Code::Internal);
    assert_eq!(flaky.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn server_that_cannot_be_reached_is_tried_again() {
    let name = "inprocess:flaky-late";
    // Connections are tried far more often than calls: whether the server is found must not hang on jitter.
    let pause = Duration::from_millis(100);
    let channel = Channel::builder(name).backoff(pause, pause).service_config(config("")).build().unwrap();
    let began = Instant::now();
    let status = one(&channel).await.unwrap_err();
    assert_eq!((status.code(), status.attempts(), status.sent()), (Code::Unavailable, 4, Sent::NotSent));
    assert!((5.6..8.4).contains(&began.elapsed().as_secs_f64()), "1 s, 2 s and 4 s");
    let waiting = tokio::spawn(async move { one(&channel).await });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (flaky, _) = start("late").await;
    assert_eq!(waiting.await.unwrap().unwrap().message, Raw::from("hi"));
    assert_eq!(flaky.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn channel_without_retries_leaves_the_policy_out() {
    let (flaky, channel) = start("left-out").await;
    flaky.fails(1);
    let channel = channel.service_config(config("")).retries(false).build().unwrap();
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadline_counts_over_all_attempts() {
    let (flaky, channel) = flaky("deadline").await;
    flaky.fails(9);
    let began = Instant::now();
    let status =
        channel.unary::<_, Raw>(&ONE, Raw::default()).timeout(Duration::from_millis(2500)).await.unwrap_err();
    // What could not begin in time is not waited for, and the reason of the failure is not hidden.
    assert_eq!((status.code(), flaky.attempts()), (Code::Unavailable, 2), "{status}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn stream_of_answers_is_made_again_before_its_first_message_only() {
    let (flaky, channel) = flaky("down").await;
    flaky.fails(2);
    let mut stream = channel.server_streaming::<_, Raw>(&DOWN, Raw::from("x")).await.unwrap();
    let mut messages = 0;
    while stream.next().await.unwrap().is_some() {
        messages += 1;
    }
    assert_eq!((messages, flaky.attempts()), (3, 3));
    flaky.fails(1);
    *flaky.messages_first.lock().unwrap() = 1;
    let mut stream = channel.server_streaming::<_, Raw>(&DOWN, Raw::from("x")).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(Raw::from("x")));
    assert_eq!(stream.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(flaky.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_stream_are_sent_again() {
    let (flaky, channel) = flaky("up").await;
    flaky.fails(2);
    let mut call = channel.client_streaming::<Raw, Raw>(&UP).await.unwrap();
    for part in ["a", "b", "c"] {
        call.send(Raw::from(part)).await.unwrap();
    }
    assert_eq!(call.finish().await.unwrap(), Raw::from("abc"));
    assert_eq!(flaky.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn server_pushes_back() {
    let (flaky, channel) = flaky("pushback").await;
    let pushed_back = |text: &str| {
        let mut trailers = spanwire::Metadata::new();
        trailers.append("grpc-retry-pushback-ms", text).unwrap();
        Status::unavailable("busy").with_metadata(trailers)
    };
    *flaky.script.lock().unwrap() = vec![pushed_back("7000"), pushed_back("-1")];
    let began = Instant::now();
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 2);
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_end_all_retries() {
    let (flaky, channel) = start("throttle").await;
    let throttling = r#", "retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}"#;
    let channel = channel.service_config(config(throttling)).build().unwrap();
    flaky.fails(100);
    // The second failure leaves two tokens, which is a half.
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 2);
    assert_eq!(one(&channel).await.unwrap_err().attempts(), 1);
    flaky.fails(0);
    for _ in 0..10 {
        one(&channel).await.unwrap();
    }
    flaky.fails(1);
    assert_eq!(one(&channel).await.unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn method_config_sets_what_a_call_does_not() {
    let (_flaky, channel) = start("settings").await;
    let config = r#"{"methodConfig": [
        {"name": [{"service": "test.Flaky", "method": "One"}], "maxRequestMessageBytes": 3},
        {"name": [{}], "timeout": "5s", "waitForReady": true}]}"#;
    let channel = channel.service_config(config).build().unwrap();
    one(&channel).await.unwrap();
    let large = channel.unary::<_, Raw>(&ONE, Raw::from("long")).await.unwrap_err();
    assert_eq!(large.code(), Code::ResourceExhausted);
    let nowhere = Channel::builder("inprocess:flaky-nowhere").service_config(config).build().unwrap();
    let began = Instant::now();
    let waited = nowhere.server_streaming::<_, Raw>(&DOWN, Raw::default()).await.unwrap_err();
    assert_eq!((waited.code(), began.elapsed().as_secs()), (Code::DeadlineExceeded, 5));
    let refused =
        nowhere.server_streaming::<_, Raw>(&DOWN, Raw::default()).wait_for_ready(false).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[test]
fn bad_config_makes_no_channel() {
    let error = Channel::builder("a:1").service_config(r#"{"methodConfig": 1}"#).build().unwrap_err();
    assert_eq!(error.to_string(), "service_config: methodConfig: must be a list, and is 1");
}
