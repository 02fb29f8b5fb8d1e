//! The features that `doc/interop-test-descriptions.md` lists for servers.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use spanwire::{Code, Context, Encoding, Sending, Status, Streaming};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::orca::{Load, LoadReport, TRAILER};
use crate::testing::{
    EchoStatus, Empty, Payload, PayloadType, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse, TestService,
};
use crate::{ECHO_INITIAL, ECHO_TRAILING};

/// No response is larger, whatever the request says.
const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// `grpc.testing.TestService`.
#[derive(Debug, Default)]
pub struct InteropService {
    load: Load,
    /// Held by the call that sets the load, so that two of them do not mix their reports.
    load_owner: Arc<Mutex<()>>,
}

impl InteropService {
    /// A service whose calls may set `load`.
    #[must_use]
    pub fn new(load: Load) -> Self {
        InteropService { load, load_owner: Arc::default() }
    }
}

impl TestService for InteropService {
    async fn empty_call(&self, _request: Empty, _context: &mut Context) -> Result<Empty, Status> {
        Ok(Empty {})
    }

    async fn unary_call(
        &self,
        request: SimpleRequest,
        context: &mut Context,
    ) -> Result<SimpleResponse, Status> {
        check_claim(request.expect_compressed.map(|claim| claim.value), context.request_compressed())?;
        echo_metadata(context)?;
        fail_if_asked(request.response_status)?;
        if request.response_compressed.is_some_and(|wanted| wanted.value) {
            context.set_compression(Encoding::Gzip);
        }
        if let Some(report) = request.orca_per_query_report {
            let report = LoadReport::from(report).encode_to_vec();
            context.trailers_mut().insert_bin(TRAILER, report).map_err(unusable)?;
        }
        let server_id = match request.fill_server_id {
            true => format!("spanwire-{}", std::process::id()),
            false => String::new(),
        };
        Ok(SimpleResponse {
            payload: Some(payload(request.response_type, request.response_size)?),
            server_id,
            ..SimpleResponse::default()
        })
    }

    async fn streaming_output_call(
        &self,
        request: StreamingOutputCallRequest,
        replies: &mut Sending<StreamingOutputCallResponse>,
        context: &mut Context,
    ) -> Result<(), Status> {
        echo_metadata(context)?;
        fail_if_asked(request.response_status)?;
        if request.response_parameters.iter().any(wants_compression) {
            context.set_compression(Encoding::Gzip);
        }
        send_responses(request.response_type, request.response_parameters, replies).await
    }

    async fn streaming_input_call(
        &self,
        requests: &mut Streaming<StreamingInputCallRequest>,
        _context: &mut Context,
    ) -> Result<StreamingInputCallResponse, Status> {
        let mut total = 0;
        while let Some(request) = requests.next().await? {
            check_claim(request.expect_compressed.map(|claim| claim.value), requests.last_compressed())?;
            total += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size =
            i32::try_from(total).map_err(|_| Status::out_of_range("the sum is above 2 GiB"))?;
        Ok(StreamingInputCallResponse { aggregated_payload_size })
    }

    async fn full_duplex_call(
        &self,
        requests: &mut Streaming<StreamingOutputCallRequest>,
        replies: &mut Sending<StreamingOutputCallResponse>,
        context: &mut Context,
    ) -> Result<(), Status> {
        echo_metadata(context)?;
        // Which responses are to be compressed shows only with each request; plain ones may mix with them.
        context.set_compression(Encoding::Gzip);
        let mut load_owner: Option<OwnedMutexGuard<()>> = None;
        while let Some(request) = requests.next().await? {
            fail_if_asked(request.response_status)?;
            if let Some(report) = request.orca_oob_report {
                if load_owner.is_none() {
                    load_owner = Some(self.load_owner.clone().lock_owned().await);
                }
                self.load.set(report.into());
            }
            send_responses(request.response_type, request.response_parameters, replies).await?;
        }
        Ok(())
    }

    async fn half_duplex_call(
        &self,
        requests: &mut Streaming<StreamingOutputCallRequest>,
        replies: &mut Sending<StreamingOutputCallResponse>,
        context: &mut Context,
    ) -> Result<(), Status> {
        echo_metadata(context)?;
        context.set_compression(Encoding::Gzip);
        let mut kept = Vec::new();
        while let Some(request) = requests.next().await? {
            kept.push(request);
        }
        for request in kept {
            send_responses(request.response_type, request.response_parameters, replies).await?;
        }
        Ok(())
    }
}

fn unusable(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

/// Fails a request that says of itself that it came compressed, or not, if that is not so.
fn check_claim(claimed: Option<bool>, compressed: bool) -> Result<(), Status> {
    match claimed {
        Some(claimed) if claimed != compressed => Err(Status::invalid_argument(format!(
            "expect_compressed is {claimed}, and the message came {}",
            if compressed { "compressed" } else { "uncompressed" },
        ))),
        _ => Ok(()),
    }
}

fn echo_metadata(context: &mut Context) -> Result<(), Status> {
    let initial: Vec<String> = context.metadata().get_all(ECHO_INITIAL).map(str::to_owned).collect();
    let trailing: Vec<_> = context.metadata().get_all_bin(ECHO_TRAILING).collect();
    for value in initial {
        context.append_header(ECHO_INITIAL, &value)?;
    }
    for value in trailing {
        context.trailers_mut().append_bin(ECHO_TRAILING, value).map_err(unusable)?;
    }
    Ok(())
}

fn fail_if_asked(status: Option<EchoStatus>) -> Result<(), Status> {
    let Some(EchoStatus { code, message }) = status else { return Ok(()) };
    let code = u32::try_from(code).ok().and_then(Code::from_u32).unwrap_or(Code::Unknown);
    if code == Code::Ok { Ok(()) } else { Err(Status::new(code, message)) }
}

fn payload(kind: i32, size: i32) -> Result<Payload, Status> {
    if kind != PayloadType::Compressable as i32 {
        return Err(Status::invalid_argument("response_type is not COMPRESSABLE"));
    }
    match usize::try_from(size) {
        Ok(size) if size <= MAX_RESPONSE => Ok(Payload { r#type: kind, body: vec![0; size] }),
        _ => Err(Status::invalid_argument(format!("a response of {size} bytes cannot be made"))),
    }
}

fn wants_compression(parameters: &ResponseParameters) -> bool {
    parameters.compressed.is_some_and(|wanted| wanted.value)
}

async fn send_responses(
    kind: i32,
    all_parameters: Vec<ResponseParameters>,
    replies: &mut Sending<StreamingOutputCallResponse>,
) -> Result<(), Status> {
    for parameters in all_parameters {
        if let Ok(pause @ 1..) = u64::try_from(parameters.interval_us) {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        replies.compress_next(wants_compression(&parameters));
        replies.send(StreamingOutputCallResponse { payload: Some(payload(kind, parameters.size)?) }).await?;
    }
    Ok(())
}
