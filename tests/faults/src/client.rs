//! A raw client: what it takes to call a server under test.

use crate::frame::{PREFACE, setting};
use crate::link::{Link, message_frames};
use crate::{Event, Fields, Frame, Headers, Io, grpc};
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use tokio::net::TcpStream;

/// A client that sends what the script says. It is a [`Link`] with call helpers on top.
pub struct RawClient {
    link: Link,
    next_stream: u32,
    server_settings: Vec<(u16, u32)>,
}

/// Everything that came back on one stream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Header blocks with a 1xx status.
    pub informational: Vec<Fields>,
    /// The first other header block.
    pub headers: Fields,
    /// All DATA payloads, joined.
    pub body: Bytes,
    /// The header block that ended the stream, if it was not the first.
    pub trailers: Option<Fields>,
    /// The code of RST_STREAM, if that ended the stream.
    pub reset: Option<u32>,
}

impl RawClient {
    /// Connects over TCP, opens the connection with wide windows and waits for the server's SETTINGS.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await
    }

    /// Connects over TCP and opens the connection with these SETTINGS and so much connection window above 65 535.
    pub async fn connect_with(address: SocketAddr, settings: &[(u16, u32)], window: u32) -> Self {
        let mut client = Self::connect_bare(address).await;
        client.open(settings, window).await;
        client
    }

    /// Connects over TCP and sends nothing at all.
    pub async fn connect_bare(address: SocketAddr) -> Self {
        let stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        };
        stream.set_nodelay(true).ok();
        Self::over(stream)
    }

    /// A client over an open transport; nothing is sent yet.
    pub fn over(io: impl Io + 'static) -> Self {
        Self { link: Link::new(io), next_stream: 1, server_settings: Vec::new() }
    }

    /// Sends the preface and SETTINGS, opens the connection window by `window`, waits for the server's SETTINGS.
    pub async fn open(&mut self, settings: &[(u16, u32)], window: u32) {
        self.send_bytes(PREFACE).await;
        self.settings(settings).await;
        if window > 0 {
            self.window_update(0, window).await;
        }
        let what = "the server's SETTINGS";
        if let Event::Settings(settings) = self.wait(what, |event| matches!(event, Event::Settings(_))).await
        {
            self.server_settings = settings;
        }
        self.settled().await;
    }

    /// The value of a setting in the server's first SETTINGS, if it sent it.
    pub fn server_setting(&self, id: u16) -> Option<u32> {
        self.server_settings.iter().find(|entry| entry.0 == id).map(|entry| entry.1)
    }

    /// Opens a stream with the headers of a correct call of `path` and gives its id.
    pub async fn call(&mut self, path: &str) -> u32 {
        self.call_with(&Fields::grpc_request(path)).await
    }

    /// Opens a stream with any headers, without END_STREAM, and gives its id.
    pub async fn call_with(&mut self, fields: &Fields) -> u32 {
        let stream = self.take_stream();
        self.fields(stream, fields, false).await;
        stream
    }

    /// Gives the next odd stream id without sending anything.
    pub fn take_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// Sends a gRPC message as the last thing of the stream: its last DATA carries END_STREAM.
    pub async fn last_message(&mut self, stream: u32, body: &[u8]) {
        let mut frames = message_frames(stream, body);
        if let Some(last) = frames.pop() {
            frames.push(last.end_stream());
        }
        self.send_all(&frames).await;
    }

    /// Half-closes with an empty DATA frame.
    pub async fn half_close(&mut self, stream: u32) {
        self.send(Frame::data(stream, Bytes::new()).end_stream()).await;
    }

    /// A whole unary call of `path`: headers, one message, the answer.
    pub async fn unary(&mut self, path: &str, body: &[u8]) -> Answer {
        self.unary_with(&Fields::grpc_request(path), body).await
    }

    /// A whole unary call with any headers.
    pub async fn unary_with(&mut self, fields: &Fields, body: &[u8]) -> Answer {
        let stream = self.call_with(fields).await;
        self.last_message(stream, body).await;
        self.answer(stream).await
    }

    /// Waits for the next header block of a stream.
    pub async fn wait_headers(&mut self, stream: u32) -> Headers {
        let what = format!("HEADERS {stream}");
        let wanted = |event: &Event| matches!(event, Event::Headers(headers) if headers.stream == stream);
        match self.wait(&what, wanted).await {
            Event::Headers(headers) => headers,
            other => unreachable!("{other}"),
        }
    }

    /// Collects everything of one stream until it ends by END_STREAM or RST_STREAM.
    pub async fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        let mut body = BytesMut::new();
        let what = format!("the answer on stream {stream}");
        let (mut head, mut over) = (false, false);
        while !over {
            match self.wait(&what, |event| event.stream() == Some(stream)).await {
                Event::Headers(Headers { fields, end_stream, .. }) => {
                    over = end_stream;
                    if !head && fields.get(":status").is_some_and(|status| status.starts_with('1')) {
                        answer.informational.push(fields);
                    } else if head {
                        answer.trailers = Some(fields);
                    } else {
                        head = true;
                        answer.headers = fields;
                    }
                }
                Event::Data { data, end_stream, .. } => {
                    over = end_stream;
                    body.extend_from_slice(&data);
                }
                Event::Reset { code, .. } => {
                    over = true;
                    answer.reset = Some(code);
                }
                _ => {}
            }
        }
        answer.body = body.freeze();
        answer
    }
}

impl Answer {
    /// `:status` of the answer.
    pub fn http_status(&self) -> Option<&str> {
        self.headers.get(":status")
    }

    /// grpc-status, from the trailers or from a Trailers-Only answer.
    pub fn grpc_status(&self) -> Option<&str> {
        self.last_fields().get("grpc-status")
    }

    /// grpc-message as it stands on the wire, empty if absent.
    pub fn grpc_message(&self) -> &str {
        self.last_fields().get("grpc-message").unwrap_or_default()
    }

    /// Whether headers and trailers were one block, with no body.
    pub fn is_trailers_only(&self) -> bool {
        self.trailers.is_none() && self.body.is_empty() && self.headers.contains("grpc-status")
    }

    /// The messages with their flags.
    pub fn messages(&self) -> Vec<(u8, Bytes)> {
        grpc::split(&self.body)
    }

    /// The trailers, or the headers of a Trailers-Only answer.
    pub fn last_fields(&self) -> &Fields {
        self.trailers.as_ref().unwrap_or(&self.headers)
    }
}

impl Deref for RawClient {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl DerefMut for RawClient {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}
