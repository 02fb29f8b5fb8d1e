//! The event queue: where calls report to their host, and how a host learns that there is something.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::descriptor::Descriptor;
use super::event::Event;
use super::lane::{flush_batch, on_lane};
use super::mailbox::{Mailbox, Pushed};
use super::{OpError, fork};

/// Where the events of any number of calls and servers go, in the order in which they happened. Cheap to clone; clones are
/// the same queue.
///
/// A host takes them out by [`next`](Queue::next), which waits, or by [`drain`](Queue::drain), which does not, from as
/// many threads as it likes; each event is given once. It learns that there are some by waiting, by the
/// [`descriptor`](Queue::descriptor), or by the waker that the queue was made with. All three are told once when the queue
/// stops being empty, not once per event.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

type Waker = Box<dyn Fn(&Queue) + Send + Sync>;

/// Who takes events where they happen, and how many he was given and is done with.
struct Taker {
    take: Box<dyn Fn(Event) + Send + Sync>,
    given: AtomicU64,
    done: AtomicU64,
}

thread_local! {
    /// How many takers this thread is in.
    static TAKING: Cell<u32> = const { Cell::new(0) };
}

struct Shared {
    events: Mailbox<Event>,
    /// As the box is, to be read without its lock.
    closed: AtomicBool,
    generation: u32,
    waker: Option<Waker>,
    taker: Option<Taker>,
    descriptor: OnceLock<Descriptor>,
    /// Threads in `next`, and the lock and sign that they wait by.
    waiting: AtomicU32,
    door: Mutex<()>,
    bell: Condvar,
    /// A call of `next` is to come back with nothing.
    interrupted: AtomicBool,
}

impl Queue {
    /// A queue without a waker: for hosts that wait, or that watch the descriptor.
    #[must_use]
    pub fn new() -> Self {
        Queue::make(None, None)
    }

    /// A queue that calls `waker` when it stops being empty, on whatever thread the event came from: a lane as a rule.
    /// It must return soon and not wait for anything; to hand the news to an event loop is what it is for. No lock is
    /// held, and it may use every operation of the bridge.
    #[must_use]
    pub fn with_waker(waker: impl Fn() + Send + Sync + 'static) -> Self {
        Queue::make(Some(Box::new(move |_| waker())), None)
    }

    /// Like [`with_waker`](Queue::with_waker), for a host that takes its events where they come from, to hand each to the
    /// thread that waits for it: `route` gets the queue, and drains it. It may run on several lanes at once.
    #[must_use]
    pub fn with_router(route: impl Fn(&Queue) + Send + Sync + 'static) -> Self {
        Queue::make(Some(Box::new(route)), None)
    }

    /// A queue that keeps nothing: `take` gets each event where it happens, as a rule on the lane of its call, in the middle
    /// of the call's turn. What it asks for there is done in the same turn, without a wake-up or a step to another thread:
    /// the cheapest way for a host that answers at once. Meanwhile all other calls of the lane stand still, so it must not
    /// wait, and operations that wait are refused there. It may run on several lanes at once; events of one call come one
    /// after the other.
    #[must_use]
    pub fn with_taker(take: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Queue::make(
            None,
            Some(Taker { take: Box::new(take), given: AtomicU64::new(0), done: AtomicU64::new(0) }),
        )
    }

    fn make(waker: Option<Waker>, taker: Option<Taker>) -> Self {
        Queue(Arc::new(Shared {
            events: Mailbox::new(),
            closed: AtomicBool::new(false),
            generation: fork::generation(),
            waker,
            taker,
            descriptor: OnceLock::new(),
            waiting: AtomicU32::new(0),
            door: Mutex::new(()),
            bell: Condvar::new(),
            interrupted: AtomicBool::new(false),
        }))
    }

    /// Takes up to `max` events, the oldest first, and appends them to `events`. Does not wait.
    ///
    /// # Errors
    /// [`OpError::Forked`] in a child process, [`OpError::ShutDown`] when the queue was closed.
    pub fn drain(&self, max: usize, events: &mut Vec<Event>) -> Result<usize, OpError> {
        let taken = self.take(max, events)?;
        if taken == 0 {
            self.take_interrupt();
        }
        Ok(taken)
    }

