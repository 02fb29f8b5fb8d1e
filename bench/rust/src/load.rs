//! The workers of the client, one kind for each mode.

use bytes::Bytes;
use spanwire::{ClientStream, Duplex, Streaming};
use spanwire_bench_load::{Error, Worker};

use crate::echo::{Block, EchoClient};

/// A message with `size` zero bytes.
#[must_use]
pub fn block(size: usize) -> Block {
    Block { body: Bytes::from(vec![0; size]), ..Block::default() }
}

fn check(sent: &Block, received: &Block) -> Result<(), Error> {
    if sent.body.len() == received.body.len() {
        return Ok(());
    }
    Err(format!("sent {} bytes, {} came back", sent.body.len(), received.body.len()).into())
}

/// Calls `Unary`.
#[derive(Debug)]
pub struct Unary {
    /// Calls the server.
    pub client: EchoClient,
    /// What is sent in each call.
    pub block: Block,
}

impl Worker for Unary {
    async fn round(&mut self) -> Result<(), Error> {
        let reply = self.client.unary(self.block.clone()).await?;
        check(&self.block, &reply)
    }
}

/// Sends a message and waits for its echo, on one `Bidi` stream.
#[derive(Debug)]
pub struct PingPong {
    stream: Duplex<Block, Block>,
    block: Block,
}

impl PingPong {
    /// Opens the stream; its messages have bodies of `size` bytes.
    ///
    /// # Errors
    /// The call failed.
    pub async fn open(client: EchoClient, size: usize) -> Result<Self, Error> {
        Ok(PingPong { stream: client.bidi().await?, block: block(size) })
    }
}

impl Worker for PingPong {
    async fn round(&mut self) -> Result<(), Error> {
        self.stream.send(self.block.clone()).await?;
        let reply = self.stream.next().await?.ok_or("the stream ended early")?;
        check(&self.block, &reply)
    }
}

/// Takes in what `Down` sends; ends by cancelling.
#[derive(Debug)]
pub struct Down {
    replies: Streaming<Block>,
}

impl Down {
    /// Asks for messages with bodies of `size` bytes without end.
    ///
    /// # Errors
    /// The call failed.
    pub async fn open(client: EchoClient, size: usize) -> Result<Self, Error> {
        let wish = Block { count: u64::MAX, size_bytes: size as u64, ..Block::default() };
        Ok(Down { replies: client.down(wish).await? })
    }
}

impl Worker for Down {
    async fn round(&mut self) -> Result<(), Error> {
        self.replies.next().await?.ok_or("the stream ended early")?;
        Ok(())
    }
}

/// Sends to `Up` and compares the count that comes back.
#[derive(Debug)]
pub struct Up {
    requests: ClientStream<Block, Block>,
    block: Block,
}

impl Up {
    /// Opens the stream; its messages have bodies of `size` bytes.
    ///
    /// # Errors
    /// The call failed.
    pub async fn open(client: EchoClient, size: usize) -> Result<Self, Error> {
        Ok(Up { requests: client.up().await?, block: block(size) })
    }
}

impl Worker for Up {
    async fn round(&mut self) -> Result<(), Error> {
        Ok(self.requests.send(self.block.clone()).await?)
    }

    async fn finish(self) -> Result<Option<u64>, Error> {
        Ok(Some(self.requests.finish().await?.count))
    }
}
