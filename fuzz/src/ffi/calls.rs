//! Channels, and the calls that they make.

use std::mem::MaybeUninit;
use std::ptr;

use spanwire_c::*;

use super::books::{Asked, CallBook, check_status};
use super::lent::Buffer;
use super::options;
use super::shelf::{Chosen, Known, OrDefault};
use super::world::{Call, Peer, World, lock};
use crate::Input;

/// What may come of an operation on a call of either side.
pub(super) const OF_CALL: [i32; 3] = [SPANWIRE_OVER, SPANWIRE_SHUT_DOWN, SPANWIRE_INVALID_ARGUMENT];
/// And of one that sends.
pub(super) const OF_SEND: [i32; 5] =
    [SPANWIRE_OVER, SPANWIRE_SHUT_DOWN, SPANWIRE_INVALID_ARGUMENT, SPANWIRE_FULL, SPANWIRE_BLOCKED];

/// Methods that servers have, some that they have not, and some that cannot be.
pub(super) const METHODS: [&str; 10] = [
    "/fuzz.Fuzz/Unary",
    "/fuzz.Fuzz/Down",
    "/fuzz.Fuzz/Up",
    "/fuzz.Fuzz/Bidi",
    "/fuzz.Fuzz/Other",
    "/fuzz.Fuzz/Unary",
    "",
    "nothing",
    "/",
    "//",
];

impl World {
    pub(super) fn new_channel(&self, input: &mut Input<'_>) {
        if self.channels.len() >= 12 {
            return;
        }
        let engine = self.choose(input, &self.engines);
        let target = match input.byte() {
            // The address of one of the servers.
            0..0x80 => {
                self.servers.recent(input.byte().into()).map(|server| self.target_of(&Chosen::of(&server)))
            }
            _ => None,
        };
        let target = match target.filter(|target| !target.is_empty()) {
            Some(target) => std::ffi::CString::new(target).expect("there is no NUL in it"),
            None => match input.byte() {
                0..0xe0 => options::place(input),
                // Nobody listens there.
                0xe0..0xf0 => c"127.0.0.1:1".to_owned(),
                which => {
                    [c"", c"nowhere", c"nowhere:", c"inprocess:", c"what://", c":0", c"127.0.0.1", c"unix:"]
                        [usize::from(which) % 8]
                        .to_owned()
                }
            },
        };
        let options = options::channel(input);
        let options = if input.byte() & 3 == 0 { options.pointer() } else { ptr::null() };
        let dead = OrDefault(&engine).dead();
        // SAFETY: the text ends in NUL, and the options are as large as they say or as the library knows them.
        let made = self.make("channel_new", || unsafe {
            spanwire_channel_new(engine.pointer(), target.as_ptr(), options)
        });
        if let Some(number) = made {
            assert!(!dead, "a channel on an engine that is no more");
            self.channels.put(number, Peer { default_engine: engine.number == 0 });
        }
    }

    pub(super) fn free_channel(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        self.end_channel(&channel);
    }

    pub(super) fn end_channel(&self, channel: &Chosen<Peer>) {
        if let Some(item) = &channel.item {
            item.ends();
        }
        spanwire_channel_free(channel.pointer());
        if let Some(item) = &channel.item {
            item.is_gone(self.now());
        }
    }

    pub(super) fn look_at_channel(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        match input.below(3) {
            0 => {
                let state = spanwire_channel_connectivity(channel.pointer());
                assert!(
                    (SPANWIRE_CONNECTIVITY_IDLE..=SPANWIRE_CONNECTIVITY_TRANSIENT_FAILURE).contains(&state)
                        || state == SPANWIRE_SHUT_DOWN
                        || (state == SPANWIRE_INVALID_HANDLE && channel.doubtful()),
                    "connectivity {state}"
                );
            }
            1 => drop(self.ask("channel_connect", &[&channel], &[SPANWIRE_SHUT_DOWN], || {
                spanwire_channel_connect(channel.pointer())
            })),
            _ => {
                let mut stats = room_for_stats(input);
                // SAFETY: it has room for as many.
                let count = self.look("channel_stats", &channel, || unsafe {
                    spanwire_channel_stats(channel.pointer(), stats.as_mut_ptr().cast(), stats.len())
                });
                read_stats(&stats, count);
            }
        }
    }