    fn take(&self, max: usize, events: &mut Vec<Event>) -> Result<usize, OpError> {
        self.check()?;
        let before = events.len();
        self.0.events.drain(max, events, || {
            if let Some(descriptor) = self.0.descriptor.get() {
                descriptor.clear();
                // It is still to be seen.
                if self.0.interrupted.load(Ordering::SeqCst) {
                    descriptor.set();
                }
            }
        });
        let taken = events.len() - before;
        if taken == 0 && self.0.events.is_closed() { Err(OpError::QUEUE_CLOSED) } else { Ok(taken) }
    }

    /// Like [`drain`](Queue::drain), but waits for the first event: until `timeout` is over, or for ever. 0: the time is
    /// up, or [`interrupt`](Queue::interrupt) was called.
    ///
    /// # Errors
    /// As [`drain`](Queue::drain); a queue that is closed meanwhile ends the wait. [`OpError::Argument`] instead of a wait
    /// on a thread of an engine.
    pub fn next(
        &self,
        max: usize,
        events: &mut Vec<Event>,
        timeout: Option<Duration>,
    ) -> Result<usize, OpError> {
        let taken = self.take(max, events)?;
        if taken > 0 || max == 0 || self.take_interrupt() || timeout == Some(Duration::ZERO) {
            self.pass_on(taken == max);
            return Ok(taken);
        }
        if on_lane() {
            return Err(OpError::Argument(
                "a thread of the engine must not wait: wait on another thread, or let the events come"
                    .to_owned(),
            ));
        }
        flush_batch();
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // Announced before looking again: a push either sees it or is seen.
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let result = self.wait(max, events, until);
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.pass_on(result == Ok(max));
        result
    }

    /// A push wakes one thread. If that leaves some for others, and others wait, it wakes the next one.
    fn pass_on(&self, took_all_it_could: bool) {
        if took_all_it_could && self.0.waiting.load(Ordering::SeqCst) > 0 && !self.0.events.is_empty() {
            let _door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.bell.notify_one();
        }
    }

