//! The streams of one call, translated on their way between gRPC-Web and gRPC.

use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use spanwire_wire::content_type;
use spanwire_wire::web::{Form, TextDecoder, encode_text, trailers_frame};

use crate::message::Frame;
use crate::transport::foreign::{ForeignRecv, ForeignRespond, ForeignSend};
use crate::transport::header_list::Unsent;
use crate::transport::server::{Incoming, Respond};
use crate::transport::stream::SendClosed;
use crate::transport::{RecvPart, SendPart, StreamEvent, StreamFailure};

/// What is encoded at a time, in bytes; whole groups of three, so that padding comes only behind a message.
const TEXT_PIECE: usize = 15 * 1024;

/// Makes a request of gRPC of one that has the content type already. Its answer gets `headers` besides its own.
pub(super) fn translate(incoming: Incoming, form: Form, headers: HeaderMap) -> Incoming {
    let Incoming { head, body, respond, live } = incoming;
    let body = match form.text {
        true => RecvPart::foreign(Box::new(TextRecv { inner: body, decoder: TextDecoder::default() })),
        false => body,
    };
    let respond = WebRespond { inner: respond, text: form.text, content_type: form.answer, headers };
    Incoming { head, body, respond: Respond::foreign(Box::new(respond)), live }
}

/// The body of a request in text mode.
#[derive(Debug)]
struct TextRecv {
    inner: RecvPart,
    decoder: TextDecoder,
}

impl ForeignRecv for TextRecv {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent> {
        let unreadable =
            |why| StreamEvent::Failed(StreamFailure::Unreadable(format!("grpc-web-text: {why}")));
        loop {
            let event = match ready!(self.inner.poll_event(cx)) {
                StreamEvent::Data(text) => match self.decoder.decode(&text) {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => StreamEvent::Data(bytes),
                    Err(why) => unreadable(why),
                },
                end @ (StreamEvent::End | StreamEvent::Trailers(_)) => {
                    self.decoder.finish().map_or_else(unreadable, |()| end)
                }
                event => event,
            };
            return Poll::Ready(event);
        }
    }

    fn at_end(&self) -> bool {
        self.inner.at_end() && self.decoder.finish().is_ok()
    }
}

/// The way to answer.
#[derive(Debug)]
struct WebRespond {
    inner: Respond,
    text: bool,
    content_type: HeaderValue,
    headers: HeaderMap,
}

impl ForeignRespond for WebRespond {
    fn send(&mut self, mut head: http::Response<()>, end: bool) -> Result<SendPart, Unsent> {
        let headers = head.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if !headers.get(CONTENT_TYPE).is_some_and(content_type::is_grpc) {
            return self.inner.send(head, end);
        }
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        let inner = self.inner.send(head, end)?;
        Ok(SendPart::foreign(Box::new(WebSend { inner, text: self.text.then(Frame::default) })))
    }

    fn reset(&mut self, code: u32) {
        self.inner.reset(code);
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        self.inner.poll_reset(cx)
    }
}

/// The body of an answer.
#[derive(Debug)]
struct WebSend {
    inner: SendPart,
    /// In text mode: what is encoded and not sent.
    text: Option<Frame>,
}

fn encode(mut frame: Frame) -> Frame {
    let bytes: Bytes = frame.copy_to_bytes(frame.len());
    Frame::whole(encode_text(&bytes))
}

impl ForeignSend for WebSend {
    fn poll_send(&mut self, cx: &mut Context<'_>, frame: &mut Frame) -> Poll<Result<(), SendClosed>> {
        let Some(text) = &mut self.text else { return self.inner.poll_send(cx, frame, false) };
        loop {
            if text.len() > 0 {
                ready!(self.inner.poll_send(cx, text, false))?;
            }
            if frame.len() == 0 {
                return Poll::Ready(Ok(()));
            }
            *text = encode(frame.split_to(TEXT_PIECE));
        }
    }

    fn send_now(&mut self, frame: Frame, end: bool) -> Result<(), SendClosed> {
        let Some(text) = &mut self.text else { return self.inner.send_now(frame, end) };
        if text.len() > 0 {
            self.inner.send_now(std::mem::take(text), false)?;
        }
        self.inner.send_now(encode(frame), end)
    }

    fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Unsent> {
        Ok(self.send_now(Frame::whole(trailers_frame(&trailers)), true)?)
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn has_room_behind(&mut self) -> bool {
        self.inner.has_room_behind()
    }

    fn id(&self) -> u32 {
        self.inner.id()
    }

    fn reset(&mut self, code: u32) {
        self.inner.reset(code);
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        self.inner.poll_reset(cx)
    }
}
