//! Cases against a server that misbehaves on the HTTP/2 level.

use spanwire::Code;
use tokio::task::JoinSet;

use super::{check_large, large_request};
use crate::outcome::{Failure, Outcome, check_code};
use crate::session::{CALL_LIMIT, Session};

/// GOAWAY arrives during the first call. That one finishes, and the second one, made right after it, goes
/// over a new connection; the server counts them. (The official client pauses in between; we need not.)
pub(super) async fn goaway(session: &Session) -> Outcome {
    let client = session.client()?;
    for _ in 0..2 {
        check_large(client.unary_call(large_request()).timeout(CALL_LIMIT).await?)?;
    }
    Ok(())
}

/// The server resets the stream with NO_ERROR, before there is a status. The call must fail, also when its
/// data were complete; INTERNAL is what the mapping of reset codes gives.
pub(super) async fn reset(session: &Session) -> Outcome {
    let result = session.client()?.unary_call(large_request()).timeout(CALL_LIMIT).await;
    check_code(result, Code::Internal)
}

/// The server allows one stream at a time. Further calls wait; none fails.
pub(super) async fn max_streams(session: &Session) -> Outcome {
    const CALLS: usize = 10;
    let client = session.client()?;
    // The first call lets the limit arrive.
    check_large(client.unary_call(large_request()).timeout(CALL_LIMIT).await?)?;
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move { client.unary_call(large_request()).timeout(CALL_LIMIT).await });
    }
    while let Some(done) = calls.join_next().await {
        check_large(done.map_err(|error| Failure::Failed(error.to_string()))??)?;
    }
    Ok(())
}
