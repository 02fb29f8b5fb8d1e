//! The ways in which calls, streams and connections end.
//!
//! Each function takes a number and ends one thing in the way that the number names, at the point that it names: the
//! same numbers do the same work.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use spanwire::{Channel, Code, Raw, Status};

use crate::server::{BREAK, CHAT, ECHO, ENOUGH, FLOOD, NEVER, UNREAD, UPLOAD};

/// No call of these tests should take so long.
const LONG: Duration = Duration::from_secs(20);

/// A message of so many bytes.
#[must_use]
pub fn bytes(count: usize) -> Raw {
    Raw(vec![7; count].into())
}

/// A request for messages of so many bytes.
#[must_use]
pub fn number(number: usize) -> Raw {
    Raw(number.to_string().into_bytes().into())
}

/// One call that is answered.
///
/// # Errors
/// When it is not.
pub async fn answered(channel: &Channel) -> Result<(), Status> {
    channel.unary::<Raw, Raw>(&ECHO, bytes(32)).timeout(LONG).wait_for_ready(true).await.map(drop)
}

/// Polls `call` until it is done or everything else had so many turns, and drops it.
async fn for_turns<F: Future>(turns: usize, call: F) -> Option<F::Output> {
    let pass = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    match select(pin!(call), pin!(pass)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Fails unless an outcome is the failure that is due.
fn due<T>(code: Code, outcome: Result<T, Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.code() == code => Ok(()),
        Err(status) => Err(status),
        Ok(_) => Err(Status::internal(format!("OK came, {code:?} was due"))),
    }
}

/// Reads to the end, which is a failure.
async fn failure(mut replies: spanwire::Streaming<Raw>) -> Result<(), Status> {
    while replies.next().await?.is_some() {}
    Ok(())
}

/// A call that is cancelled: before it is written, while its request is, with a message under way in either
/// direction, or by its deadline. Each goes with one that is answered: a server takes many cancellations for
/// an attack unless there are answers too.
///
/// # Errors
/// When it ends in any other way.
pub async fn cancelled(channel: &Channel, number: usize) -> Result<(), Status> {
    answered(channel).await?;
    let point = number / 8;
    match number % 8 {
        0 => drop(for_turns(0, channel.unary::<Raw, Raw>(&NEVER, bytes(32)).into_future()).await),
        1 => drop(for_turns(point % 16, channel.unary::<Raw, Raw>(&NEVER, bytes(32)).into_future()).await),
        2 => {
            let timeout = Duration::from_millis(1 + point as u64 % 5);
            let call = channel.unary::<Raw, Raw>(&NEVER, bytes(32)).timeout(timeout);
            due(Code::DeadlineExceeded, call.await)?;
        }
        // More than a stream's window.
        3 => {
            let call = channel.unary::<Raw, Raw>(&ECHO, bytes(200_000)).into_future();
            drop(for_turns(point % 8, call).await);
        }
        4 => {
            let mut call = channel.client_streaming::<Raw, Raw>(&UPLOAD).timeout(LONG).await?;
            for _ in 0..point % 4 {
                call.send(bytes(10_000)).await?;
            }
        }
        5 => {
            let mut call = channel.bidi::<Raw, Raw>(&CHAT).timeout(LONG).await?;
            call.send(bytes(100)).await?;
            call.next().await?;
        }
        6 => {
            let mut call =
                channel.server_streaming::<Raw, Raw>(&FLOOD, self::number(5_000)).timeout(LONG).await?;
            call.next().await?;
        }
        _ => {
            let (mut sending, mut replies) = channel.bidi::<Raw, Raw>(&CHAT).timeout(LONG).await?.split();
            sending.send(bytes(100)).await?;
            replies.next().await?;
            drop(sending);
            due(Code::Cancelled, failure(replies).await)?;
        }
    }
    Ok(())
}

/// A stream that is dropped in its middle, by the client, by the server, or by its deadline.
///
/// # Errors
/// When it ends in any other way.
pub async fn dropped(channel: &Channel, number: usize) -> Result<(), Status> {
    answered(channel).await?;
    let point = number / 6;
    let short = Duration::from_millis(2 + point as u64 % 4);
    match number % 6 {
        0 => {
            let mut call =
                channel.server_streaming::<Raw, Raw>(&FLOOD, self::number(10_000)).timeout(LONG).await?;
            for _ in 0..point % 5 {
                call.next().await?;
            }
        }
        1 => {
            let call = channel.server_streaming(&BREAK, self::number(5_000)).timeout(LONG).await?;
            due(Code::Aborted, failure(call).await)?;
        }
        2 => {
            let mut call = channel.client_streaming::<Raw, Raw>(&ENOUGH).timeout(LONG).await?;
            while call.send(bytes(5_000)).await.is_ok() {}
            due(Code::Aborted, call.finish().await)?;
        }
        3 => {
            let call = channel.server_streaming(&FLOOD, self::number(5_000)).timeout(short).await?;
            due(Code::DeadlineExceeded, failure(call).await)?;
        }
        4 => {
            let mut call = channel.client_streaming::<Raw, Raw>(&UNREAD).timeout(short).await?;
            while call.send(bytes(10_000)).await.is_ok() {}
            due(Code::DeadlineExceeded, call.finish().await)?;
        }
        // While a message waits for room.
        _ => {
            let mut call = channel.client_streaming::<Raw, Raw>(&UNREAD).timeout(LONG).await?;
            let sending = async { while call.send(bytes(10_000)).await.is_ok() {} };
            for_turns(20 + point % 20, sending).await;
        }
    }
    Ok(())
}

/// A channel of its own, dropped after a call, or with a stream open.
///
/// # Errors
/// When its calls fail.
pub async fn channel_of_its_own(target: &str, number: usize) -> Result<(), Status> {
    let channel = Channel::new(target).map_err(|error| Status::internal(error.to_string()))?;
    answered(&channel).await?;
    if number % 2 == 1 {
        let mut stream =
            channel.server_streaming::<Raw, Raw>(&FLOOD, self::number(5_000)).timeout(LONG).await?;
        stream.next().await?;
        drop(channel);
        stream.next().await?;
    }
    Ok(())
}

/// A call on a connection that is lost below it (`cut`), and one on the next connection of the same channel.
///
/// # Errors
/// When either ends in any other way.
pub async fn connection_cut(channel: &Channel, cut: impl FnOnce()) -> Result<(), Status> {
    let mut call = channel.server_streaming::<Raw, Raw>(&FLOOD, self::number(5_000)).timeout(LONG).await?;
    call.next().await?;
    cut();
    due(Code::Unavailable, failure(call).await)?;
    answered(channel).await
}
