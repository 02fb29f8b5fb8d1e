//! Events: taken out of queues, read, answered, kept and freed.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::sync::Arc;

use spanwire_c::*;

use super::books::{self, check_status};
use super::lent::passed_on;
use super::options;
use super::shelf::{Chosen, Item, Known};
use super::world::{Bytes, Call, Queue, ServerCall, World, lock};
use crate::Input;

/// Events in memory of their own, of which so many were written.
pub(super) struct Array {
    events: Box<[MaybeUninit<spanwire_event>]>,
    count: usize,
}

// SAFETY: what events point to may be used on any thread, by one at a time.
unsafe impl Send for Array {}

impl Array {
    fn new(capacity: usize) -> Self {
        Array { events: (0..capacity).map(|_| MaybeUninit::uninit()).collect(), count: 0 }
    }

    fn pointer(&mut self) -> *mut spanwire_event {
        self.events.as_mut_ptr().cast()
    }

    pub(super) fn written(&mut self) -> &mut [spanwire_event] {
        // SAFETY: so many were written, and a freed event is one, too.
        unsafe { slice::from_raw_parts_mut(self.pointer(), self.count) }
    }

    /// Frees them, in one of several ways.
    pub(super) fn free(mut self, how: u8) {
        let (pointer, count) = (self.pointer(), self.count);
        for event in self.written() {
            if how & 1 != 0 || event.tag.addr() & 1 == usize::from(how >> 1 & 1) {
                // SAFETY: it came from the library.
                unsafe { spanwire_event_free(event) };
                assert_eq!(event.r#type, SPANWIRE_EVENT_NONE);
            }
        }
        for _ in 0..1 + (how >> 2 & 1) {
            // SAFETY: they came from the library.
            unsafe { spanwire_events_free(pointer, count) };
        }
    }
}

/// What is done with events. It takes as much of a script whatever comes, so that the rest means the same each time.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner {
    policy: u8,
    free: u8,
}

impl Manner {
    fn new(input: &mut Input<'_>) -> Self {
        Manner { policy: input.byte(), free: input.byte() }
    }
}

impl World {
    /// Empties a queue once, and does something with what was there.
    pub(super) fn next(&self, input: &mut Input<'_>) {
        let queue = self.choose(input, &self.queues);
        let capacity = input.pick(&[8, 1, 2, 3, 64, 200, 0, 8]);
        let timeout = self.patience(input.pick(&[0, 0, 1, 5]));
        self.take(&queue, capacity, Some(timeout), Manner::new(input));
    }

    /// Empties the queues for requests that nobody answers yet.
    pub(super) fn look_for_requests(&self) {
        for queue in self.queues.all() {
            if !queue.more.push && !queue.ending() {
                let waits = !lock(&self.books).missing().is_empty();
                let timeout = if waits { self.patience(5) } else { 0 };
                self.take(&Chosen::of(&queue), 4, Some(timeout), Manner { policy: 0x22, free: 0 });
            }
        }
    }

    /// Empties the queues for a while, and answers. Waits only for what has to come.
    pub(super) fn pump(&self, input: &mut Input<'_>) {
        let queue = self.choose(input, &self.queues);
        let how = input.byte();
        let manner = Manner::new(input);
        for _ in 0..1 + how % 8 {
            let waits = how & 0x80 != 0 && !lock(&self.books).missing().is_empty();
            let timeout = if waits { self.patience(5) } else { 0 };
            self.take(&queue, 1 + usize::from(how >> 3 & 15), Some(timeout), manner);
            for other in self.queues.all() {
                if !other.more.push && !other.ending() {
                    self.take(&Chosen::of(&other), 8, Some(0), manner);
                }
            }
        }
    }

    /// Waits without a limit, but not for ever: the queue is woken before.
    pub(super) fn wake_and_wait(&self, input: &mut Input<'_>) {
        let queue = self.choose(input, &self.queues);
        let manner = Manner::new(input);
        if queue.item.as_ref().is_some_and(|item| item.more.ordered && !item.more.push) {
            self.take(&queue, 4, None, manner);
        }
    }

