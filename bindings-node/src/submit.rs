//! Operations down: the records of a turn of the event loop, carried out in order.

use std::time::Duration;

use bytes::Bytes;
use spanwire::bridge::{
    Answer, Call, CallOptions, OpError, Outgoing, ReportTo, Room, begin_batch, end_batch,
};
use spanwire::{Code, Connectivity, Metadata, Status};

use crate::call::{ClientCall, Line, Moved, ServedCall};
use crate::convert::error::in_javascript;
use crate::convert::metadata::unpack;
use crate::convert::options::encoding_of;
use crate::environment::State;
use crate::protocol::{Flag, Operation, Reader, TIMEOUT_PASSED};

/// A call that has no room to send more, and on which side it is.
pub(crate) type Full = (u32, u32);

const CLIENT: u32 = 0;
const SERVER: u32 = 1;

/// One turn's operations.
struct Turn<'a, B> {
    state: &'a mut State,
    records: Reader<'a>,
    blobs: std::slice::Iter<'a, B>,
    full: Vec<Full>,
}

impl State {
    pub(crate) fn submit<B: AsRef<[u8]>>(&mut self, records: &[u8], blobs: &[B]) -> Vec<Full> {
        let mut turn =
            Turn { state: self, records: Reader::new(records), blobs: blobs.iter(), full: Vec::new() };
        begin_batch();
        while !turn.records.is_empty() {
            turn.next();
        }
        end_batch();
        let full = turn.full;
        if !self.inbox.is_empty() {
            self.bell.ring();
        }
        full
    }
}

