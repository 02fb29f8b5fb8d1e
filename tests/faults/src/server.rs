//! A raw server: it accepts the connections of a channel under test and answers as the script says.

use crate::frame::{PREFACE, setting};
use crate::link::Link;
use crate::{Event, Fields, Headers, Io, grpc};
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::net::TcpListener;

/// A listener on a free port of 127.0.0.1.
pub struct RawServer {
    listener: TcpListener,
    address: SocketAddr,
    patience: Duration,
}

/// One accepted connection. It is a [`Link`] with answer helpers on top.
pub struct RawConnection {
    link: Link,
    client_settings: Vec<(u16, u32)>,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its stream.
    pub stream: u32,
    /// Its header fields.
    pub fields: Fields,
    /// Whether the headers carried END_STREAM.
    pub end_stream: bool,
}

impl RawServer {
    /// Listens on a free port.
    pub async fn bind() -> Self {
        let listener = match TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("cannot listen: {error}"),
        };
        let address = match listener.local_addr() {
            Ok(address) => address,
            Err(error) => panic!("no local address: {error}"),
        };
        Self { listener, address, patience: Duration::from_secs(5) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a channel's target.
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    /// Accepts a connection, with wide windows.
    pub async fn accept(&self) -> RawConnection {
        self.accept_with(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await
    }

    /// Accepts a connection with these SETTINGS and so much connection window above 65 535.
    pub async fn accept_with(&self, settings: &[(u16, u32)], window: u32) -> RawConnection {
        let mut connection = self.accept_bare().await;
        connection.open(settings, window).await;
        connection
    }

    /// Accepts a connection and reads and sends nothing.
    ///
    /// # Panics
    /// When nobody connects within 5 s.
    pub async fn accept_bare(&self) -> RawConnection {
        match tokio::time::timeout(self.patience, self.accept_quietly()).await {
            Ok(connection) => connection,
            Err(_) => panic!("nobody connected within {:?}", self.patience),
        }
    }

    /// Accepts the next connection, however long that takes, and reads and sends nothing.
    pub async fn accept_quietly(&self) -> RawConnection {
        match self.listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok();
                RawConnection::over(stream)
            }
            Err(error) => panic!("cannot accept: {error}"),
        }
    }
}

impl RawConnection {
    /// A server's end over an open transport; nothing is read yet.
    pub fn over(io: impl Io + 'static) -> Self {
        Self { link: Link::new(io), client_settings: Vec::new() }
    }

    /// Reads the preface and the client's SETTINGS, sends ours, opens the connection window by `window`.
    ///
    /// # Panics
    /// When the client begins with anything else.
    pub async fn open(&mut self, settings: &[(u16, u32)], window: u32) {
        self.read_opening().await;
        self.settings(settings).await;
        if window > 0 {
            self.window_update(0, window).await;
        }
    }

    /// Reads the preface and the client's SETTINGS; sends only their acknowledgement.
    ///
    /// # Panics
    /// When the client begins with anything else.
    pub async fn read_opening(&mut self) {
        let preface = self.read_bytes(PREFACE.len()).await;
        assert_eq!(preface, PREFACE, "the client did not begin with the preface");
        match self.next().await {
            Event::Settings(settings) => self.client_settings = settings,
            other => panic!("the client's first frame is {other}"),
        }
    }

    /// The value of a setting in the client's first SETTINGS, if it sent it.
    pub fn client_setting(&self, id: u16) -> Option<u32> {
        self.client_settings.iter().find(|entry| entry.0 == id).map(|entry| entry.1)
    }

    /// Waits for the headers of the next request.
    pub async fn request(&mut self) -> Request {
        match self.wait("a request", |event| matches!(event, Event::Headers(_))).await {
            Event::Headers(Headers { stream, fields, end_stream }) => Request { stream, fields, end_stream },
            other => unreachable!("{other}"),
        }
    }

    /// Waits for a whole request, that is until END_STREAM, and gives its head and its messages.
    pub async fn whole_request(&mut self) -> (Request, Vec<(u8, Bytes)>) {
        let request = self.request().await;
        let body = if request.end_stream { Bytes::new() } else { self.body(request.stream).await };
        (request, grpc::split(&body))
    }

    /// Collects DATA of a stream until END_STREAM.
    pub async fn body(&mut self, stream: u32) -> Bytes {
        let mut body = BytesMut::new();
        let what = format!("END_STREAM on {stream}");
        loop {
            let wanted = |event: &Event| matches!(event, Event::Data { stream: id, .. } if *id == stream);
            if let Event::Data { data, end_stream, .. } = self.wait(&what, wanted).await {
                body.extend_from_slice(&data);
                if end_stream {
                    return body.freeze();
                }
            }
        }
    }

    /// Collects DATA of a stream until it is one message or more, and gives the messages.
    pub async fn messages(&mut self, stream: u32) -> Vec<(u8, Bytes)> {
        let mut body = BytesMut::new();
        loop {
            let wanted = |event: &Event| matches!(event, Event::Data { stream: id, .. } if *id == stream);
            if let Event::Data { data, .. } = self.wait("a message", wanted).await {
                body.extend_from_slice(&data);
            }
            if is_whole(&body) {
                return grpc::split(&body);
            }
        }
    }

    /// Sends the headers of a correct answer.
    pub async fn headers(&mut self, stream: u32) {
        self.fields(stream, &Fields::grpc_response(), false).await;
    }

    /// Sends trailers with a status.
    pub async fn trailers(&mut self, stream: u32, code: u32, message: &str) {
        self.fields(stream, &Fields::grpc_trailers(code, message), true).await;
    }

    /// Sends a Trailers-Only answer.
    pub async fn trailers_only(&mut self, stream: u32, code: u32, message: &str) {
        let mut fields = Fields::grpc_response();
        for (name, value) in Fields::grpc_trailers(code, message).iter() {
            fields = fields.with(name, value);
        }
        self.fields(stream, &fields, true).await;
    }

    /// A whole correct unary answer: headers, one message, trailers with OK.
    pub async fn reply(&mut self, stream: u32, body: &[u8]) {
        self.headers(stream).await;
        self.grpc_message(stream, body).await;
        self.trailers(stream, 0, "").await;
    }

    /// Answers every request with its own first message until the connection ends.
    ///
    /// Requests are answered in the order in which they end.
    pub async fn echo(&mut self) {
        self.patience = Duration::from_secs(60);
        let mut bodies: Vec<(u32, BytesMut)> = Vec::new();
        loop {
            let (stream, end_stream) = match self.next().await {
                Event::Headers(Headers { stream, end_stream, .. }) => {
                    bodies.push((stream, BytesMut::new()));
                    (stream, end_stream)
                }
                Event::Data { stream, data, end_stream } => {
                    if let Some((_, body)) = bodies.iter_mut().find(|(id, _)| *id == stream) {
                        body.extend_from_slice(&data);
                    }
                    (stream, end_stream)
                }
                Event::Closed { .. } => return,
                _ => continue,
            };
            if end_stream && let Some(at) = bodies.iter().position(|(id, _)| *id == stream) {
                let (_, body) = bodies.swap_remove(at);
                let first = grpc::split(&body).into_iter().next().unwrap_or_default();
                self.reply(stream, &first.1).await;
            }
        }
    }
}

/// Whether a body is one or more whole messages.
fn is_whole(body: &[u8]) -> bool {
    let mut at = 0;
    while let Some(prefix) = body.get(at..at + 5) {
        at += 5 + u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    }
    at > 0 && at == body.len()
}

impl Deref for RawConnection {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl DerefMut for RawConnection {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}