    /// Takes events out; how many, or a negative result. Without a timeout the queue is woken before.
    pub(super) fn take(
        &self,
        queue: &Chosen<Queue>,
        capacity: usize,
        timeout: Option<i64>,
        manner: Manner,
    ) -> i32 {
        let ordered = queue.item.as_ref().filter(|item| item.more.ordered && !item.more.push);
        let emptying = match ordered.map(|item| item.more.emptying.try_lock()) {
            None => None,
            Some(Ok(alone)) => Some(alone),
            // Another thread does it, or a hook of this one.
            Some(Err(_)) => return 0,
        };
        let mut array = Array::new(capacity);
        let place = if capacity == 0 && manner.free & 1 != 0 { ptr::null_mut() } else { array.pointer() };
        let timeout = timeout.unwrap_or_else(|| {
            self.ask("queue_wake", &[queue], &[], || spanwire_queue_wake(queue.pointer()));
            -1
        });
        let asked_at = self.now();
        let more: Vec<i32> =
            (0..=capacity.min(1000) as i32).chain([SPANWIRE_INVALID_ARGUMENT, SPANWIRE_SHUT_DOWN]).collect();
        // SAFETY: there is room for as many events.
        let result = self.ask("queue_next", &[queue], &more, || unsafe {
            spanwire_queue_next(queue.pointer(), place, capacity, timeout)
        });
        array.count = usize::try_from(result).unwrap_or(0);
        for event in array.written() {
            self.enter(event, queue.item.as_ref(), emptying.is_some(), asked_at);
        }
        drop(emptying);
        self.work(array.written(), manner.policy);
        if manner.free < 0xf0 {
            array.free(manner.free);
        } else {
            lock(&self.arrays).push(array);
        }
        result
    }

    /// Enters an event into the books.
    pub(super) fn enter(
        &self,
        event: &spanwire_event,
        queue: Option<&Arc<Item<Queue>>>,
        ordered: bool,
        asked_at: u64,
    ) {
        super::world::trace("event", event.r#type);
        let call = event.server_call;
        if event.r#type == SPANWIRE_EVENT_REQUEST && ordered && self.server_calls.find(call.addr()).is_none()
        {
            self.read_request(call);
        }
        self.meet(event);
        lock(&self.books).see(event, books::Seen { queue, ordered, hidden: false, asked_at });
    }

    /// Knows the call of a server's event from here on.
    pub(super) fn meet(&self, event: &spanwire_event) -> Option<Arc<Item<ServerCall>>> {
        let (number, tag) = (event.server_call.addr(), event.tag.addr());
        if number == 0 {
            return None;
        }
        let item = self.server_calls.find_or_put(number, || ServerCall { tag });
        lock(&self.books).server_call(number, tag).item = Some(item.clone());
        Some(item)
    }

    /// Reads events and does what the policy says with each of them; 0 is what a program would do.
    pub(super) fn work(&self, events: &mut [spanwire_event], policy: u8) {
        for (event, index) in events.iter_mut().zip(0..) {
            self.read(event);
            let policy = policy.rotate_left(index);
            match event.r#type {
                SPANWIRE_EVENT_REQUEST | SPANWIRE_EVENT_MESSAGES if !event.server_call.is_null() => {
                    self.serve(event, policy);
                }
                SPANWIRE_EVENT_MESSAGES if policy & 1 == 0 && !event.call.is_null() => {
                    self.grant_to(&self.call_of(event), event.message_count as u32);
                }
                SPANWIRE_EVENT_DONE if policy & 3 == 0 && !event.call.is_null() => {
                    self.end_call(&self.call_of(event));
                }
                _ => {}
            }
            if policy & 0x10 != 0 {
                self.keep(&mut event.message);
                for message in messages(event) {
                    self.keep(message);
                }
            }
        }
    }

    /// The call of a client's event. Its events may come before the function that began it has come back.
    fn call_of(&self, event: &spanwire_event) -> Chosen<Call> {
        let tag = event.tag.addr();
        let item = self.calls.find_or_put(event.call.addr(), || Call { tag });
        assert_eq!(item.more.tag, tag, "an event with the handle of another call");
        Chosen::of(&item)
    }

