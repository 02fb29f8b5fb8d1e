//! `web-peer PORT ORIGIN`: a server of `grpc.testing.TestService` on tonic, for gRPC-Web, whose pages of one origin may call.

use std::pin::Pin;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};
use tower_http::cors::CorsLayer;

mod testing {
    tonic::include_proto!("grpc.testing");
}

use testing::test_service_server::{TestService, TestServiceServer};
use testing::{
    EchoStatus, Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};

const INITIAL: &str = "x-grpc-test-echo-initial";
const TRAILING: &str = "x-grpc-test-echo-trailing-bin";
const MOST_BYTES: usize = 16 << 20;

type Answers = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

struct Service;

fn asked(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != 0 => Err(Status::new(Code::from(code), message)),
        _ => Ok(()),
    }
}

fn payload(size: i32) -> Option<Payload> {
    Some(Payload { r#type: 0, body: vec![0; usize::try_from(size).unwrap_or(0)] })
}

fn echo(from: &MetadataMap, to: &mut MetadataMap) {
    if let Some(value) = from.get(INITIAL) {
        to.insert(INITIAL, value.clone());
    }
}

#[tonic::async_trait]
impl TestService for Service {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(&self, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        asked(request.response_status)?;
        let mut response =
            Response::new(SimpleResponse { payload: payload(request.response_size), ..Default::default() });
        echo(&metadata, response.metadata_mut());
        Ok(response)
    }

    async fn cacheable_unary_call(
        &self,
        _: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type StreamingOutputCallStream = Answers;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, _, request) = request.into_parts();
        // Trailers of its own are only what a status brings.
        let mut last = asked(request.response_status);
        if let (Ok(()), Some(value)) = (&last, metadata.get_bin(TRAILING)) {
            let mut status = Status::ok("");
            status.metadata_mut().insert_bin(TRAILING, value.clone());
            last = Err(status);
        }
        let answers = tokio_stream::iter(request.response_parameters).then(|parameters| async move {
            tokio::time::sleep(Duration::from_micros(u64::try_from(parameters.interval_us).unwrap_or(0)))
                .await;
            Ok(StreamingOutputCallResponse { payload: payload(parameters.size) })
        });
        let mut response: Response<Answers> =
            Response::new(Box::pin(answers.chain(tokio_stream::iter(last.err().map(Err)))));
        echo(&metadata, response.metadata_mut());
        Ok(response)
    }

    async fn streaming_input_call(
        &self,
        _: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type FullDuplexCallStream = Answers;

    async fn full_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type HalfDuplexCallStream = Answers;

    async fn half_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(origin)) = (arguments.next(), arguments.next()) else {
        return Err("usage: web-peer PORT ORIGIN".into());
    };
    let names = ["x-grpc-web", "x-user-agent", "grpc-timeout", INITIAL, TRAILING];
    let exposed = ["grpc-status", "grpc-message", "grpc-status-details-bin", INITIAL];
    let cors = CorsLayer::new()
        .allow_origin([origin.parse()?])
        .allow_headers(
            names.map(HeaderName::from_static).into_iter().chain([CONTENT_TYPE]).collect::<Vec<_>>(),
        )
        .expose_headers(exposed.map(HeaderName::from_static));
    let service = TestServiceServer::new(Service)
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES);
    Server::builder()
        .accept_http1(true)
        .layer(cors)
        .layer(tonic_web::GrpcWebLayer::new())
        .add_service(service)
        .serve(format!("127.0.0.1:{port}").parse()?)
        .await?;
    Ok(())
}
