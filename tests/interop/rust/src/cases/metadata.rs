//! Metadata there and back.

use spanwire::Metadata;

use super::{LARGE_REQUEST, LARGE_RESPONSE, check_large, check_zeros, large_request, ping};
use crate::outcome::{Outcome, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::{ECHO_INITIAL, ECHO_TRAILING};

const INITIAL_VALUE: &str = "test_initial_metadata_value";
const TRAILING_VALUE: &[u8] = &[0xab, 0xab, 0xab];

fn check_initial(headers: &Metadata) -> Outcome {
    check_equal(headers.get_all(ECHO_INITIAL).collect(), vec![INITIAL_VALUE], ECHO_INITIAL)
}

fn check_trailing(trailers: &Metadata) -> Outcome {
    let found: Vec<Vec<u8>> = trailers.get_all_bin(ECHO_TRAILING).map(|value| value.to_vec()).collect();
    check_equal(found, vec![TRAILING_VALUE.to_vec()], ECHO_TRAILING)
}

pub(super) async fn custom_metadata(session: &Session) -> Outcome {
    let client = session.client()?;

    let response = client
        .unary_call(large_request())
        .metadata(ECHO_INITIAL, INITIAL_VALUE)
        .metadata_bin(ECHO_TRAILING, TRAILING_VALUE)
        .timeout(CALL_LIMIT)
        .response()
        .await?;
    check_large(response.message)?;
    check_initial(&response.headers)?;
    check_trailing(&response.trailers)?;

    let mut call = client
        .full_duplex_call()
        .metadata(ECHO_INITIAL, INITIAL_VALUE)
        .metadata_bin(ECHO_TRAILING, TRAILING_VALUE)
        .timeout(CALL_LIMIT)
        .await?;
    call.send(ping(LARGE_REQUEST, LARGE_RESPONSE)).await?;
    call.half_close();
    check_initial(call.headers().await?)?;
    check_zeros(call.next().await?.and_then(|response| response.payload), LARGE_RESPONSE)?;
    check_equal(call.next().await?, None, "second response")?;
    check_trailing(&call.trailers().cloned().unwrap_or_default())
}
