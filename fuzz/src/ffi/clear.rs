//! The end of a script: everything is freed, in one of several orders, and nothing may be left.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use spanwire_c::*;

use super::events::Manner;
use super::shelf::{Chosen, Shelf};
use super::things::end_batches;
use super::world::{World, lock};

/// How long something may still take that is on its way.
const SOON: Duration = Duration::from_secs(5);

/// Frees everything of a shelf that was not freed yet, and some of it once more.
fn each<T>(shelf: &Shelf<T>, how: u8, free: impl Fn(&Chosen<T>)) {
    for item in shelf.all() {
        if !item.ended() || how & 0x80 != 0 {
            free(&Chosen::of(&item));
        }
    }
}

/// Waits until `done` has nothing to say against it any more.
fn soon(done: impl Fn() -> Vec<String>) {
    let until = Instant::now() + SOON;
    loop {
        let missing = done();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "missing: {missing:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

impl World {
    /// Ends and judges the whole.
    pub(super) fn clear(&self, how: u8) {
        self.join();
        end_batches(how & 7);
        // Callbacks go on with theirs, but not much longer.
        self.tire(40);
        match how >> 3 & 3 {
            0 => self.end_calls(how),
            1 => each(&self.engines, how, |engine| self.end_engine(engine)),
            2 => each(&self.queues, how, |queue| self.end_queue(queue)),
            _ => each(&self.servers, how, |server| self.end_server(server)),
        }
        soon(|| {
            self.join();
            self.end_peers(how & 0x7f);
            self.empty_queues();
            lock(&self.books).missing()
        });
        self.tire(0);
        soon(|| {
            each(&self.queues, 0, |queue| self.end_queue(queue));
            self.still_running()
        });
        self.join();
        // Once more, for what callbacks have made meanwhile.
        self.end_peers(how);
        each(&self.queues, how, |queue| self.end_queue(queue));
        each(&self.server_calls, how, |call| self.end_server_call(call));
        for array in lock(&self.arrays).drain(..) {
            array.free(how);
        }
        for mut bytes in lock(&self.bytes).drain(..) {
            // SAFETY: they came from the library.
            unsafe { spanwire_bytes_free(&raw mut bytes.0) };
        }
        soon(|| self.left());
    }

    fn end_peers(&self, how: u8) {
        self.end_calls(how);
        each(&self.servers, how, |server| self.end_server(server));
        each(&self.channels, how, |channel| self.end_channel(channel));
        each(&self.engines, how, |engine| self.end_engine(engine));
    }

    fn end_calls(&self, how: u8) {
        each(&self.calls, how, |call| self.end_call(call));
    }

    fn empty_queues(&self) {
        for queue in self.queues.all() {
            if !queue.more.push && !queue.ending() {
                while self.take(&Chosen::of(&queue), 16, Some(0), Manner::default()) > 0 {}
            }
        }
    }

    fn still_running(&self) -> Vec<String> {
        match self.running.load(Ordering::SeqCst) {
            0 => Vec::new(),
            count => vec![format!("the end of {count} callbacks")],
        }
    }

    /// What should have gone with the rest.
    fn left(&self) -> Vec<String> {
        let mut left = self.still_running();
        let handles = spanwire_handle_count();
        if handles > 0 {
            left.push(format!("{handles} handles to be freed"));
        }
        let lent = lock(&self.lent).iter().filter(|lent| lent.released() == 0).count();
        if lent > 0 {
            left.push(format!("{lent} buffers to be released"));
        }
        for hook in lock(&self.hooks).iter() {
            if hook.released.load(Ordering::SeqCst) != hook.to_release.load(Ordering::SeqCst) {
                left.push("a hook to be released".to_owned());
            }
        }
        left
    }
}
