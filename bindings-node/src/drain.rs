//! Events up: what happened, written into a buffer of JavaScript.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use spanwire::bridge::{Event, EventKind, OpError, Outcome, Received, Room};
use spanwire::{PeerAddr, Sent, Status};

use crate::call::Moved;
use crate::convert::metadata::pack;
use crate::environment::State;
use crate::protocol::{Flag, Happening, INLINE_BYTES, Writer};

/// How many addresses are known by a number. Servers see any number of them: then it begins anew.
const KNOWN_PEERS: usize = 4096;

/// What was taken from the queue and not written yet, and what is to be asked for.
#[derive(Default)]
pub(crate) struct Inbox {
    events: VecDeque<Event>,
    /// Room of the last turn.
    taken: Vec<Event>,
    records: VecDeque<Record>,
    blobs: VecDeque<Bytes>,
    peers: HashMap<PeerAddr, u32>,
    /// Addresses of servers that no connection was made to, which only a status knows.
    named_peers: HashMap<String, u32>,
}

/// A record before it is written: the words behind its kind and flags, then texts and metadata, then a message.
struct Record {
    what: Happening,
    flags: u32,
    words: [u32; 10],
    len: usize,
    body: Vec<u8>,
    message: Option<Bytes>,
}

impl Record {
    fn new<const N: usize>(what: Happening, words: [u32; N]) -> Self {
        let mut all = [0; 10];
        all[..N].copy_from_slice(&words);
        Record { what, flags: 0, words: all, len: N, body: Vec::new(), message: None }
    }

    fn flag(mut self, flag: Flag, set: bool) -> Self {
        self.flags |= if set { flag as u32 } else { 0 };
        self
    }

    /// Takes a message, whose length is the record's last word.
    fn message(mut self, message: Option<Received>) -> Self {
        if let Some(Received { bytes, compressed }) = message {
            self.words[self.len - 1] = bytes.len() as u32;
            self = self
                .flag(Flag::HasMessage, true)
                .flag(Flag::Compressed, compressed)
                .flag(Flag::Blob, bytes.len() > INLINE_BYTES);
            self.message = Some(bytes);
        }
        self
    }

    /// Writes it, if there is room; else gives it back.
    fn write(self, out: &mut Writer<'_>, blobs: &mut VecDeque<Bytes>) -> Result<(), Self> {
        let body_outside = self.body.len() > INLINE_BYTES;
        let message = self.message.as_ref().filter(|bytes| bytes.len() <= INLINE_BYTES);
        let body_len = if body_outside { 0 } else { self.body.len() };
        if !out.fits(1 + self.len, &[body_len, message.map_or(0, Bytes::len)]) {
            return Err(self);
        }
        let flags = self.flags | if body_outside { Flag::BodyBlob as u32 } else { 0 };
        out.words([self.what as u32 | flags << 8]);
        for word in &self.words[..self.len] {
            out.words([*word]);
        }
        if let Some(message) = message {
            out.bytes(&self.body[..body_len]);
            out.bytes(message);
        } else {
            out.bytes(&self.body[..body_len]);
        }
        if body_outside {
            blobs.push_back(self.body.into());
        }
        if let Some(message) = self.message.filter(|bytes| bytes.len() > INLINE_BYTES) {
            blobs.push_back(message);
        }
        Ok(())
    }
}

impl Inbox {
    pub(crate) fn take_blob(&mut self) -> Option<Bytes> {
        self.blobs.pop_front()
    }

    /// Ends a call of ours that was refused before it began.
    pub(crate) fn refuse(&mut self, call: u32, status: Status) {
        let status = status.with_sent(Sent::NotSent);
        self.done(call, Outcome { status, headers: None, message: None, peer: None, attempts: 0 });
    }

    /// Tells a handler that nobody waits for its answer.
    pub(crate) fn cancelled(&mut self, call: u32) {
        self.records.push_back(Record::new(Happening::Cancelled, [call]));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.events.is_empty()
    }

    /// The number of an address.
    fn peer(&mut self, peer: &PeerAddr) -> u32 {
        if let Some(number) = self.peers.get(peer) {
            return *number;
        }
        let number = self.name_peer(peer.to_string());
        self.peers.insert(peer.clone(), number);
        number
    }

    /// The same of one that stands in a status; 0 if there is none.
    fn named_peer(&mut self, peer: Option<&str>) -> u32 {
        let Some(peer) = peer else { return 0 };
        if let Some(number) = self.named_peers.get(peer) {
            return *number;
        }
        let number = self.name_peer(peer.to_owned());
        self.named_peers.insert(peer.to_owned(), number);
        number
    }

    fn name_peer(&mut self, text: String) -> u32 {
        if self.peers.len() + self.named_peers.len() >= KNOWN_PEERS {
            self.peers.clear();
            self.named_peers.clear();
        }
        let number = (self.peers.len() + self.named_peers.len()) as u32 + 1;
        let mut record = Record::new(Happening::Peer, [number, text.len() as u32]);
        record.body = text.into();
        self.records.push_back(record);
        number
    }

