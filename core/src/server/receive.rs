//! The request side of a call on a server.

use std::sync::Arc;
use std::task::{Context, Poll};

use spanwire_wire::call::{RequestKind, ServerCall, ServerEvent};
use spanwire_wire::encoding::Encoding;

use crate::middleware::{Item, Source};
use crate::stats::Calls;
use crate::transport::{RecvPart, StreamEvent, StreamFailure};
use crate::{Code, Status};

/// Takes messages out of a request's body as they are asked for.
pub(crate) struct ServerReceive {
    recv: RecvPart,
    machine: ServerCall,
    over: bool,
    calls: Arc<Calls>,
}

impl ServerReceive {
    pub(crate) fn new(
        recv: RecvPart,
        kind: RequestKind,
        max_recv_bytes: usize,
        encoding: Encoding,
        calls: &Arc<Calls>,
    ) -> Self {
        let machine = ServerCall::new(kind, max_recv_bytes, encoding);
        ServerReceive { recv, machine, over: false, calls: calls.clone() }
    }

    /// Whether the message that came last had come compressed.
    pub(crate) fn last_compressed(&self) -> bool {
        self.machine.last_compressed()
    }
}

impl Source for ServerReceive {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if self.over {
            return Poll::Ready(Item::End(Status::ok()));
        }
        loop {
            match self.machine.poll_event() {
                Some(ServerEvent::Message(message)) => return Poll::Ready(Item::Message(message)),
                Some(ServerEvent::HalfClosed) => {
                    self.over = true;
                    return Poll::Ready(Item::End(Status::ok()));
                }
                Some(ServerEvent::Failed(status)) => {
                    self.over = true;
                    if status.code() == Code::ResourceExhausted {
                        self.calls.limits().message_bytes.hit();
                    }
                    return Poll::Ready(Item::End(status));
                }
                None => {}
            }
            match std::task::ready!(self.recv.poll_event(cx)) {
                StreamEvent::Data(data) => {
                    self.machine.on_data(data);
                    if self.recv.at_end() {
                        self.machine.on_end();
                    }
                }
                // Clients send no trailers; if one does, they end the request as END_STREAM would.
                StreamEvent::End | StreamEvent::Trailers(_) | StreamEvent::Headers { .. } => {
                    self.machine.on_end()
                }
                StreamEvent::Failed(StreamFailure::Reset(code)) => self.machine.on_reset(code),
                StreamEvent::Failed(StreamFailure::LocalReset(code)) => self.machine.fail(Status::internal(
                    format!("the client broke HTTP/2 on this stream: {}", crate::transport::code_name(code)),
                )),
                StreamEvent::Failed(_) => {
                    self.machine.fail(Status::cancelled("the connection to the client is lost"))
                }
            }
        }
    }
}
