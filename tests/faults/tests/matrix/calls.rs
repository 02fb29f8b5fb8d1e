//! One call of each kind, and how it ended.

use std::fmt;
use std::time::Duration;

use spanwire::{Channel, Code, Raw, Sent, Status};

use crate::service::{BIDI, CALL, DOWN, MESSAGES, UNARY, UP};

/// How the caller saw a call end. `Display` is what stands in the table.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) attempts: u32,
}

/// The kinds, in the order of the table.
pub(crate) const KINDS: [(&str, Kind); 4] = [
    ("unary", Kind::Unary),
    ("server stream", Kind::Down),
    ("client stream", Kind::Up),
    ("bidi", Kind::Bidi),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    Down,
    Up,
    Bidi,
}

impl Outcome {
    fn of(result: Result<u32, Status>) -> Self {
        match result {
            Ok(attempts) => Outcome { status: Status::ok(), attempts },
            Err(status) => Outcome { attempts: status.attempts(), status },
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = match self.attempts {
            1 => "1 attempt".to_owned(),
            more => format!("{more} attempts"),
        };
        let sent = match self.status.sent() {
            _ if self.status.is_ok() => return write!(f, "OK, {attempts}"),
            Sent::NotSent => "not sent",
            Sent::MaybeSent => "maybe sent",
            Sent::Answered => "answered",
        };
        write!(f, "{}, {attempts}, {sent}", self.status.code())
    }
}

fn wrong(what: &str) -> Status {
    Status::new(Code::DataLoss, format!("OK with {what}"))
}

/// A call: the name that it goes by in the books, what it says, and how long it may take.
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) body: Raw,
    pub(crate) deadline: Duration,
}

/// Makes one call. An OK whose answer is not the right one is DATA_LOSS.
pub(crate) async fn make(channel: &Channel, kind: Kind, call: &Call<'_>) -> Outcome {
    Outcome::of(match kind {
        Kind::Unary => unary(channel, call).await,
        Kind::Down => down(channel, call).await,
        Kind::Up => up(channel, call).await,
        Kind::Bidi => bidi(channel, call).await,
    })
}

async fn unary(channel: &Channel, it: &Call<'_>) -> Result<u32, Status> {
    let call = channel.unary::<_, Raw>(&UNARY, it.body.clone()).metadata(CALL, it.name).timeout(it.deadline);
    let response = call.response().await?;
    if response.message == it.body { Ok(response.attempts) } else { Err(wrong("another message")) }
}

async fn down(channel: &Channel, it: &Call<'_>) -> Result<u32, Status> {
    let call = channel.server_streaming::<_, Raw>(&DOWN, it.body.clone()).metadata(CALL, it.name);
    let mut replies = call.timeout(it.deadline).await?;
    let mut count = 0;
    while let Some(reply) = replies.next().await? {
        count += 1;
        if reply != it.body {
            return Err(wrong("another message"));
        }
    }
    if count == MESSAGES { Ok(replies.attempts()) } else { Err(wrong("too few messages")) }
}

async fn up(channel: &Channel, it: &Call<'_>) -> Result<u32, Status> {
    let call = channel.client_streaming::<Raw, Raw>(&UP).metadata(CALL, it.name);
    let mut call = call.timeout(it.deadline).await?;
    for _ in 0..MESSAGES {
        call.send(it.body.clone()).await?;
    }
    let response = call.response().await?;
    let right = response.message.0 == it.body.0.repeat(MESSAGES);
    if right { Ok(response.attempts) } else { Err(wrong("another message")) }
}

async fn bidi(channel: &Channel, it: &Call<'_>) -> Result<u32, Status> {
    let mut call = channel.bidi::<Raw, Raw>(&BIDI).metadata(CALL, it.name).timeout(it.deadline).await?;
    for _ in 0..MESSAGES {
        // If the call is over its status comes with the answer.
        let _ = call.send(it.body.clone()).await;
        match call.next().await? {
            Some(reply) if reply == it.body => {}
            _ => return Err(wrong("another message")),
        }
    }
    call.half_close();
    match call.next().await? {
        None => Ok(call.attempts()),
        Some(_) => Err(wrong("too many messages")),
    }
}
