//! One fault of a server, played to one call: what the caller gets, and the rule that holds for all of them.
//!
//! The rule: the first result comes within the deadline and 100 ms, nothing panics, the next call on the same channel
//! succeeds as soon as the server behaves, and neither a connection nor a task is left when the channel is gone.

use super::{FrozenClock, UNARY, build, raw, tasks_end};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use spanwire::{Channel, ChannelBuilder, Code, Raw, Status};
use spanwire_faults::frame::setting;
use spanwire_faults::{RawConnection, RawServer};
use std::time::Duration;
use tokio::time::Instant;

/// What a server does on its first connection. Time stands still but for what the script lets pass.
pub type Script = for<'a> fn(&'a mut RawConnection, &'a FrozenClock) -> BoxFuture<'a, ()>;

/// The call that meets the fault; `None` is no deadline.
pub type Caller = fn(Channel, Option<Duration>) -> BoxFuture<'static, Result<Raw, Status>>;

/// The deadline of calls unless a fault says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// One fault, and what is due.
pub struct Fault {
    pub name: &'static str,
    pub script: Script,
    pub code: Code,
    /// A part of the message.
    pub says: &'static str,
    pub caller: Caller,
    pub deadline: Option<Duration>,
    /// The time at which the result is due; none may pass for most.
    pub after: Duration,
    pub options: fn(ChannelBuilder) -> ChannelBuilder,
}

impl Fault {
    pub fn new(name: &'static str, code: Code, says: &'static str, script: Script) -> Self {
        let (caller, options): (Caller, fn(ChannelBuilder) -> ChannelBuilder) = (unary, |options| options);
        Fault { name, script, code, says, caller, deadline: Some(DEADLINE), after: Duration::ZERO, options }
    }

    /// The call is made by `caller`, and not a small unary one.
    pub fn to(self, caller: Caller) -> Self {
        Fault { caller, ..self }
    }

    /// The call has this deadline, or none.
    pub fn deadline(self, deadline: Option<Duration>) -> Self {
        Fault { deadline, ..self }
    }

    /// The result is due when the script has let so much time pass.
    pub fn after(self, after: Duration) -> Self {
        Fault { after, ..self }
    }

    /// The channel has these options.
    pub fn options(self, options: fn(ChannelBuilder) -> ChannelBuilder) -> Self {
        Fault { options, ..self }
    }
}

/// `fault!(name, code, part of the message, |server, stream, clock| { script })`: with `stream`, the server has read
/// the whole request; without, nothing has happened on the connection yet.
#[macro_export]
macro_rules! fault {
    ($name:literal, $code:ident, $says:literal, |$server:ident| $script:block) => {
        $crate::fault!($name, $code, $says, |$server; _clock| $script)
    };
    ($name:literal, $code:ident, $says:literal, |$server:ident; $clock:ident| $script:block) => {
        $crate::common::fault::Fault::new($name, spanwire::Code::$code, $says, |$server, $clock| {
            Box::pin(async move { $script })
        })
    };
    ($name:literal, $code:ident, $says:literal, |$server:ident, $stream:ident| $script:block) => {
        $crate::fault!($name, $code, $says, |$server, $stream, _clock| $script)
    };
    ($name:literal, $code:ident, $says:literal, |$server:ident, $stream:ident, $clock:ident| $script:block) => {
        $crate::fault!($name, $code, $says, |$server; $clock| {
            $crate::common::fault::open($server).await;
            let $stream = $server.whole_request().await.0.stream;
            $script
        })
    };
}

/// Opens a connection with wide windows.
pub async fn open(server: &mut RawConnection) {
    server.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
}

/// A unary call with a small message.
pub fn unary(channel: Channel, deadline: Option<Duration>) -> BoxFuture<'static, Result<Raw, Status>> {
    unary_of(channel, deadline, raw("hi"))
}

/// A unary call with more than a stream's window.
pub fn large_unary(channel: Channel, deadline: Option<Duration>) -> BoxFuture<'static, Result<Raw, Status>> {
    unary_of(channel, deadline, raw(vec![7; 200_000]))
}

fn unary_of(
    channel: Channel,
    deadline: Option<Duration>,
    message: Raw,
) -> BoxFuture<'static, Result<Raw, Status>> {
    let call = channel.unary::<Raw, Raw>(&UNARY, message);
    match deadline {
        Some(deadline) => call.timeout(deadline).into_future().boxed(),
        None => call.into_future().boxed(),
    }
}

/// Plays each fault to its call, then calls again on the same channel; fails with all that was not as it is due.
pub async fn play(faults: Vec<Fault>) {
    let mut wrong = Vec::new();
    for fault in faults {
        let problems = play_one(&fault).await;
        wrong.extend(problems.into_iter().map(|problem| format!("{}: {problem}", fault.name)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn play_one(fault: &Fault) -> Vec<String> {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let options = Channel::builder(&server.target());
    let channel =
        build((fault.options)(options.backoff(Duration::from_millis(10), Duration::from_millis(50))));
    let mut connections: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    let outcome = {
        let serve = async {
            let mut first = server.accept_bare().await;
            let script = fault.script;
            let clock = &clock;
            // It behaves when it has played the fault, and so does every other connection from the start.
            let play = async move {
                script(&mut first, clock).await;
                first.echo().await;
            };
            connections.push(play.boxed());
            loop {
                let mut more = tokio::select! {
                    connection = server.accept_quietly() => connection,
                    Some(()) = connections.next() => continue,
                };
                let behave = async move {
                    open(&mut more).await;
                    more.echo().await;
                };
                connections.push(behave.boxed());
            }
        };
        tokio::select! {
            outcome = calls(fault, &channel) => outcome,
            () = serve => unreachable!("the server goes on"),
        }
    };
    let mut wrong = outcome;
    drop(channel);
    // Each ends when the client has closed it, and only then.
    let all_closed = async { while connections.next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(3), all_closed).await.is_err() {
        wrong.push("a connection is left".to_owned());
    }
    if let Err(tasks) = tasks_end(0).await {
        wrong.push(format!("{tasks} tasks are left"));
    }
    wrong
}

/// The call that meets the fault, then one that must succeed.
async fn calls(fault: &Fault, channel: &Channel) -> Vec<String> {
    let mut wrong = Vec::new();
    let begin = Instant::now();
    let first = (fault.caller)(channel.clone(), fault.deadline).await;
    let took = begin.elapsed();
    // From here on time passes by itself: a channel may pause before it connects again.
    tokio::time::resume();
    let status = first.err().unwrap_or_else(Status::ok);
    if status.code() != fault.code || !status.message().contains(fault.says) {
        wrong.push(format!("{:?} {:?} is due, got {status}", fault.code, fault.says));
    }
    if took < fault.after || took > fault.after + Duration::from_millis(100) {
        wrong.push(format!("due after {:?}, came after {took:?}", fault.after));
    }
    let again = loop {
        let again =
            channel.unary::<Raw, Raw>(&UNARY, raw("again")).wait_for_ready(true).timeout(DEADLINE).await;
        // A connection that is about to go may take one more call down with it.
        match again {
            Err(status) if status.code() == Code::Unavailable && begin.elapsed() < took + 3 * DEADLINE => {}
            again => break again,
        }
    };
    if again.as_ref().ok() != Some(&raw("again")) {
        wrong.push(format!("the channel does not recover: {again:?}"));
    }
    wrong
}
