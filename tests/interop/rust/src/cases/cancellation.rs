//! Calls that the client ends.

use std::time::Duration;

use spanwire::{Code, Kind, Method};

use super::{REQUEST_SIZES, RESPONSE_SIZES, check_zeros, ping};
use crate::outcome::{Outcome, check_code};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest};
use crate::zeros;

pub(super) async fn cancel_after_begin(session: &Session) -> Outcome {
    // The typed call of a client-streaming method ends with its owner. To see the status of a cancelled
    // call, it is made as a bidirectional one: on the wire there is no difference.
    let method = Method::new("/grpc.testing.TestService/StreamingInputCall", Kind::Bidi);
    let call = session
        .channel()?
        .bidi::<StreamingInputCallRequest, StreamingInputCallResponse>(&method)
        .timeout(CALL_LIMIT)
        .await?;
    let (sending, mut streaming) = call.split();
    // Without a half-close this cancels the call.
    drop(sending);
    check_code(streaming.next().await, Code::Cancelled)
}

pub(super) async fn cancel_after_first_response(session: &Session) -> Outcome {
    let mut call = session.client()?.full_duplex_call().timeout(CALL_LIMIT).await?;
    call.send(ping(REQUEST_SIZES[0], RESPONSE_SIZES[0])).await?;
    check_zeros(call.next().await?.and_then(|response| response.payload), RESPONSE_SIZES[0])?;
    let (sending, mut streaming) = call.split();
    drop(sending);
    check_code(streaming.next().await, Code::Cancelled)
}

pub(super) async fn timeout_on_sleeping_server(session: &Session) -> Outcome {
    let call = session.client()?.full_duplex_call().timeout(Duration::from_millis(1)).await;
    let mut call = match call {
        Ok(call) => call,
        // The millisecond may be over before there is a connection.
        early => return check_code(early, Code::DeadlineExceeded),
    };
    let request = StreamingOutputCallRequest {
        payload: zeros(REQUEST_SIZES[0]),
        ..StreamingOutputCallRequest::default()
    };
    // Also this may come too late; the receiving side has the status.
    let _ = call.send(request).await;
    check_code(call.next().await, Code::DeadlineExceeded)
}
