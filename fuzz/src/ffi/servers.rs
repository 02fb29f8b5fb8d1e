//! Servers, and the calls that they receive.

use std::ffi::CStr;
use std::ptr;

use spanwire_c::*;

use super::books::{Asked, ServerCallBook};
use super::calls::{METHODS, OF_CALL, OF_SEND, read_stats, room_for_stats};
use super::lent::Buffer;
use super::options::{self, Held};
use super::shelf::{Chosen, Known, OrDefault};
use super::world::{Peer, ServerCall, World, lock};
use crate::Input;

impl World {
    pub(super) fn new_server(&self, input: &mut Input<'_>) {
        if self.servers.len() >= 8 {
            return;
        }
        let engine = self.choose(input, &self.engines);
        let options = options::server(input);
        let options = if input.byte() & 3 == 0 { options.pointer() } else { ptr::null() };
        let dead = OrDefault(&engine).dead();
        // SAFETY: the options are as large as they say or as the library knows them.
        let made = self.make("server_new", || unsafe { spanwire_server_new(engine.pointer(), options) });
        if let Some(number) = made {
            assert!(!dead, "a server on an engine that is no more");
            self.servers.put(number, Peer { default_engine: engine.number == 0 });
        }
    }

    pub(super) fn add_method(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        let queue = self.choose(input, &self.queues);
        let method = options::text(input, &METHODS);
        let kind = match input.byte() {
            how @ 0..0xf8 => i32::from(how) % 4,
            how => i32::from(how) - 0xfa,
        };
        let credit = input.byte().into();
        let tag = lock(&self.books).begin(Asked::Method { kind, credit });
        // SAFETY: the text ends in NUL.
        self.ask(
            "server_method",
            &[&server, &queue],
            &[SPANWIRE_INVALID_ARGUMENT, SPANWIRE_OVER, SPANWIRE_SHUT_DOWN],
            || unsafe {
                spanwire_server_method(
                    server.pointer(),
                    method.as_ptr(),
                    kind,
                    queue.pointer(),
                    ptr::without_provenance_mut(tag),
                    credit,
                )
            },
        );
    }

    pub(super) fn add_fallback(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        let queue = self.choose(input, &self.queues);
        let credit = input.byte().into();
        let tag = lock(&self.books).begin(Asked::Method { kind: SPANWIRE_KIND_BIDI, credit });
        self.ask("server_fallback", &[&server, &queue], &[SPANWIRE_OVER, SPANWIRE_SHUT_DOWN], || {
            spanwire_server_fallback(
                server.pointer(),
                queue.pointer(),
                ptr::without_provenance_mut(tag),
                credit,
            )
        });
    }

    pub(super) fn listen(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        let address = match input.byte() {
            0..0xe0 => options::place(input),
            0xe0..0xf8 => c"127.0.0.1:0".to_owned(),
            which => [
                c"",
                c"127.0.0.1",
                c"127.0.0.1:99999",
                c"inprocess:",
                c"unix:",
                c"[::1",
                c":",
                c"127.0.0.1:1",
            ][usize::from(which) % 8]
                .to_owned(),
        };
        let more = [SPANWIRE_INVALID_ARGUMENT, SPANWIRE_OVER, SPANWIRE_SYSTEM, SPANWIRE_SHUT_DOWN];
        // SAFETY: the text ends in NUL.
        self.ask("server_listen", &[&server], &more, || unsafe {
            spanwire_server_listen(server.pointer(), address.as_ptr())
        });
    }

    /// A target for channels, empty if the server has none.
    pub(super) fn target_of(&self, server: &Chosen<Peer>) -> String {
        let mut text = [0u8; 64];
        // SAFETY: there is room for as many bytes.
        let len = self.look("server_target", server, || unsafe {
            spanwire_server_target(server.pointer(), text.as_mut_ptr().cast(), text.len())
        });
        String::from_utf8(text[..len.min(63)].to_vec()).expect("a target is UTF-8")
    }

    pub(super) fn look_at_server(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        match input.below(4) {
            0 => {
                let port = self.look("server_port", &server, || spanwire_server_port(server.pointer()));
                assert!(port <= 65_535);
            }
            1 => drop(self.target_of(&server)),
            2 => {
                let count = input.number();
                self.ask("server_accept", &[&server], &[SPANWIRE_SHUT_DOWN], || {
                    spanwire_server_accept(server.pointer(), count)
                });
            }
            _ => {
                let mut stats = room_for_stats(input);
                // SAFETY: it has room for as many.
                let count = self.look("server_stats", &server, || unsafe {
                    spanwire_server_stats(server.pointer(), stats.as_mut_ptr().cast(), stats.len())
                });
                read_stats(&stats, count);
            }
        }
    }

