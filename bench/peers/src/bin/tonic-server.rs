//! Serves `bench.v1.Echo` with tonic until it is killed.

use std::pin::Pin;

use bench_peers::echo::Block;
use bench_peers::echo::echo_server::{Echo, EchoServer};
use bytes::Bytes;
use clap::Parser;
use spanwire_bench_load::{Error, MAX_BODY_BYTES, ServerFlags};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerFlags,
}

struct Service;

type Replies = Pin<Box<dyn Stream<Item = Result<Block, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Service {
    type DownStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<Block>) -> Result<Response<Block>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn down(&self, request: Request<Block>) -> Result<Response<Replies>, Status> {
        let request = request.into_inner();
        if request.size_bytes > MAX_BODY_BYTES {
            return Err(Status::invalid_argument("size_bytes is too large"));
        }
        let body = Bytes::from(vec![0; request.size_bytes as usize]);
        // Ready at once, always: tonic packs what is ready into one DATA frame.
        let blocks = (0..request.count).map(move |_| Ok(Block { body: body.clone(), ..Block::default() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(blocks))))
    }

    async fn up(&self, request: Request<Streaming<Block>>) -> Result<Response<Block>, Status> {
        let mut blocks = request.into_inner();
        let mut counted = Block::default();
        while let Some(block) = blocks.message().await? {
            counted.count += 1;
            counted.size_bytes += block.body.len() as u64;
        }
        Ok(Response::new(counted))
    }

    async fn bidi(&self, request: Request<Streaming<Block>>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(request.into_inner().map(|block| block))))
    }
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse().server;
    flags.runtime.run(async {
        let address = ([127, 0, 0, 1], flags.port).into();
        Ok(Server::builder().add_service(EchoServer::new(Service)).serve(address).await?)
    })
}
