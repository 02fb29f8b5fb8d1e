//! The request side of a call on a server.

use std::sync::Arc;
use std::task::{Context, Poll};

use spanwire_wire::call::{RequestKind, ServerCall, ServerEvent};
use spanwire_wire::encoding::Encoding;

use super::router::CallLimits;
use crate::middleware::{Item, Source};
use crate::observe::{ReceivedMessage, StreamWatch};
use crate::stats::Calls;
use crate::transport::{RecvPart, StreamEvent, StreamFailure};
use crate::{Code, Status};

/// Takes messages out of a request's body as they are asked for.
pub(crate) struct ServerReceive {
    recv: RecvPart,
    machine: ServerCall,
    over: bool,
    unfinished: Unfinished,
    watch: Option<Arc<dyn StreamWatch>>,
}

impl ServerReceive {
    pub(crate) fn new(
        recv: RecvPart,
        kind: RequestKind,
        limits: &CallLimits,
        encoding: Encoding,
        calls: &Arc<Calls>,
        watch: Option<Arc<dyn StreamWatch>>,
    ) -> Self {
        let machine = ServerCall::new(kind, limits.max_recv_bytes, encoding);
        let unfinished = Unfinished { bytes: 0, max: limits.max_unfinished_bytes(), calls: calls.clone() };
        ServerReceive { recv, machine, over: false, unfinished, watch }
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
                Some(ServerEvent::Message(message)) => {
                    self.unfinished.give_back();
                    if let Some(watch) = &self.watch {
                        watch.received(ReceivedMessage {
                            wire_bytes: self.machine.last_wire_len(),
                            decompressed_bytes: self.machine.last_compressed().then_some(message.len()),
                        });
                    }
                    return Poll::Ready(Item::Message(message));
                }
                Some(ServerEvent::HalfClosed) => {
                    self.over = true;
                    return Poll::Ready(Item::End(Status::ok()));
                }
                Some(ServerEvent::Failed(status)) => {
                    self.over = true;
                    self.unfinished.give_back();
                    if status.code() == Code::ResourceExhausted {
                        self.unfinished.calls.limits().message_bytes.hit();
                    }
                    return Poll::Ready(Item::End(status));
                }
                None => {
                    if let Err(status) = self.unfinished.hold(self.machine.buffered()) {
                        self.over = true;
                        // It holds nothing any more.
                        self.machine = ServerCall::new(RequestKind::One, 0, Encoding::Identity);
                        self.unfinished.give_back();
                        return Poll::Ready(Item::End(status));
                    }
                }
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
                StreamEvent::Failed(StreamFailure::Unreadable(why)) => {
                    self.machine.fail(Status::internal(why))
                }
                StreamEvent::Failed(_) => {
                    self.machine.fail(Status::cancelled("the connection to the client is lost"))
                }
            }
        }
    }
}

/// So much of each request is held without being counted, in bytes: small calls do not touch what their connection's
/// calls share.
const UNCOUNTED_BYTES: usize = 16 * 1024;

/// What a call holds of a message that is not whole, in the account of its connection.
struct Unfinished {
    /// What is in the account for this call.
    bytes: usize,
    max: usize,
    calls: Arc<Calls>,
}

impl Unfinished {
    /// Puts down that so many bytes are held now.
    fn hold(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes < self.bytes + UNCOUNTED_BYTES {
            return Ok(());
        }
        let all = self.calls.hold(bytes - self.bytes);
        self.bytes = bytes;
        if all <= self.max {
            return Ok(());
        }
        self.calls.limits().unfinished_request_bytes.hit();
        Err(Status::resource_exhausted(format!(
            "the requests of this connection that are not whole yet are larger than max_unfinished_request_bytes \
             ({} bytes)",
            self.max
        )))
    }

    fn give_back(&mut self) {
        if self.bytes > 0 {
            self.calls.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::ServerCounters;

    #[test]
    fn what_calls_hold_is_counted_from_some_size_on_and_given_back() {
        let counters: Arc<ServerCounters> = Arc::default();
        let connection = counters.connection();
        let call = || Unfinished { bytes: 0, max: 100_000, calls: connection.calls.clone() };
        let in_account = || connection.calls.hold(0);
        let (mut one, mut other) = (call(), call());
        assert!(one.hold(UNCOUNTED_BYTES - 1).is_ok());
        assert_eq!(in_account(), 0, "small messages are not counted");
        assert!(one.hold(60_000).is_ok());
        assert!(one.hold(60_000 + UNCOUNTED_BYTES - 1).is_ok());
        assert_eq!(in_account(), 60_000, "nor are small pieces");
        assert!(other.hold(40_000).is_ok());
        assert_eq!(in_account(), 100_000);
        one.give_back();
        assert_eq!(in_account(), 40_000);
        assert!(one.hold(60_001).is_err());
        assert_eq!(counters.read().limits.unfinished_request_bytes, 1);
        drop(one);
        drop(other);
        assert_eq!(in_account(), 0);
    }
}
