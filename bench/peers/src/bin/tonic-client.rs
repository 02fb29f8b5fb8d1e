//! Loads a server of `bench.v1.Echo` with tonic and prints what it did as one line of JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bench_peers::echo::Block;
use bench_peers::echo::echo_client::EchoClient;
use bytes::Bytes;
use clap::Parser;
use spanwire_bench_load::{ClientFlags, Error, Mode, Worker, drive};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

type Client = EchoClient<Channel>;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse().client;
    flags.runtime.run(async {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", flags.port))?;
        let client = EchoClient::new(endpoint.connect().await?);
        let size = flags.size;
        match flags.mode {
            Mode::Unary => {
                drive(&flags, || {
                    let client = client.clone();
                    async move { Ok(Unary { client, block: block(size) }) }
                })
                .await
            }
            Mode::PingPong => drive(&flags, || PingPong::open(client.clone(), size)).await,
            Mode::Down => drive(&flags, || Down::open(client.clone(), size)).await,
            Mode::Up => {
                drive(&flags, || {
                    let client = client.clone();
                    async move { Ok(Up { client, block: block(size) }) }
                })
                .await
            }
        }
    })
}

fn block(size: usize) -> Block {
    Block { body: Bytes::from(vec![0; size]), ..Block::default() }
}

fn check(sent: &Block, received: &Block) -> Result<(), Error> {
    if sent.body.len() == received.body.len() {
        return Ok(());
    }
    Err(format!("sent {} bytes, {} came back", sent.body.len(), received.body.len()).into())
}

struct Unary {
    client: Client,
    block: Block,
}

impl Worker for Unary {
    async fn round(&mut self) -> Result<(), Error> {
        let reply = self.client.unary(self.block.clone()).await?;
        check(&self.block, reply.get_ref())
    }
}

struct PingPong {
    requests: mpsc::Sender<Block>,
    replies: Streaming<Block>,
    block: Block,
}

impl PingPong {
    async fn open(mut client: Client, size: usize) -> Result<Self, Error> {
        let (requests, stream) = mpsc::channel(1);
        let replies = client.bidi(ReceiverStream::new(stream)).await?.into_inner();
        Ok(PingPong { requests, replies, block: block(size) })
    }
}

impl Worker for PingPong {
    async fn round(&mut self) -> Result<(), Error> {
        self.requests.send(self.block.clone()).await?;
        let reply = self.replies.message().await?.ok_or("the stream ended early")?;
        check(&self.block, &reply)
    }
}

struct Down {
    replies: Streaming<Block>,
}

impl Down {
    async fn open(mut client: Client, size: usize) -> Result<Self, Error> {
        let wish = Block { count: u64::MAX, size_bytes: size as u64, ..Block::default() };
        Ok(Down { replies: client.down(wish).await?.into_inner() })
    }
}

impl Worker for Down {
    async fn round(&mut self) -> Result<(), Error> {
        self.replies.message().await?.ok_or("the stream ended early")?;
        Ok(())
    }
}

struct Up {
    client: Client,
    block: Block,
}

impl Up {
    /// One call that sends what `more` lets it, from a stream that is always ready: tonic's fastest way.
    async fn call(&mut self, mut more: impl FnMut(u64) -> bool + Send + 'static) -> Result<u64, Error> {
        let sent = Arc::new(AtomicU64::new(0));
        let (counter, block) = (sent.clone(), self.block.clone());
        let blocks = std::iter::from_fn(move || {
            let index = counter.load(Ordering::Relaxed);
            more(index).then(|| {
                counter.store(index + 1, Ordering::Relaxed);
                block.clone()
            })
        });
        let seen = self.client.up(tokio_stream::iter(blocks)).await?.into_inner().count;
        let sent = sent.load(Ordering::Relaxed);
        if sent != seen {
            return Err(format!("sent {sent} messages, the server has seen {seen}").into());
        }
        Ok(sent)
    }
}

impl Worker for Up {
    async fn round(&mut self) -> Result<(), Error> {
        self.call(|index| index == 0).await.map(drop)
    }

    async fn rounds(&mut self, until: Instant, batch: u64) -> Result<u64, Error> {
        self.call(move |index| index % batch != 0 || Instant::now() < until).await
    }
}
