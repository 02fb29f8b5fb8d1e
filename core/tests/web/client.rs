//! A client of HTTP/1.1 that sends what it is told, byte by byte.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use futures_util::stream;
use spanwire::{Server, ServerBuilder, ServerHandle, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::support::Echo;

/// What the pipe between client and server holds.
const PIPE: usize = 16 * 1024;

/// A server that speaks gRPC-Web to the pages of one origin.
pub struct Served {
    pub handle: ServerHandle,
    pub echo: Echo,
    connections: mpsc::Sender<DuplexStream>,
}

pub const ORIGIN: &str = "https://page.example";

pub fn serve_with(set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Served {
    let (connections, receiver) = mpsc::channel::<DuplexStream>(16);
    let incoming = stream::unfold(receiver, async |mut receiver| {
        Some((Ok::<_, io::Error>(receiver.recv().await?), receiver))
    });
    let echo = Echo::default();
    let builder = Server::builder().service(echo.clone()).web(Web::new().origins([ORIGIN]));
    let server = set(builder).bind_incoming(incoming).unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    Served { handle, echo, connections }
}

pub fn serve() -> Served {
    serve_with(|builder| builder)
}

impl Served {
    /// A byte stream to the server.
    pub async fn pipe(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        self.connections.send(theirs).await.unwrap();
        ours
    }

    pub async fn client(&self) -> Client {
        Client { pipe: self.pipe().await, read: Vec::new() }
    }
}

pub struct Client {
    pub pipe: DuplexStream,
    read: Vec<u8>,
}

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The messages of the body, and the trailers behind them.
    pub fn messages(&self) -> (Vec<Vec<u8>>, String) {
        let mut frames = frames(&self.body);
        let (flag, trailers) = frames.pop().unwrap();
        assert_eq!(flag, 0x80, "the last frame holds the trailers");
        let message = |(flag, message)| {
            assert_eq!(flag, 0);
            message
        };
        (frames.into_iter().map(message).collect(), String::from_utf8(trailers).unwrap())
    }
}

pub fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<5>() {
        let (payload, rest) = rest.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        frames.push((flag, payload.to_vec()));
        body = rest;
    }
    assert!(body.is_empty(), "half a frame: {body:?}");
    frames
}

pub fn frame(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &len, message].concat()
}

/// The head of a call in binary mode, up to its length.
pub fn head(path: &str, fields: &[(&str, &str)]) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: api.example\r\n");
    if !fields.iter().any(|(name, _)| *name == "Content-Type") {
        head.push_str("Content-Type: application/grpc-web+proto\r\n");
    }
    for (name, value) in fields {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.pipe.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn call(&mut self, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(format!("{}Content-Length: {}\r\n\r\n", head(path, fields), body.len())).await;
        self.send(body).await;
        self.answer().await.unwrap()
    }

    /// Reads more. `false`: there is no more.
    async fn more(&mut self) -> bool {
        self.pipe.read_buf(&mut self.read).await.unwrap_or(0) > 0
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<_> = self.read.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn bytes(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.read.len() < len {
            if !self.more().await {
                return None;
            }
        }
        Some(self.read.drain(..len).collect())
    }

    pub async fn head(&mut self) -> Option<Answer> {
        let status = self.line().await?;
        let status = status.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    /// The next piece of a body; empty when it is over, `None` when it was cut off.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let len = usize::from_str_radix(&self.line().await?, 16).unwrap();
        let chunk = self.bytes(len).await?;
        self.bytes(2).await?;
        Some(chunk)
    }

    /// A whole answer; `None` if it was cut off.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        if let Some(len) = answer.header("content-length") {
            let len = len.parse().unwrap();
            answer.body = self.bytes(len).await?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                match self.chunk().await? {
                    end if end.is_empty() => break,
                    chunk => answer.body.extend(chunk),
                }
            }
        }
        Some(answer)
    }

    /// Waits until the server has closed the connection, and says whether anything came before.
    pub async fn closed(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }
}

/// Waits in virtual time until `done`.
pub async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