impl<B: AsRef<[u8]>> Turn<'_, B> {
    fn next(&mut self) {
        let head = self.records.word();
        let (operation, flags) = (head as u8, head >> 8);
        let call = self.records.word();
        macro_rules! operation {
            ($($name:ident => $body:expr),+ $(,)?) => {
                match operation {
                    $(operation if operation == Operation::$name as u8 => $body,)+
                    // Nothing after it could be read either.
                    _ => self.records = Reader::new(&[]),
                }
            };
        }
        operation! {
            Unary => self.start(call, flags, true),
            Begin => self.start(call, flags, false),
            Send => self.send(call, flags),
            HalfClose => self.half_close(call),
            // An error means that it is over, which its last event tells.
            Cancel => self.with_call(call, |call| drop(call.call.cancel())),
            Grant => {
                let messages = self.records.word();
                self.with_call(call, |call| drop(call.call.grant(messages)));
            },
            Respond => self.respond(call, flags),
            Reply => self.reply(call, flags),
            GrantRequests => {
                let messages = self.records.word();
                self.with_served(call, |call| drop(call.call.grant(messages)));
            },
            SendHeaders => {
                let compression = self.records.word();
                let headers = self.records.word();
                let answer = self.answer(compression, headers);
                self.with_served(call, |call| drop(call.call.headers(answer)));
            },
            Finish => self.finish(call),
            ConnectivityChanged => self.connectivity_changed(call),
        }
    }

    fn connectivity_changed(&mut self, number: u32) {
        let [channel, known, timeout] = std::array::from_fn(|_| self.records.word());
        let state = &mut *self.state;
        let report = ReportTo { queue: state.queue.clone(), tag: number as usize, attachment: None };
        let Some(channel) = state.channels.get(channel as usize).and_then(Option::as_ref) else {
            return state.inbox.refuse(number, Status::cancelled("the channel is closed"));
        };
        // Numbers are made by our own code from names that it has checked.
        let known = u8::try_from(known).ok().and_then(Connectivity::from_u8).unwrap_or(Connectivity::Idle);
        let call = channel.unary_call();
        match channel.connectivity_changed(known, timeout_ms(timeout), report, Some(&call)) {
            Ok(()) => self.keep(number, call),
            Err(error) => state.inbox.refuse(number, refused(&error)),
        }
    }

    fn start(&mut self, number: u32, flags: u32, unary: bool) {
        let [channel, method, timeout, compression, max_recv, max_send, parent, metadata_len, length] =
            std::array::from_fn(|_| self.records.word());
        let metadata = self.metadata(metadata_len);
        let message = if unary { self.message(flags, length) } else { Outgoing::default() };
        let options = CallOptions {
            timeout_ms: timeout_ms(timeout),
            metadata,
            compression: encoding_of(compression),
            wait_for_ready: flags & Flag::WaitForReady as u32 != 0,
            max_recv_message_bytes: max_recv.into(),
            max_send_message_bytes: max_send.into(),
            credit: if unary { 0 } else { length },
        };
        let state = &mut *self.state;
        let report = ReportTo { queue: state.queue.clone(), tag: number as usize, attachment: None };
        let channel = state.channels.get(channel as usize).and_then(Option::as_ref);
        let (Some(channel), Some((path, kind))) = (channel, state.methods.get(method as usize)) else {
            return state.inbox.refuse(number, Status::cancelled("the channel is closed"));
        };
        // Numbers are counted from 1, so that 0 is none.
        let parent =
            parent.checked_sub(1).and_then(|parent| state.served.get(parent)).map(|served| &*served.call);
        let begun = if unary {
            let call = channel.unary_call();
            channel.unary(path, message, options, report, Some(&call), parent).map(|()| call)
        } else {
            channel.stream(path, *kind, options, report, parent).map(|(call, prepared)| {
                prepared.begin();
                call
            })
        };
        match begun {
            Ok(call) => self.keep(number, call),
            Err(error) => state.inbox.refuse(number, refused(&error)),
        }
    }

    fn keep(&mut self, number: u32, call: Call) {
        let calls = &mut self.state.calls;
        let place = number as usize;
        if calls.len() <= place {
            calls.resize_with(place + 1, || None);
        }
        calls[place] = Some(ClientCall { call, line: Line::default(), failed: None });
        self.state.live += 1;
    }

    fn send(&mut self, number: u32, flags: u32) {
        let length = self.records.word();
        let message = self.message(flags, length);
        let Some(call) = self.state.calls.get_mut(number as usize).and_then(Option::as_mut) else { return };
        match call.line.send(message, |message| call.call.send(message)) {
            Moved::All(Room::Ready, _) => {}
            Moved::All(Room::Full, _) | Moved::Waits => self.full.push((CLIENT, number)),
            // Full until its last event comes: who sends without a pause would keep the event loop from ever taking it.
            Moved::Refused(error) => {
                call.fail(&error);
                self.full.push((CLIENT, number));
            }
        }
    }

    fn half_close(&mut self, number: u32) {
        self.with_call(number, |call| {
            if call.line.end(()).is_some() {
                // An error means that it is over.
                drop(call.call.half_close());
            }
        });
    }

    fn respond(&mut self, number: u32, flags: u32) {
        let [compression, headers_len, trailers_len, length] = std::array::from_fn(|_| self.records.word());
        let answer = self.answer(compression, headers_len);
        let trailers = self.metadata(trailers_len);
        let message = self.message(flags, length);
        self.with_served(number, |served| {
            if let Err(OpError::Argument(text)) = served.call.respond(message, answer, trailers) {
                drop(served.call.finish(Status::resource_exhausted(in_javascript(&text)), Answer::default()));
            }
        });
        self.state.served.remove(number);
    }

    fn reply(&mut self, number: u32, flags: u32) {
        let length = self.records.word();
        let message = self.message(flags, length);
        let Some(served) = self.state.served.get(number) else { return };
        match served.line.send(message, |message| served.call.send(message)) {
            Moved::All(Room::Ready, _) => {}
            Moved::All(Room::Full, _) | Moved::Waits => self.full.push((SERVER, number)),
            Moved::Refused(error) => {
                if let OpError::Argument(text) = error {
                    drop(
                        served
                            .call
                            .finish(Status::resource_exhausted(in_javascript(&text)), Answer::default()),
                    );
                    self.state.inbox.cancelled(number);
                }
                self.full.push((SERVER, number));
            }
        }
    }

    fn finish(&mut self, number: u32) {
        let [code, compression, headers_len, trailers_len, text_len, details_len] =
            std::array::from_fn(|_| self.records.word());
        let answer = self.answer(compression, headers_len);
        let trailers = self.metadata(trailers_len);
        let text = String::from_utf8_lossy(self.records.bytes(text_len));
        let details = Bytes::copy_from_slice(self.records.bytes(details_len));
        let status = match Code::from_u32(code) {
            Some(Code::Ok) => Status::ok(),
            code => Status::new(code.unwrap_or(Code::Unknown), text).with_details(details),
        };
        let Some(served) = self.state.served.get(number) else { return };
        if served.call.is_over() {
            self.state.served.remove(number);
        } else if let Some((status, answer)) = served.line.end((status.with_metadata(trailers), answer)) {
            drop(served.call.finish(status, answer));
            self.state.served.remove(number);
        } else {
            served.finishing = true;
        }
    }

    fn with_call(&mut self, number: u32, work: impl FnOnce(&mut ClientCall)) {
        // One that is over has left already.
        if let Some(call) = self.state.calls.get_mut(number as usize).and_then(Option::as_mut) {
            work(call);
        }
    }

    fn with_served(&mut self, number: u32, work: impl FnOnce(&mut ServedCall)) {
        if let Some(served) = self.state.served.get(number) {
            work(served);
        }
    }

    fn message(&mut self, flags: u32, length: u32) -> Outgoing {
        let bytes = if flags & Flag::Blob as u32 != 0 {
            self.blobs.next().map(AsRef::as_ref).unwrap_or_default()
        } else {
            self.records.bytes(length)
        };
        let mut message = Outgoing::copied(bytes);
        message.plain = flags & Flag::Plain as u32 != 0;
        message
    }

    fn metadata(&mut self, length: u32) -> Metadata {
        if length == 0 {
            return Metadata::new();
        }
        // JavaScript had it checked when it was made.
        unpack(self.records.bytes(length)).unwrap_or_default()
    }

    fn answer(&mut self, compression: u32, headers_len: u32) -> Answer {
        Answer { headers: self.metadata(headers_len), compression: encoding_of(compression) }
    }
}

impl ClientCall {
    /// Ends the call because a message of it cannot be sent. One that is over has its reason already.
    pub(crate) fn fail(&mut self, error: &OpError) {
        if let OpError::Argument(text) = error {
            self.failed = Some(Status::resource_exhausted(in_javascript(text)));
            drop(self.call.cancel());
        }
    }
}

fn timeout_ms(timeout: u32) -> i64 {
    if timeout == TIMEOUT_PASSED { -1 } else { timeout.into() }
}

fn refused(error: &OpError) -> Status {
    match error {
        OpError::Argument(text) => Status::invalid_argument(text.clone()),
        other => Status::unavailable(other.to_string()),
    }
}

/// Milliseconds as the bridge wants them.
pub(crate) fn milliseconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX)
}
