//! The three kinds of streams.

use super::{REQUEST_SIZES, RESPONSE_SIZES, check_zeros, ping};
use crate::outcome::{Outcome, check, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest};
use crate::zeros;

pub(super) async fn client_streaming(session: &Session) -> Outcome {
    let mut call = session.client()?.streaming_input_call().timeout(CALL_LIMIT).await?;
    for size in REQUEST_SIZES {
        call.send(StreamingInputCallRequest { payload: zeros(size), ..StreamingInputCallRequest::default() })
            .await?;
    }
    check_equal(call.finish().await?.aggregated_payload_size, 74_922, "aggregated_payload_size")
}

pub(super) async fn server_streaming(session: &Session) -> Outcome {
    let response_parameters =
        RESPONSE_SIZES.map(|size| ResponseParameters { size, ..ResponseParameters::default() }).to_vec();
    let request = StreamingOutputCallRequest { response_parameters, ..StreamingOutputCallRequest::default() };
    let mut responses = session.client()?.streaming_output_call(request).timeout(CALL_LIMIT).await?;
    let mut found = 0;
    while let Some(response) = responses.next().await? {
        let Some(size) = RESPONSE_SIZES.get(found) else { break };
        check_zeros(response.payload, *size)?;
        found += 1;
    }
    check_equal(found, RESPONSE_SIZES.len(), "responses")
}

pub(super) async fn ping_pong(session: &Session) -> Outcome {
    let mut call = session.client()?.full_duplex_call().timeout(CALL_LIMIT).await?;
    for (request_size, response_size) in REQUEST_SIZES.into_iter().zip(RESPONSE_SIZES) {
        call.send(ping(request_size, response_size)).await?;
        let response = call.next().await?;
        check(response.is_some(), "the stream ended before it was half-closed")?;
        check_zeros(response.and_then(|response| response.payload), response_size)?;
    }
    call.half_close();
    check_equal(call.next().await?, None, "response after the half-close")
}

pub(super) async fn empty_stream(session: &Session) -> Outcome {
    let mut call = session.client()?.full_duplex_call().timeout(CALL_LIMIT).await?;
    call.half_close();
    check_equal(call.next().await?, None, "response")
}