    fn keep(&self, bytes: &mut spanwire_bytes) {
        // SAFETY: they came from the library.
        let taken = unsafe { spanwire_bytes_take(bytes) };
        assert!(bytes.data.is_null(), "bytes that were taken are still there");
        if !taken.data.is_null() {
            lock(&self.bytes).push(Bytes(taken));
        }
    }

    /// Answers what a server is asked, or does something else with it.
    fn serve(&self, event: &mut spanwire_event, policy: u8) {
        let tag = event.tag.addr();
        let Some((kind, _)) = lock(&self.books).method(tag) else { return };
        let number = event.server_call.addr();
        let call = Chosen { number, item: self.server_calls.find(number) };
        let plain = options::Held::exact(spanwire_answer::default(), options::Keep::default());
        if event.r#type == SPANWIRE_EVENT_MESSAGES {
            for message in messages(event) {
                if kind == SPANWIRE_KIND_BIDI {
                    self.send_answer(&call, &passed_on(message, 0));
                }
            }
            self.grant_to_server(&call, event.message_count as u32);
            match (event.end && policy & 2 == 0, kind) {
                (true, SPANWIRE_KIND_BIDI) => self.finish(&call, SPANWIRE_CODE_OK),
                (true, _) => drop(self.respond(&call, &passed_on(&mut event.message, 0), &plain)),
                _ => {}
            }
            return;
        }
        match policy & 7 {
            2 => return,
            3 => return self.finish(&call, SPANWIRE_CODE_NOT_FOUND),
            4 => return self.end_server_call(&call),
            5 => self.send_headers(&call, &plain),
            6 => return self.reset(&call),
            _ => {}
        }
        match kind {
            SPANWIRE_KIND_UNARY => {
                let first = self.respond(&call, &passed_on(&mut event.message, 0), &plain);
                if policy & 7 == 7 {
                    let second = self.respond(&call, &passed_on(&mut event.message, 0), &plain);
                    assert!(first < 0 || second < 0, "a call is answered twice");
                }
            }
            SPANWIRE_KIND_SERVER_STREAMING => {
                self.send_answer(&call, &passed_on(&mut event.message, 0));
                self.send_answer(&call, &passed_on(&mut event.message, 0));
                self.finish(&call, SPANWIRE_CODE_OK);
            }
            _ => self.grant_to_server(&call, 4),
        }
    }

    /// Reads all that an event points to.
    pub(super) fn read(&self, event: &mut spanwire_event) {
        read_bytes(&event.message);
        for message in messages(event) {
            read_bytes(message);
        }
        read_metadata(event.metadata);
        if event.r#type == SPANWIRE_EVENT_DONE {
            check_status(event);
            let status = &event.status;
            // SAFETY: it ends in NUL.
            let text = unsafe { CStr::from_ptr(status.message) };
            assert_eq!(text.count_bytes(), status.message_len);
            assert!(text.to_str().is_ok(), "a message that is not UTF-8");
            if status.details_len > 0 {
                // SAFETY: so many bytes are there.
                sum(unsafe { slice::from_raw_parts(status.details, status.details_len) });
            }
            read_metadata(status.trailers);
        }
        let mut text = [1u8; 16];
        // SAFETY: there is room for as many bytes.
        let len = unsafe { spanwire_event_peer(event, text.as_mut_ptr().cast(), text.len()) };
        assert_eq!(text[len.min(15)], 0, "a text without an end");
    }

    /// Does something to bytes that are the script's own.
    pub(super) fn handle_bytes(&self, input: &mut Input<'_>) {
        let Some(Bytes(mut bytes)) = lock(&self.bytes).pop() else { return };
        let how = input.byte();
        read_bytes(&bytes);
        if how & 1 != 0 {
            // SAFETY: they came from the library.
            let clone = unsafe { spanwire_bytes_clone(&raw const bytes) };
            assert_eq!((clone.len, clone.flags), (bytes.len, bytes.flags));
            lock(&self.bytes).push(Bytes(clone));
        }
        if how & 2 != 0 {
            // SAFETY: as above.
            let moved = unsafe { spanwire_bytes_take(&raw mut bytes) };
            lock(&self.bytes).push(Bytes(moved));
        }
        for _ in 0..how >> 2 & 3 {
            // SAFETY: as above; the struct is empty after the first time.
            unsafe { spanwire_bytes_free(&raw mut bytes) };
            assert!(bytes.data.is_null());
        }
        if !bytes.data.is_null() {
            lock(&self.bytes).push(Bytes(bytes));
        }
    }

    /// Does something to events that were kept, maybe by another thread.
    pub(super) fn handle_events(&self, input: &mut Input<'_>) {
        let how = input.byte();
        if how & 0x80 != 0 {
            // SAFETY: null is fine.
            unsafe {
                spanwire_event_free(ptr::null_mut());
                spanwire_events_free(ptr::null_mut(), 3);
                assert_eq!(spanwire_event_peer(ptr::null(), ptr::null_mut(), 0), 0);
                assert!(spanwire_bytes_take(ptr::null_mut()).data.is_null());
                assert!(spanwire_bytes_clone(ptr::null()).data.is_null());
                spanwire_bytes_free(ptr::null_mut());
            }
        }
        let Some(mut array) = lock(&self.arrays).pop() else { return };
        for event in array.written() {
            self.read(event);
        }
        array.free(how);
    }

    /// Makes one more wake-up, or reads what a queue knows of itself.
    pub(super) fn look_at_queue(&self, input: &mut Input<'_>) {
        let queue = self.choose(input, &self.queues);
        match input.below(3) {
            0 => drop(self.ask("queue_wake", &[&queue], &[], || spanwire_queue_wake(queue.pointer()))),
            1 => {
                let descriptor =
                    self.look("queue_descriptor", &queue, || spanwire_queue_descriptor(queue.pointer()));
                assert!(descriptor > 2 || (descriptor < 0 && queue.doubtful()), "descriptor {descriptor}");
            }
            _ => {
                let (mut events, mut wakes) = (0, 0);
                // SAFETY: both can be written.
                let result = self.ask("queue_stats", &[&queue], &[], || unsafe {
                    spanwire_queue_stats(queue.pointer(), &raw mut events, &raw mut wakes)
                });
                assert!(result < 0 || wakes <= events, "{wakes} wakes for {events} events");
            }
        }
    }
}