    /// A call in one.
    pub(super) fn unary(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        let queue = self.choose(input, &self.queues);
        let method = options::text(input, &METHODS);
        let how = input.byte();
        let default_engine = channel.item.as_ref().is_some_and(|channel| channel.more.default_engine);
        let with_handle = how & 3 != 0;
        // Without a handle nobody can end it, and nobody frees the default engine.
        self.that_ends(default_engine && !with_handle, || {
            let options = self.call_options(input);
            let request = self.buffer(input, 0);
            let book = CallBook::new(queue.item.clone(), true, 1);
            let tag = lock(&self.books).begin(Asked::Call(book));
            let mut call = ptr::without_provenance_mut(1);
            let place = if with_handle { &raw mut call } else { ptr::null_mut() };
            let mut handles: Vec<&dyn Known> = vec![&channel, &queue];
            handles.extend(options.known());
            let more = [SPANWIRE_INVALID_ARGUMENT, SPANWIRE_SHUT_DOWN];
            // SAFETY: all of it is what it is said to be, or what the library says that it checks.
            let result = self.ask("call_unary", &handles, &more, || unsafe {
                spanwire_call_unary(
                    channel.pointer(),
                    method.as_ptr(),
                    request.pointer(),
                    options.held.pointer(),
                    queue.pointer(),
                    ptr::without_provenance_mut(tag),
                    place,
                )
            });
            self.begun(tag, result, with_handle.then_some(call));
        });
    }

    /// A call of any kind.
    pub(super) fn start(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        let queue = self.choose(input, &self.queues);
        let method = options::text(input, &METHODS);
        let kind = match input.byte() {
            how @ 0..0xf8 => i32::from(how >> 2) % 4,
            how => i32::from(how) - 0xfa,
        };
        let options = self.call_options(input);
        let one_response = kind == SPANWIRE_KIND_UNARY || kind == SPANWIRE_KIND_CLIENT_STREAMING;
        let granted = options.credit.max(one_response.into());
        let tag = lock(&self.books).begin(Asked::Call(CallBook::new(queue.item.clone(), false, granted)));
        let mut call = ptr::without_provenance_mut(1);
        let with_handle = input.byte() < 0xf8;
        let place = if with_handle { &raw mut call } else { ptr::null_mut() };
        let mut handles: Vec<&dyn Known> = vec![&channel, &queue];
        handles.extend(options.known());
        let more = [SPANWIRE_INVALID_ARGUMENT, SPANWIRE_SHUT_DOWN];
        // SAFETY: all of it is what it is said to be, or what the library says that it checks.
        let result = self.ask("call_start", &handles, &more, || unsafe {
            spanwire_call_start(
                channel.pointer(),
                method.as_ptr(),
                kind,
                options.held.pointer(),
                queue.pointer(),
                ptr::without_provenance_mut(tag),
                place,
            )
        });
        assert!(with_handle || result < 0, "a stream without a handle");
        self.begun(tag, result, with_handle.then_some(call));
        if with_handle && result >= 0 && input.byte() & 1 == 0 {
            let call = Chosen { number: call.addr(), item: self.calls.find(call.addr()) };
            let request = self.buffer(input, 0);
            self.send_on(&call, &request);
        }
    }

    /// Enters what came of beginning a call.
    fn begun(&self, tag: usize, result: i32, call: Option<*mut spanwire_call>) {
        lock(&self.books).answered(tag, result);
        let Some(call) = call else { return };
        if result >= 0 {
            assert!(call.addr() > 1, "a call without its handle");
            // It may be known already by its events.
            let item = self.calls.find_or_put(call.addr(), || Call { tag });
            assert_eq!(item.more.tag, tag, "two calls with one handle");
        } else {
            // Before its arguments are looked at it may be left as it was.
            assert!(call.addr() <= 1, "a call that was refused has a handle");
        }
    }

    /// A call that this thread waits for.
    pub(super) fn unary_and_wait(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        let method = options::text(input, &METHODS);
        if self.patience(20) == 0 {
            return;
        }
        self.that_ends(true, || {
            let options = self.call_options(input);
            let request = self.buffer(input, 0);
            let mut done = MaybeUninit::<spanwire_event>::uninit();
            // SAFETY: the place is large enough.
            unsafe { done.as_mut_ptr().cast::<u8>().write_bytes(0xff, size_of::<spanwire_event>()) };
            let mut handles: Vec<&dyn Known> = vec![&channel];
            handles.extend(options.known());
            let more = [SPANWIRE_INVALID_ARGUMENT, SPANWIRE_SHUT_DOWN];
            // SAFETY: as above; one event can be written.
            let result = self.ask("call_unary_blocking", &handles, &more, || unsafe {
                spanwire_call_unary_blocking(
                    channel.pointer(),
                    method.as_ptr(),
                    request.pointer(),
                    options.held.pointer(),
                    done.as_mut_ptr(),
                )
            });
            // SAFETY: it is filled, whatever comes.
            let done = unsafe { done.assume_init_mut() };
            // A hook may keep it for itself.
            if done.r#type != SPANWIRE_EVENT_NONE {
                assert!(result >= 0 && done.r#type == SPANWIRE_EVENT_DONE, "event {}", done.r#type);
                check_status(done);
                self.read(done);
            }
            // SAFETY: it came from the library.
            unsafe { spanwire_event_free(done) };
        });
    }

