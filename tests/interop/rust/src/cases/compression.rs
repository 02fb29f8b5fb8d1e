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

fn unary_request(compressed: bool) -> SimpleRequest {
    SimpleRequest { expect_compressed: claim(compressed), ..large_request() }
}

fn streaming_request(compressed: bool, size: usize) -> StreamingInputCallRequest {
    StreamingInputCallRequest { expect_compressed: claim(compressed), payload: zeros(size) }
}

// A server that does not look would accept the false claim of a probe, and the rest would prove only that it
// can decompress; the `_noprobe` cases ask for no more than that.

pub(super) async fn client_compressed_unary(session: &Session) -> Outcome {
    let probe = session.client()?.unary_call(unary_request(true)).timeout(CALL_LIMIT).await;
    check_code(probe, Code::InvalidArgument)?;
    client_compressed_unary_noprobe(session).await
}

pub(super) async fn client_compressed_unary_noprobe(session: &Session) -> Outcome {
    let client = session.client()?;
    check_large(client.unary_call(unary_request(true)).compress(Encoding::Gzip).timeout(CALL_LIMIT).await?)?;
    check_large(client.unary_call(unary_request(false)).timeout(CALL_LIMIT).await?)
}

pub(super) async fn client_compressed_streaming(session: &Session) -> Outcome {
    let mut probe = session.client()?.streaming_input_call().timeout(CALL_LIMIT).await?;
    let result = match probe.send(streaming_request(true, 27_182)).await {
        Ok(()) => probe.finish().await,
        Err(status) => Err(status),
    };
    check_code(result, Code::InvalidArgument)?;
    client_compressed_streaming_noprobe(session).await
}

pub(super) async fn client_compressed_streaming_noprobe(session: &Session) -> Outcome {
    let call = session.client()?.streaming_input_call();
    let mut call = call.compress(Encoding::Gzip).timeout(CALL_LIMIT).await?;
    call.send(streaming_request(true, 27_182)).await?;
    call.compress_next(false);
    call.send(streaming_request(false, 45_904)).await?;
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