    fn done(&mut self, call: u32, outcome: Outcome) {
        let Outcome { status, headers, message, peer, attempts } = outcome;
        let peer = match &peer {
            Some(peer) => self.peer(peer),
            None => self.named_peer(status.peer()),
        };
        let mut body = Vec::new();
        let headers = headers.map_or(0, |headers| pack(&headers, &mut body));
        let trailers = pack(status.metadata(), &mut body);
        let (text, details) = (status.message(), status.details());
        body.extend_from_slice(text.as_bytes());
        body.extend_from_slice(details);
        let code = status.code().as_u32();
        let sent = match status.sent() {
            Sent::NotSent => 0,
            Sent::Answered => 2,
            _ => 1,
        };
        let (text, details) = (text.len() as u32, details.len() as u32);
        let words = [call, code, attempts, sent, peer, headers, trailers, text, details, 0];
        let mut record = Record::new(Happening::Done, words).message(message);
        record.body = body;
        self.records.push_back(record);
    }
}

impl State {
    /// Writes as much as finds room; whether there is more.
    pub(crate) fn drain(&mut self, out: &mut Writer<'_>) -> bool {
        loop {
            while let Some(record) = self.inbox.records.pop_front() {
                if let Err(record) = record.write(out, &mut self.inbox.blobs) {
                    self.inbox.records.push_front(record);
                    return true;
                }
            }
            let Some(event) = self.next_event() else { return false };
            self.take(event);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        let inbox = &mut self.inbox;
        if inbox.events.is_empty() {
            // An error means that the environment ends, and nobody listens any more.
            self.queue.drain(usize::MAX, &mut inbox.taken).ok()?;
            inbox.events.extend(inbox.taken.drain(..));
        }
        inbox.events.pop_front()
    }

    fn take(&mut self, mut event: Event) {
        let number = event.tag() as u32;
        let Some(reporter) = event.server_call().cloned() else {
            return self.take_of_client(number, event.kind);
        };
        let request = matches!(event.kind, EventKind::Request(_));
        let served = &mut self.served;
        // Only a request is the first that is heard of a call.
        let made =
            reporter.handle(|call| if request { Ok(served.insert(call)) } else { Err(OpError::Blocked) });
        let Some(call) = made.ok().and_then(|made| self.served.place(made)) else { return };
        let server_kind = std::mem::replace(&mut event.kind, EventKind::Writable);
        self.take_of_server(number, call, server_kind);
    }

    fn take_of_client(&mut self, number: u32, kind: EventKind) {
        match kind {
            EventKind::Headers(headers) => {
                let mut body = Vec::new();
                let len = pack(&headers, &mut body);
                let mut record = Record::new(Happening::Headers, [number, len]);
                record.body = body;
                self.inbox.records.push_back(record);
            }
            EventKind::Messages { messages, .. } => self.messages(Happening::Message, number, messages),
            EventKind::Writable => self.writable(number),
            EventKind::Done(mut outcome) => {
                self.live -= 1;
                let call = self.calls.get_mut(number as usize).and_then(Option::take);
                if let Some(status) = call.and_then(|call| call.failed) {
                    outcome.status = status.with_sent(outcome.status.sent());
                }
                self.inbox.done(number, outcome);
            }
            EventKind::ServerClosed if self.closed(number) => {
                self.inbox.records.push_back(Record::new(Happening::ServerClosed, [number]));
            }
            _ => {}
        }
    }

    fn take_of_server(&mut self, handler: u32, number: u32, kind: EventKind) {
        let Some(served) = self.served.get(number) else { return };
        match kind {
            EventKind::Request(request) => {
                let mut body = Vec::new();
                let call = &served.call;
                let timeout = call.time_remaining().map_or(0, whole_milliseconds);
                let metadata = pack(call.metadata(), &mut body);
                let peer = self.inbox.peer(call.peer());
                let words = [number, handler, timeout, peer, metadata, 0];
                let mut record = Record::new(Happening::Request, words).message(request.message);
                record.body = body;
                self.inbox.records.push_back(record);
            }
            EventKind::Messages { messages, end } if !served.finishing => {
                self.messages(Happening::RequestMessage, number, messages);
                if end {
                    self.inbox.records.push_back(Record::new(Happening::RequestsEnd, [number]));
                }
            }
            EventKind::Writable => self.served_writable(number),
            EventKind::Cancelled => {
                if served.finishing {
                    self.served.remove(number);
                } else {
                    self.inbox.cancelled(number);
                }
            }
            _ => {}
        }
    }

    fn messages(&mut self, what: Happening, number: u32, messages: Vec<Received>) {
        for message in messages {
            self.inbox.records.push_back(Record::new(what, [number, 0]).message(Some(message)));
        }
    }

    /// A client's call has room again.
    fn writable(&mut self, number: u32) {
        let Some(call) = self.calls.get_mut(number as usize).and_then(Option::as_mut) else { return };
        match call.line.go_on(|message| call.call.send(message)) {
            Moved::All(room, end) => {
                if end.is_some() {
                    // An error means that it is over.
                    drop(call.call.half_close());
                }
                if room == Room::Ready {
                    self.inbox.records.push_back(Record::new(Happening::Writable, [number]));
                }
            }
            Moved::Waits => {}
            Moved::Refused(error) => call.fail(&error),
        }
    }

    /// A server's call has room again.
    fn served_writable(&mut self, number: u32) {
        let Some(served) = self.served.get(number) else { return };
        match served.line.go_on(|message| served.call.send(message)) {
            Moved::All(_, Some((status, answer))) => {
                drop(served.call.finish(status, answer));
                self.served.remove(number);
            }
            Moved::All(Room::Ready, None) => {
                self.inbox.records.push_back(Record::new(Happening::RepliesWritable, [number]));
            }
            Moved::All(Room::Full, None) | Moved::Waits => {}
            // Its last event follows.
            Moved::Refused(_) => {}
        }
    }
}

/// Rounded up, so that what is left is not nothing; and short of what stands for none.
fn whole_milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}