/// The messages of an event.
fn messages(event: &mut spanwire_event) -> &mut [spanwire_bytes] {
    if event.message_count == 0 {
        return &mut [];
    }
    // SAFETY: so many are there, and they belong to the event.
    unsafe { slice::from_raw_parts_mut(event.messages, event.message_count) }
}

fn sum(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
}

fn read_bytes(bytes: &spanwire_bytes) {
    assert_eq!(bytes.flags & !SPANWIRE_BYTES_COMPRESSED, 0);
    assert!(!bytes.data.is_null() || bytes.len == 0);
    if bytes.len > 0 {
        // SAFETY: so many bytes are there.
        sum(unsafe { slice::from_raw_parts(bytes.data, bytes.len) });
    }
}

/// Reads all entries, in both ways.
pub(super) fn read_metadata(metadata: *const spanwire_metadata) {
    // SAFETY: they came from the library and are valid, and so are the entries while they are read.
    unsafe {
        let count = spanwire_metadata_count(metadata);
        assert!(!spanwire_metadata_at(metadata, count, ptr::null_mut()));
        for index in 0..count {
            let mut entry = MaybeUninit::uninit();
            assert!(spanwire_metadata_at(metadata, index, entry.as_mut_ptr()));
            let entry: spanwire_metadata_entry = entry.assume_init();
            let value = slice::from_raw_parts(entry.value.cast::<u8>(), entry.value_len + 1);
            assert_eq!(value[entry.value_len], 0, "a value without an end");
            sum(value);
            assert!(spanwire_metadata_find(metadata, entry.key, 0, ptr::null_mut()));
            assert!(!spanwire_metadata_find(metadata, entry.key, count, ptr::null_mut()));
        }
        assert!(!spanwire_metadata_find(metadata, c"nothing".as_ptr(), 0, ptr::null_mut()));
    }
}
