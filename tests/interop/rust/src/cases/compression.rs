//! Compression, chosen per call and per message.

use spanwire::{Code, Encoding};

use super::{check_large, check_zeros, large_request};
use crate::outcome::{Outcome, check, check_code, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{
    BoolValue, ResponseParameters, SimpleRequest, StreamingInputCallRequest, StreamingOutputCallRequest,
};
use crate::zeros;

fn claim(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub(super) async fn client_compressed_unary(session: &Session) -> Outcome {
    let client = session.client()?;
    let request = |compressed| SimpleRequest { expect_compressed: claim(compressed), ..large_request() };
    // A server that does not look would accept this false claim, and the rest would prove nothing.
    let probe = client.unary_call(request(true)).timeout(CALL_LIMIT).await;
    check_code(probe, Code::InvalidArgument)?;
    check_large(client.unary_call(request(true)).compress(Encoding::Gzip).timeout(CALL_LIMIT).await?)?;
    check_large(client.unary_call(request(false)).timeout(CALL_LIMIT).await?)
}

pub(super) async fn client_compressed_streaming(session: &Session) -> Outcome {
    let client = session.client()?;
    let request = |compressed, size| StreamingInputCallRequest {
        expect_compressed: claim(compressed),
        payload: zeros(size),
    };

    let mut probe = client.streaming_input_call().timeout(CALL_LIMIT).await?;
    let sent = probe.send(request(true, 27_182)).await;
    let result = match sent {
        Ok(()) => probe.finish().await,
        Err(status) => Err(status),
    };
    check_code(result, Code::InvalidArgument)?;

    let mut call = client.streaming_input_call().compress(Encoding::Gzip).timeout(CALL_LIMIT).await?;
    call.send(request(true, 27_182)).await?;
    call.compress_next(false);
    call.send(request(false, 45_904)).await?;
    check_equal(call.finish().await?.aggregated_payload_size, 73_086, "aggregated_payload_size")
}

pub(super) async fn server_compressed_unary(session: &Session) -> Outcome {
    let client = session.client()?;
    for wanted in [true, false] {
        let request = SimpleRequest { response_compressed: claim(wanted), ..large_request() };
        let response = client.unary_call(request).timeout(CALL_LIMIT).response().await?;
        check_equal(response.compressed, wanted, "response compressed")?;
        check_large(response.message)?;
    }
    Ok(())
}

pub(super) async fn server_compressed_streaming(session: &Session) -> Outcome {
    let wanted = [(31_415, true), (92_653, false)];
    let response_parameters = wanted
        .map(|(size, compressed)| ResponseParameters {
            size,
            compressed: claim(compressed),
            ..ResponseParameters::default()
        })
        .to_vec();
    let request = StreamingOutputCallRequest { response_parameters, ..StreamingOutputCallRequest::default() };
    let mut responses = session.client()?.streaming_output_call(request).timeout(CALL_LIMIT).await?;
    for (size, compressed) in wanted {
        let response = responses.next().await?;
        check(response.is_some(), "the stream ended early")?;
        check_equal(responses.last_compressed(), compressed, "response compressed")?;
        check_zeros(response.and_then(|response| response.payload), size)?;
    }
    check_equal(responses.next().await?, None, "third response")
}
