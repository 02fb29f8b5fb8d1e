//! Loads a server of `bench.v1.Echo` with nothing but the h2 crate and prints what it did as one line of JSON.

use std::time::Instant;

use bench_peers::echo::Block;
use bench_peers::frames::{Deframer, framed};
use bench_peers::h2_settings::{client, next_data, send_all};
use bytes::Bytes;
use clap::Parser;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Version};
use prost::Message;
use spanwire_bench_load::{ClientFlags, Error, Mode, Worker, drive};
use tokio::net::TcpStream;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse().client;
    flags.runtime.run(async {
        let socket = TcpStream::connect(("127.0.0.1", flags.port)).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = client().handshake::<_, Bytes>(socket).await?;
        tokio::spawn(connection);
        let size = flags.size;
        match flags.mode {
            Mode::Unary => {
                drive(&flags, || {
                    let caller = Caller { sender: sender.clone(), port: flags.port };
                    async move { Ok(Unary { caller, block: framed(&block(size)) }) }
                })
                .await
            }
            Mode::PingPong => drive(&flags, || PingPong::open(caller(&sender, &flags), size)).await,
            Mode::Down => drive(&flags, || Down::open(caller(&sender, &flags), size)).await,
            Mode::Up => drive(&flags, || Up::open(caller(&sender, &flags), size)).await,
        }
    })
}

fn caller(sender: &SendRequest<Bytes>, flags: &ClientFlags) -> Caller {
    Caller { sender: sender.clone(), port: flags.port }
}

fn block(size: usize) -> Block {
    Block { body: Bytes::from(vec![0; size]), ..Block::default() }
}

struct Caller {
    sender: SendRequest<Bytes>,
    port: u16,
}

impl Caller {
    async fn call(&mut self, method: &str) -> Result<(h2::client::ResponseFuture, SendStream<Bytes>), Error> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = format!("http://127.0.0.1:{}/bench.v1.Echo/{method}", self.port).parse()?;
        let headers = request.headers_mut();
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let mut ready = self.sender.clone().ready().await?;
        Ok(ready.send_request(request, false)?)
    }
}

/// The messages of a response.
struct Replies {
    body: RecvStream,
    deframer: Deframer,
}

impl Replies {
    async fn new(response: h2::client::ResponseFuture) -> Result<Self, Error> {
        Ok(Replies { body: response.await?.into_body(), deframer: Deframer::default() })
    }

    async fn next(&mut self) -> Result<Option<Block>, Error> {
        loop {
            if let Some(message) = self.deframer.next_message() {
                return Ok(Some(Block::decode(message)?));
            }
            match next_data(&mut self.body).await? {
                Some(data) => self.deframer.push(data),
                None => return Ok(None),
            }
        }
    }

    async fn end(mut self) -> Result<(), Error> {
        while self.next().await?.is_some() {}
        let trailers = self.body.trailers().await?.ok_or("no trailers")?;
        match trailers.get("grpc-status") {
            Some(status) if status == "0" => Ok(()),
            status => Err(format!("grpc-status is {status:?}").into()),
        }
    }
}

struct Unary {
    caller: Caller,
    block: Bytes,
}

impl Worker for Unary {
    async fn round(&mut self) -> Result<(), Error> {
        let (response, mut stream) = self.caller.call("Unary").await?;
        send_all(&mut stream, self.block.clone()).await?;
        stream.send_data(Bytes::new(), true)?;
        let mut replies = Replies::new(response).await?;
        replies.next().await?.ok_or("no answer")?;
        replies.end().await
    }
}

struct PingPong {
    requests: SendStream<Bytes>,
    replies: Replies,
    block: Bytes,
}

impl PingPong {
    async fn open(mut caller: Caller, size: usize) -> Result<Self, Error> {
        let (response, requests) = caller.call("Bidi").await?;
        Ok(PingPong { requests, replies: Replies::new(response).await?, block: framed(&block(size)) })
    }
}

impl Worker for PingPong {
    async fn round(&mut self) -> Result<(), Error> {
        send_all(&mut self.requests, self.block.clone()).await?;
        self.replies.next().await?.ok_or("the stream ended early")?;
        Ok(())
    }
}

struct Down {
    replies: Replies,
}

impl Down {
    async fn open(mut caller: Caller, size: usize) -> Result<Self, Error> {
        let (response, mut stream) = caller.call("Down").await?;
        let wish = Block { count: u64::MAX, size_bytes: size as u64, ..Block::default() };
        send_all(&mut stream, framed(&wish)).await?;
        stream.send_data(Bytes::new(), true)?;
        Ok(Down { replies: Replies::new(response).await? })
    }
}

impl Worker for Down {
    async fn round(&mut self) -> Result<(), Error> {
        self.replies.next().await?.ok_or("the stream ended early")?;
        Ok(())
    }
}

struct Up {
    requests: SendStream<Bytes>,
    response: h2::client::ResponseFuture,
    block: Bytes,
}

impl Up {
    async fn open(mut caller: Caller, size: usize) -> Result<Self, Error> {
        let (response, requests) = caller.call("Up").await?;
        Ok(Up { requests, response, block: framed(&block(size)) })
    }
}

impl Worker for Up {
    async fn round(&mut self) -> Result<(), Error> {
        send_all(&mut self.requests, self.block.clone()).await
    }

    async fn rounds(&mut self, until: Instant, batch: u64) -> Result<u64, Error> {
        // As in the server: small messages share a DATA frame.
        let several = Bytes::from(self.block.repeat(batch as usize));
        let mut rounds = 0;
        while Instant::now() < until {
            send_all(&mut self.requests, several.clone()).await?;
            rounds += batch;
        }
        Ok(rounds)
    }

    async fn finish(mut self) -> Result<Option<u64>, Error> {
        self.requests.send_data(Bytes::new(), true)?;
        let mut replies = Replies::new(self.response).await?;
        let counted = replies.next().await?.ok_or("no answer")?;
        replies.end().await?;
        Ok(Some(counted.count))
    }
}
