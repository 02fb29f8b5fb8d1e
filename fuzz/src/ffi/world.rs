//! What a script has made so far, and how its calls into the library are judged.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use spanwire_c::*;

use super::books::Books;
use super::events::Array;
use super::hooks::{Hook, Pusher};
use super::lent::Lent;
use super::shelf::{Known, Shelf};
use crate::Input;

/// What is known of a queue.
pub(super) struct Queue {
    /// Its own thread empties it, or there is nothing to empty.
    pub(super) push: bool,
    /// Its events come on the threads of the engine.
    pub(super) inline: bool,
    /// Only one thread at a time empties it, so that the order of events can be judged.
    pub(super) ordered: bool,
    pub(super) emptying: Mutex<()>,
}

/// What is known of a channel or a server.
pub(super) struct Peer {
    /// It is on the engine of the process, which nobody frees.
    pub(super) default_engine: bool,
}

/// What is known of a client's call.
pub(super) struct Call {
    pub(super) tag: usize,
}

/// What is known of a server's call.
pub(super) struct ServerCall {
    pub(super) tag: usize,
}

/// See the [module](self).
pub(super) struct World {
    me: Weak<World>,
    pub(super) engines: Shelf<()>,
    pub(super) queues: Shelf<Queue>,
    pub(super) channels: Shelf<Peer>,
    pub(super) calls: Shelf<Call>,
    pub(super) servers: Shelf<Peer>,
    pub(super) server_calls: Shelf<ServerCall>,
    pub(super) books: Mutex<Books>,
    pub(super) lent: Mutex<Vec<Arc<Lent>>>,
    pub(super) bytes: Mutex<Vec<Bytes>>,
    pub(super) arrays: Mutex<Vec<Array>>,
    pub(super) hooks: Mutex<Vec<Arc<Hook>>>,
    pub(super) pushers: Mutex<Vec<Arc<Pusher>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Callbacks that run now.
    pub(super) running: AtomicUsize,
    clock: AtomicU64,
    strength: AtomicI64,
    patience_ms: AtomicI64,
    /// Engines and queues that were freed, or are about to be.
    pub(super) ends: AtomicUsize,
}

/// Received bytes that belong to the script.
pub(super) struct Bytes(pub(super) spanwire_bytes);

// SAFETY: the library says that received bytes may be used on any thread, by one at a time.
unsafe impl Send for Bytes {}