    pub(super) fn shut_down(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        let queue = self.choose(input, &self.queues);
        let grace = input.pick(&[0, 10, 100, -1, i64::MIN]);
        let asked = Asked::Shutdown { queue: queue.item.clone(), accepted: None, closed: 0 };
        let tag = lock(&self.books).begin(asked);
        let more = [SPANWIRE_OVER, SPANWIRE_SHUT_DOWN];
        let result = self.ask("server_shutdown", &[&server, &queue], &more, || {
            spanwire_server_shutdown(
                server.pointer(),
                grace,
                queue.pointer(),
                ptr::without_provenance_mut(tag),
            )
        });
        lock(&self.books).answered(tag, result);
    }

    pub(super) fn shut_down_and_wait(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        let grace = input.pick(&[0, 5, -1]);
        if self.patience(100) > 0 {
            self.ask("server_shutdown_blocking", &[&server], &[SPANWIRE_OVER, SPANWIRE_SHUT_DOWN], || {
                spanwire_server_shutdown_blocking(server.pointer(), grace)
            });
        }
    }

    pub(super) fn free_server(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        self.end_server(&server);
    }

    pub(super) fn end_server(&self, server: &Chosen<Peer>) {
        if let Some(item) = &server.item {
            item.ends();
        }
        spanwire_server_free(server.pointer());
        if let Some(item) = &server.item {
            item.is_gone(self.now());
        }
    }

    fn server_book<T>(
        &self,
        call: &Chosen<ServerCall>,
        change: impl FnOnce(&mut ServerCallBook) -> T,
    ) -> Option<T> {
        let item = call.item.as_ref()?;
        Some(change(lock(&self.books).server_call(item.number, item.more.tag)))
    }

    pub(super) fn answer_headers(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        self.send_headers(&call, &options::answer(input));
    }

    pub(super) fn send_headers(&self, call: &Chosen<ServerCall>, answer: &Held<spanwire_answer>) {
        // SAFETY: the answer is as large as it says or as the library knows it.
        self.ask("server_call_headers", &[call], &OF_CALL, || unsafe {
            spanwire_server_call_headers(call.pointer(), answer.pointer())
        });
    }

    pub(super) fn answer_send(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        let other = self.calls.recent(input.byte().into()).map_or(0, |other| other.number);
        let message = self.buffer(input, other);
        self.send_answer(&call, &message);
    }

    pub(super) fn send_answer(&self, call: &Chosen<ServerCall>, message: &Buffer) {
        self.server_book(call, |book| book.full += 1);
        // SAFETY: the message is one, or what the library says that it checks.
        let result = self.ask("server_call_send", &[call], &OF_SEND, || unsafe {
            spanwire_server_call_send(call.pointer(), message.pointer())
        });
        self.server_book(call, |book| book.full -= u64::from(result != SPANWIRE_FULL));
    }

    pub(super) fn answer_grant(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        let count = u32::from(input.byte());
        self.grant_to_server(&call, count);
    }

    pub(super) fn grant_to_server(&self, call: &Chosen<ServerCall>, count: u32) {
        self.server_book(call, |book| book.granted += u64::from(count));
        let result = self.ask("server_call_grant", &[call], &OF_CALL, || {
            spanwire_server_call_grant(call.pointer(), count)
        });
        if result < 0 {
            self.server_book(call, |book| book.granted -= u64::from(count));
        }
    }

    pub(super) fn answer_respond(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        let message = self.buffer(input, 0);
        self.respond(&call, &message, &options::answer(input));
    }

    pub(super) fn respond(
        &self,
        call: &Chosen<ServerCall>,
        message: &Buffer,
        answer: &Held<spanwire_answer>,
    ) -> i32 {
        // SAFETY: both are what they are said to be, or what the library says that it checks.
        self.end_by("server_call_respond", call, || unsafe {
            spanwire_server_call_respond(call.pointer(), message.pointer(), answer.pointer())
        })
    }