    pub(super) fn send(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.calls);
        let other = self.calls.recent(input.byte().into()).map_or(0, |other| other.number);
        let message = self.buffer(input, if other == call.number { 0 } else { other });
        self.send_on(&call, &message);
    }

    fn tag_of(call: &Chosen<Call>) -> usize {
        call.item.as_ref().map_or(0, |call| call.more.tag)
    }

    pub(super) fn send_on(&self, call: &Chosen<Call>, message: &Buffer) {
        let tag = Self::tag_of(call);
        let over = self.change_book(tag, |book| {
            book.full += 1;
            book.whole || book.is_done()
        });
        // SAFETY: the message is one, or what the library says that it checks.
        let result = self.ask("call_send", &[call], &OF_SEND, || unsafe {
            spanwire_call_send(call.pointer(), message.pointer())
        });
        assert!(over != Some(true) || result < 0, "a message behind the last one is taken");
        self.change_book(tag, |book| book.full -= u64::from(result != SPANWIRE_FULL));
    }

    fn change_book<T>(&self, tag: usize, change: impl FnOnce(&mut CallBook) -> T) -> Option<T> {
        lock(&self.books).call(tag).map(change)
    }

    pub(super) fn half_close(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.calls);
        let over = self.change_book(Self::tag_of(&call), |book| book.is_done());
        let result =
            self.ask("call_half_close", &[&call], &OF_CALL, || spanwire_call_half_close(call.pointer()));
        assert!(over != Some(true) || result < 0, "a call that is over is half-closed");
    }

    pub(super) fn grant(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.calls);
        let count = u32::from(input.byte());
        self.grant_to(&call, count);
    }

    pub(super) fn grant_many(&self, input: &mut Input<'_>) {
        let count = input.number();
        match input.byte() & 1 {
            0 => self.grant_to(&self.choose(input, &self.calls), count),
            _ => self.grant_to_server(&self.choose(input, &self.server_calls), count),
        }
    }

    pub(super) fn grant_to(&self, call: &Chosen<Call>, count: u32) {
        let tag = Self::tag_of(call);
        let over = self.change_book(tag, |book| {
            book.granted += u64::from(count);
            book.is_done()
        });
        let result = self.ask("call_grant", &[call], &OF_CALL, || spanwire_call_grant(call.pointer(), count));
        assert!(over != Some(true) || result < 0, "a call that is over is granted messages");
        if result < 0 {
            self.change_book(tag, |book| book.granted -= u64::from(count));
        }
    }

    pub(super) fn cancel(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.calls);
        for _ in 0..1 + input.byte() / 0xc0 {
            self.ask("call_cancel", &[&call], &[SPANWIRE_SHUT_DOWN], || spanwire_call_cancel(call.pointer()));
        }
    }

    pub(super) fn free_call(&self, input: &mut Input<'_>) {
        let call = self.choose(input, &self.calls);
        self.end_call(&call);
    }

    pub(super) fn end_call(&self, call: &Chosen<Call>) {
        if let Some(item) = &call.item {
            item.ends();
        }
        spanwire_call_free(call.pointer());
        if let Some(item) = &call.item {
            item.is_gone(self.now());
        }
    }
}

/// Room for some numbers, with nothing in it.
pub(super) fn room_for_stats(input: &mut Input<'_>) -> Vec<MaybeUninit<spanwire_stat>> {
    let mut stats = Vec::new();
    stats.resize_with(usize::from(input.byte() & 63), MaybeUninit::uninit);
    stats
}

/// Reads as many as were written.
pub(super) fn read_stats(stats: &[MaybeUninit<spanwire_stat>], count: usize) {
    for stat in &stats[..count.min(stats.len())] {
        // SAFETY: the library says that it has written so many, whose names end in NUL.
        let name = unsafe { std::ffi::CStr::from_ptr(stat.assume_init_ref().name) };
        assert!(!name.is_empty());
    }
}