thread_local! {
    /// How many callbacks of the library this thread is in.
    pub(super) static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The call that is being made has to end by itself.
    pub(super) static MUST_END: Cell<bool> = const { Cell::new(false) };
    /// The queue whose callback this thread has run.
    pub(super) static PUSHES_FOR: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results that any function may give: the rest is named where it is called.
const ALWAYS: [i32; 2] = [SPANWIRE_DONE, SPANWIRE_INVALID_HANDLE];

impl World {
    pub(super) fn new() -> Arc<World> {
        Arc::new_cyclic(|me| World {
            me: me.clone(),
            engines: Shelf::default(),
            queues: Shelf::default(),
            channels: Shelf::default(),
            calls: Shelf::default(),
            servers: Shelf::default(),
            server_calls: Shelf::default(),
            books: Mutex::default(),
            lent: Mutex::default(),
            bytes: Mutex::default(),
            arrays: Mutex::default(),
            hooks: Mutex::default(),
            pushers: Mutex::default(),
            threads: Mutex::default(),
            running: AtomicUsize::new(0),
            clock: AtomicU64::new(1),
            strength: AtomicI64::new(600),
            patience_ms: AtomicI64::new(300),
            ends: AtomicUsize::new(0),
        })
    }

    pub(super) fn weak(&self) -> Weak<World> {
        self.me.clone()
    }

    /// A moment that is later than all before.
    pub(super) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether the script may go on: scripts are as long as they like, but not their work.
    pub(super) fn has_strength(&self) -> bool {
        self.strength.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Leaves no more strength than this.
    pub(super) fn tire(&self, strength: i64) {
        self.strength.fetch_min(strength, Ordering::Relaxed);
    }

    /// So much of a wait as is left to this script.
    pub(super) fn patience(&self, ms: i64) -> i64 {
        if self.patience_ms.fetch_sub(ms, Ordering::Relaxed) >= ms { ms } else { 0 }
    }

    /// Calls the library, and judges what it answers. `more` are results beside those that every function may give.
    pub(super) fn ask(
        &self,
        what: &str,
        handles: &[&dyn Known],
        more: &[i32],
        operation: impl FnOnce() -> i32,
    ) -> i32 {
        let dead = handles.iter().any(|handle| handle.dead());
        forget_last_error();
        let result = operation();
        trace(what, result);
        assert!(ALWAYS.contains(&result) || more.contains(&result), "{what} answers {result}");
        judge(what, result.into());
        assert!(!dead || result < 0, "{what} takes a handle with nothing behind it");
        if result == SPANWIRE_INVALID_HANDLE {
            assert!(
                handles.iter().any(|handle| handle.doubtful()),
                "{what} does not know a handle that is live"
            );
        }
        if result == SPANWIRE_SHUT_DOWN {
            assert!(
                self.ends.load(Ordering::SeqCst) > 0,
                "{what} says that something was freed, which is live"
            );
        }
        result
    }

    /// Calls a function that answers a count, or a pointer, whose 0 is a failure or nothing.
    pub(super) fn look<T: Copy + Into<Seen>>(
        &self,
        what: &str,
        handle: &dyn Known,
        operation: impl FnOnce() -> T,
    ) -> T {
        let dead = handle.dead();
        forget_last_error();
        let result = operation();
        let seen: Seen = result.into();
        trace(what, seen.0 as i32);
        judge(what, seen.0);
        assert!(!dead || seen.0 <= 0, "{what} takes a handle with nothing behind it");
        result
    }

    /// Calls a function that makes something: null is a failure, which has a reason.
    pub(super) fn make<H>(&self, what: &str, operation: impl FnOnce() -> *mut H) -> Option<usize> {
        forget_last_error();
        let made = operation().addr();
        trace(what, i32::from(made == 0));
        assert!(made != 0 || !last_error().is_empty(), "{what} fails without a reason");
        (made != 0).then_some(made)
    }

    /// Runs a script on a thread of its own, beside this one.
    pub(super) fn spawn(&self, input: &mut Input<'_>) {
        let script = input.bytes().to_vec();
        let mut threads = lock(&self.threads);
        let Some(me) = self.me.upgrade().filter(|_| threads.len() < 3) else { return };
        threads.push(thread::spawn(move || me.play(&mut Input::new(&script))));
    }

    /// Waits for the other threads. A thread may have started one more before it ended.
    pub(super) fn join(&self) {
        loop {
            let Some(thread) = lock(&self.threads).pop() else { return };
            thread.join().expect("a thread of the script panicked");
        }
    }

    /// Has `operation` done with a call that has to end by itself.
    pub(super) fn that_ends<T>(&self, must_end: bool, operation: impl FnOnce() -> T) -> T {
        let before = MUST_END.replace(must_end);
        let result = operation();
        MUST_END.set(before);
        result
    }
}

/// What a function that gives no result gives, as a number.
#[derive(Clone, Copy)]
pub(super) struct Seen(i64);

impl From<usize> for Seen {
    fn from(count: usize) -> Self {
        Seen(count as i64)
    }
}

impl From<i32> for Seen {
    fn from(number: i32) -> Self {
        Seen(number.into())
    }
}

impl From<i64> for Seen {
    fn from(number: i64) -> Self {
        Seen(number)
    }
}

impl<T> From<*const T> for Seen {
    fn from(pointer: *const T) -> Self {
        Seen((pointer.addr() >> 1) as i64)
    }
}

impl<T> From<*mut T> for Seen {
    fn from(pointer: *mut T) -> Self {
        Seen((pointer.addr() >> 1) as i64)
    }
}

/// What holds for the result of every function.
fn judge(what: &str, result: i64) {
    assert_ne!(result, i64::from(SPANWIRE_PANIC), "{what}: a fault in the engine");
    assert_ne!(result, i64::from(SPANWIRE_FORKED), "{what}: nothing was forked");
    assert!(result >= 0 || !last_error().is_empty(), "{what} answers {result} without a reason");
}

pub(super) fn last_error() -> String {
    // SAFETY: the text ends in NUL and is valid until the next failure on this thread.
    let text = unsafe { CStr::from_ptr(spanwire_last_error()) };
    text.to_str().expect("an error is UTF-8").to_owned()
}

/// So that an error that is there afterwards is a new one.
fn forget_last_error() {
    // SAFETY: the text ends in NUL.
    assert_eq!(unsafe { spanwire_fail(0, c"".as_ptr()) }, 0);
}

/// Shows what happens, to those who look for the cause of something.
pub(super) fn trace(what: &str, result: i32) {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("FUZZ_TRACE").is_some()) {
        eprintln!("{:?} {}{what}: {result}", thread::current().id(), "  ".repeat(DEPTH.get()));
    }
}