    /// An operation that ends the call if it is accepted.
    fn end_by(&self, what: &str, call: &Chosen<ServerCall>, operation: impl FnOnce() -> i32) -> i32 {
        let result = self.ask(what, &[call], &OF_CALL, operation);
        if result >= 0 {
            self.server_book(call, ServerCallBook::answered);
        }
        result
    }

    pub(super) fn answer_finish(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        let code = match input.byte() {
            code @ 0..0xf0 => i32::from(code) % 17,
            code => (i32::from(code) - 0xf8) << 28,
        };
        let text = options::text(input, &["", "it went wrong", "\u{20ac} %", "two\nlines"]);
        let text = if input.byte() & 1 == 0 { text.as_ptr() } else { ptr::null() };
        let answer = options::answer(input);
        // SAFETY: the text ends in NUL; the answer is as above.
        self.end_by("server_call_finish", &call, || unsafe {
            spanwire_server_call_finish(call.pointer(), code, text, answer.pointer())
        });
    }

    pub(super) fn finish(&self, call: &Chosen<ServerCall>, code: i32) {
        // SAFETY: text and answer may be null.
        self.end_by("server_call_finish", call, || unsafe {
            spanwire_server_call_finish(call.pointer(), code, ptr::null(), ptr::null())
        });
    }

    pub(super) fn answer_cancel(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        self.reset(&call);
    }

    pub(super) fn reset(&self, call: &Chosen<ServerCall>) {
        self.end_by("server_call_cancel", call, || spanwire_server_call_cancel(call.pointer()));
    }

    pub(super) fn keep_data(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        let data = ptr::without_provenance_mut(1 + usize::from(input.byte()));
        self.ask("server_call_set_data", &[&call], &[], || {
            spanwire_server_call_set_data(call.pointer(), data)
        });
        let dead = call.dead();
        let kept = spanwire_server_call_data(call.pointer());
        assert!(!dead || kept.is_null(), "data of a call that was freed");
    }

    /// Reads what there is to know of a request, while this thread keeps the call.
    pub(super) fn look_at_request(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        match input.below(5) {
            // What these two give is valid until the call is freed, which any thread may do now: it is not read.
            0 => {
                let mut len = usize::MAX;
                let place = if input.byte() & 1 == 0 { &raw mut len } else { ptr::null_mut() };
                // SAFETY: it can be written.
                self.look("server_call_method", &call, || unsafe {
                    spanwire_server_call_method(call.pointer(), place)
                });
            }
            1 => drop(spanwire_server_call_metadata(call.pointer())),
            2 => {
                let left = self.look("server_call_time_remaining_ms", &call, || {
                    spanwire_server_call_time_remaining_ms(call.pointer())
                });
                assert!(left >= 0 || left == i64::from(SPANWIRE_INVALID_HANDLE));
            }
            3 => {
                let mut text = vec![1u8; usize::from(input.byte() & 63)];
                // SAFETY: there is room for as many bytes.
                self.look("server_call_peer", &call, || unsafe {
                    spanwire_server_call_peer(call.pointer(), text.as_mut_ptr().cast(), text.len())
                });
                assert!(text.is_empty() || call.doubtful() || text.contains(&0), "a text without an end");
            }
            _ => {
                let mut der = ptr::null();
                // SAFETY: it can be written.
                let len = self.look("server_call_peer_certificate", &call, || unsafe {
                    spanwire_server_call_peer_certificate(call.pointer(), input.byte().into(), &raw mut der)
                });
                assert_eq!(len, 0, "nobody has a certificate");
            }
        }
    }

    /// Reads a request that no other thread has seen yet.
    pub(super) fn read_request(&self, call: *mut spanwire_server_call) {
        let mut len = 0;
        // SAFETY: it can be written.
        let method = unsafe { spanwire_server_call_method(call, &raw mut len) };
        if !method.is_null() {
            // SAFETY: it ends in NUL, and nobody frees the call meanwhile.
            assert_eq!(unsafe { CStr::from_ptr(method) }.count_bytes(), len);
        }
        super::events::read_metadata(spanwire_server_call_metadata(call));
    }

    pub(super) fn free_server_call(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.server_calls);
        self.end_server_call(&call);
    }

    pub(super) fn end_server_call(&self, call: &Chosen<ServerCall>) {
        if let Some(item) = &call.item {
            item.ends();
        }
        spanwire_server_call_free(call.pointer());
        if let Some(item) = &call.item {
            item.is_gone(self.now());
        }
    }
}
