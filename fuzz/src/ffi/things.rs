//! Engines and queues, and a world that has one of each from the beginning.

use std::cell::Cell;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use spanwire_c::*;

use super::books::Asked;
use super::options::{self, Keep};
use super::shelf::Chosen;
use super::world::{Peer, Queue, World, lock};
use crate::Input;

impl World {
    /// What most scripts would begin with: an engine, a queue, a server that listens, a channel to it.
    pub(super) fn furnish(&self, how: u8) {
        if how & 0xf == 0xf {
            return;
        }
        if how & 1 == 0 {
            let engine = self.make("engine_new", || {
                let options =
                    options::Held::exact(spanwire_engine_options { size: 0, lanes: 0 }, Keep::default());
                // SAFETY: the options are whole.
                unsafe { spanwire_engine_new(options.pointer()) }
            });
            self.engines.put(engine.expect("an engine"), ());
        }
        let default_engine = how & 1 != 0;
        let engine = ptr::without_provenance_mut(self.engines.recent(0).map_or(0, |engine| engine.number));
        let queue = self.put_queue(how & 2 == 0);
        // SAFETY: the texts end in NUL, and there are no options.
        unsafe {
            let server = spanwire_server_new(engine, ptr::null());
            self.servers.put(server.addr(), Peer { default_engine });
            for (kind, name) in
                [c"/fuzz.Fuzz/Unary", c"/fuzz.Fuzz/Down", c"/fuzz.Fuzz/Up", c"/fuzz.Fuzz/Bidi"]
                    .into_iter()
                    .enumerate()
            {
                let (kind, credit) = (kind as i32, u32::from(how >> 4));
                let tag = lock(&self.books).begin(Asked::Method { kind, credit });
                let tag = ptr::without_provenance_mut(tag);
                let queue = ptr::without_provenance_mut(queue);
                assert_eq!(
                    spanwire_server_method(server, name.as_ptr(), kind, queue, tag, credit),
                    SPANWIRE_DONE
                );
            }
            let place = if how & 0xc == 4 { c"127.0.0.1:0" } else { c"inprocess:fuzz" };
            // The server of the script before may not be gone yet.
            let listens = spanwire_server_listen(server, place.as_ptr());
            assert!(listens == SPANWIRE_DONE || listens == SPANWIRE_SYSTEM, "{listens}");
            let target = self.target_of(&Chosen::of(&self.servers.recent(0).expect("a server")));
            let target = std::ffi::CString::new(target).expect("there is no NUL in it");
            if !target.is_empty() {
                let channel = spanwire_channel_new(engine, target.as_ptr(), ptr::null());
                self.channels.put(channel.addr(), Peer { default_engine });
            }
        }
    }

    fn put_queue(&self, ordered: bool) -> usize {
        let queue = self.make("queue_new", || spanwire_queue_new()).expect("a queue");
        self.queues.put(queue, Queue { push: false, inline: false, ordered, emptying: Mutex::default() });
        queue
    }

    pub(super) fn new_engine(&self, input: &mut Input<'_>) {
        if self.engines.len() >= 5 {
            return;
        }
        let options = options::engine(input);
        // SAFETY: the options are as large as they say or as the library knows them.
        if let Some(number) = self.make("engine_new", || unsafe { spanwire_engine_new(options.pointer()) }) {
            self.engines.put(number, ());
        }
    }

    pub(super) fn free_engine(&self, input: &mut Input<'_>) {
        let engine = self.choose(input, &self.engines);
        self.end_engine(&engine);
    }

    pub(super) fn end_engine(&self, engine: &Chosen<()>) {
        if let Some(item) = &engine.item {
            item.ends();
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
        spanwire_engine_free(engine.pointer());
        if let Some(item) = &engine.item {
            item.is_gone(self.now());
        }
    }

    pub(super) fn new_queue(&self, input: &mut Input<'_>) {
        if self.queues.len() < 12 {
            self.put_queue(input.byte() & 1 == 0);
        }
    }

    /// Collects what this thread asks for, or hands it over. What is begun need not be ended.
    pub(super) fn batch(&self, input: &mut Input<'_>) {
        if input.byte() & 1 == 0 {
            BATCHES.set(BATCHES.get() + 1);
            spanwire_batch_begin();
        } else {
            end_batch();
        }
    }
}

thread_local! {
    /// How many batches this thread has begun.
    static BATCHES: Cell<usize> = const { Cell::new(0) };
}

fn end_batch() {
    BATCHES.set(BATCHES.get().saturating_sub(1));
    spanwire_batch_end();
}

/// Ends all batches of this thread, and some that never were.
pub(super) fn end_batches(more: u8) {
    while BATCHES.get() > 0 {
        end_batch();
    }
    for _ in 0..more {
        spanwire_batch_end();
    }
}