    fn wait(&self, max: usize, events: &mut Vec<Event>, until: Option<Instant>) -> Result<usize, OpError> {
        let mut door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let taken = self.take(max, events)?;
            if taken > 0 || self.take_interrupt() {
                return Ok(taken);
            }
            door = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.bell.wait(door).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Ok(0),
                Some(left) => self.0.bell.wait_timeout(door, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn take_interrupt(&self) -> bool {
        let interrupted = self.0.interrupted.swap(false, Ordering::SeqCst);
        if interrupted && let Some(descriptor) = self.0.descriptor.get() {
            descriptor.clear();
            // A push or another interrupt may have raised it in between.
            if !self.0.events.is_empty() || self.0.interrupted.load(Ordering::SeqCst) {
                descriptor.set();
            }
        }
        interrupted
    }

    /// Makes one waiting [`next`](Queue::next), or the one after this, come back with 0 events; the descriptor becomes
    /// readable until the next drain.
    pub fn interrupt(&self) {
        if self.check().is_err() {
            return;
        }
        self.0.interrupted.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// A descriptor that is readable while there are events: for `poll`, `epoll`, `kqueue` and the event loops built on
    /// them. It belongs to the queue: wait for it, but neither read, write nor close it. Made with the first call.
    ///
    /// # Errors
    /// The system has no descriptor left, or (Windows) none of this kind.
    pub fn descriptor(&self) -> Result<i32, OpError> {
        self.check()?;
        if let Some(descriptor) = self.0.descriptor.get() {
            return Ok(descriptor.number());
        }
        let made = Descriptor::new().map_err(|error| OpError::System(error.to_string()))?;
        let descriptor = self.0.descriptor.get_or_init(|| made);
        // What came before there was one rang something else.
        if !self.0.events.is_empty() || self.0.interrupted.load(Ordering::SeqCst) {
            descriptor.set();
        }
        Ok(descriptor.number())
    }

    /// Takes no more events and drops those that are left, which ends the calls that they begin or belong to. Waiting
    /// threads come back with an error. Calls that run on are cancelled when they next have something to say.
    ///
    /// If events are [taken where they happen](Queue::with_taker) it waits until nobody does so any more; but not on
    /// a lane, nor in a taker.
    pub fn close(&self) {
        if self.check().is_err() {
            return;
        }
        self.0.closed.store(true, Ordering::SeqCst);
        drop(self.0.events.close());
        let mut door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.bell.notify_all();
        let Some(taker) = &self.0.taker else { return };
        if on_lane() || TAKING.get() > 0 {
            return;
        }
        // Who begins from here on sees that it is closed, and does nothing.
        while taker.done.load(Ordering::SeqCst) < taker.given.load(Ordering::SeqCst) {
            door = self.0.bell.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many events came so far, and how often the host had to be woken for them.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        if self.check().is_err() {
            return (0, 0);
        }
        match &self.0.taker {
            Some(taker) => (taker.given.load(Ordering::Relaxed), 0),
            None => self.0.events.counts(),
        }
    }

    /// Whether it was made in this process, and not before a fork.
    #[must_use]
    pub fn descends_here(&self) -> bool {
        self.check().is_ok()
    }

    pub(crate) fn check(&self) -> Result<(), OpError> {
        if self.0.generation == fork::generation() { Ok(()) } else { Err(OpError::Forked) }
    }

    /// Whether a new call may report here.
    pub(crate) fn check_open(&self) -> Result<(), OpError> {
        self.check()?;
        if self.is_closed() { Err(OpError::QUEUE_CLOSED) } else { Ok(()) }
    }

    /// Whether [`close`](Queue::close) was called: nobody hears what is said any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is(&self, other: &Queue) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether events go to a [taker](Queue::with_taker).
    pub(crate) fn takes(&self) -> bool {
        self.0.taker.is_some()
    }

    fn give(&self, taker: &Taker, event: Event) {
        taker.given.fetch_add(1, Ordering::SeqCst);
        if !self.is_closed() {
            TAKING.set(TAKING.get() + 1);
            // A host's fault must not end the lane that it is told on.
            if catch_unwind(AssertUnwindSafe(|| (taker.take)(event))).is_err() {
                tracing::error!("the taker of an event queue panicked");
            }
            TAKING.set(TAKING.get() - 1);
        }
        taker.done.fetch_add(1, Ordering::SeqCst);
        if self.is_closed() {
            let _door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.bell.notify_all();
        }
    }

    pub(crate) fn push(&self, event: Event) {
        if let Some(taker) = &self.0.taker {
            return self.give(taker, event);
        }
        // The rest is dropped here, outside the lock: dropping it may end a call.
        if let Ok(Pushed::Ring) = self.0.events.push(event) {
            self.ring();
        }
    }

    pub(crate) fn push_all(&self, events: &mut Vec<Event>) {
        if let Some(taker) = &self.0.taker {
            return events.drain(..).for_each(|event| self.give(taker, event));
        }
        if self.0.events.push_all(events) == Pushed::Ring {
            self.ring();
        }
    }

    /// Never under a lock of the queue's, but that of the door, which nobody holds while doing anything else.
    fn ring(&self) {
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            let _door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.bell.notify_one();
        }
        if let Some(descriptor) = self.0.descriptor.get() {
            descriptor.set();
        }
        // A host's fault must not end the lane that it is told on.
        if let Some(waker) = &self.0.waker
            && catch_unwind(AssertUnwindSafe(|| waker(self))).is_err()
        {
            tracing::error!("the waker of an event queue panicked");
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue::new()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pushed, rings) = self.counts();
        f.debug_struct("Queue").field("pushed", &pushed).field("rings", &rings).finish_non_exhaustive()
    }
}
