//! The cases, by the names that the official documents give them.

mod cancellation;
mod compression;
mod http2;
mod load_report;
mod metadata;
mod soak;
mod status;
mod streaming;
mod unary;

use crate::outcome::{Failure, Outcome, check, check_equal};
use crate::session::Session;
use crate::testing::{ResponseParameters, SimpleRequest, SimpleResponse, StreamingOutputCallRequest};
use crate::zeros;

/// Payload bytes of the large request.
pub const LARGE_REQUEST: usize = 271_828;
/// Payload bytes of the large response.
pub const LARGE_RESPONSE: i32 = 314_159;
const REQUEST_SIZES: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSE_SIZES: [i32; 4] = [31_415, 9, 2_653, 58_979];

/// Runs one case.
///
/// # Errors
/// The case failed, is not offered or has no such name.
pub async fn run(name: &str, session: &Session) -> Outcome {
    match name {
        "empty_unary" => unary::empty_unary(session).await,
        "large_unary" | "ping" | "data_frame_padding" | "no_df_padding_sanity_test" => {
            unary::large_unary(session).await
        }
        "pick_first_unary" => unary::pick_first_unary(session).await,
        "client_compressed_unary" => compression::client_compressed_unary(session).await,
        "server_compressed_unary" => compression::server_compressed_unary(session).await,
        "client_compressed_streaming" => compression::client_compressed_streaming(session).await,
        "client_compressed_unary_noprobe" => compression::client_compressed_unary_noprobe(session).await,
        "client_compressed_streaming_noprobe" => {
            compression::client_compressed_streaming_noprobe(session).await
        }
        "server_compressed_streaming" => compression::server_compressed_streaming(session).await,
        "client_streaming" => streaming::client_streaming(session).await,
        "server_streaming" => streaming::server_streaming(session).await,
        "ping_pong" => streaming::ping_pong(session).await,
        "empty_stream" => streaming::empty_stream(session).await,
        "custom_metadata" => metadata::custom_metadata(session).await,
        "status_code_and_message" => status::status_code_and_message(session).await,
        "special_status_message" => status::special_status_message(session).await,
        "unimplemented_method" => status::unimplemented_method(session).await,
        "unimplemented_service" => status::unimplemented_service(session).await,
        "cancel_after_begin" => cancellation::cancel_after_begin(session).await,
        "cancel_after_first_response" => cancellation::cancel_after_first_response(session).await,
        "timeout_on_sleeping_server" => cancellation::timeout_on_sleeping_server(session).await,
        "rpc_soak" => soak::rpc_soak(session).await,
        "channel_soak" => soak::channel_soak(session).await,
        "orca_per_rpc" => load_report::orca_per_rpc(session).await,
        "orca_oob" => load_report::orca_oob(session).await,
        "goaway" => http2::goaway(session).await,
        "rst_after_header" | "rst_during_data" | "rst_after_data" => http2::reset(session).await,
        "max_streams" => http2::max_streams(session).await,
        "cacheable_unary" => {
            Err(Failure::NotOffered("calls never go as GET, so no HTTP cache can answer them"))
        }
        "max_concurrent_streams_connection_scaling" => {
            Err(Failure::NotOffered("a channel opens one connection per address"))
        }
        _ => Err(Failure::NotOffered("unknown case")),
    }
}

fn large_request() -> SimpleRequest {
    SimpleRequest { response_size: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST), ..SimpleRequest::default() }
}

fn check_zeros(payload: Option<crate::testing::Payload>, size: i32) -> Outcome {
    let body = payload.map(|payload| payload.body).unwrap_or_default();
    check_equal(body.len(), usize::try_from(size).unwrap_or_default(), "response payload bytes")?;
    check(body.iter().all(|byte| *byte == 0), "the response payload has bytes other than zero")
}

fn check_large(response: SimpleResponse) -> Outcome {
    check_zeros(response.payload, LARGE_RESPONSE)
}

fn ping(request_size: usize, response_size: i32) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_parameters: vec![ResponseParameters {
            size: response_size,
            ..ResponseParameters::default()
        }],
        payload: zeros(request_size),
        ..StreamingOutputCallRequest::default()
    }
}
