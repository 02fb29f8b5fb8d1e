//! The way between hosts and lanes, in both directions in batches.
//!
//! ```text
//! host threads ─ post(job) ─► mailbox ─ the first wakes the porter ─► porter (a task on the lane) runs every job
//! calls on the lane ─ tell(event) ─► outbox of the thread ─ the first wakes the porter ─► porter hands all over at once
//! ```
//!
//! The porter stands in the lane's run queue like any task. Whatever is ready before its turn adds its events to the same
//! batch: a hundred answers that came in one read are one push and one ring.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use super::event::Event;
use super::mailbox::{Mailbox, Pushed};
use super::queue::Queue;
use super::sync::Mutex;
use super::{OpError, fork};
use crate::middleware::BoxFuture;

/// What a host asks of a lane.
pub(crate) enum Job {
    /// Wakes a task of the lane: from here that costs no system call.
    Wake(Waker),
    /// Starts a task.
    Run(BoxFuture<'static, ()>),
}

/// One lane, as seen by the threads of a host.
#[derive(Debug)]
pub(crate) struct Lane {
    jobs: Mailbox<Job>,
    /// As the box is, to be read without its lock.
    closed: AtomicBool,
    porter: Mutex<Option<Waker>>,
    handle: Handle,
    index: usize,
    generation: u32,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Job::Wake(_) => "Wake",
            Job::Run(_) => "Run",
        })
    }
}

thread_local! {
    /// The lane that this thread is.
    static CURRENT: RefCell<Option<Arc<Lane>>> = const { RefCell::new(None) };
    /// Events of this lane's calls that were not handed over yet.
    static OUTBOX: RefCell<Outbox> = const { RefCell::new(Outbox { events: Vec::new(), porter: None }) };
    /// Jobs of a host thread between `begin` and `end` of a batch.
    static BATCH: RefCell<Batch> = const { RefCell::new(Batch(Vec::new())) };
    static BATCH_DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Outbox {
    events: Vec<(Queue, Event)>,
    /// There while the porter of this thread lives.
    porter: Option<Waker>,
}

struct Batch(Vec<(Arc<Lane>, Vec<Job>)>);

/// A thread that ends within a batch hands over what it has.
impl Drop for Batch {
    fn drop(&mut self) {
        hand_over(std::mem::take(&mut self.0));
    }
}

impl Lane {
    /// Makes the lane of a runtime, and starts its porter there.
    pub(crate) fn start(handle: &Handle, index: usize) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            jobs: Mailbox::new(),
            closed: AtomicBool::new(false),
            porter: Mutex::new(None),
            handle: handle.clone(),
            index,
            generation: fork::generation(),
        });
        handle.spawn(porter(lane.clone()));
        lane
    }

    /// The lane that this thread is, if it is one.
    pub(crate) fn current() -> Option<Arc<Lane>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Which of its engine's lanes it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether it still takes jobs.
    pub(crate) fn check(&self) -> Result<(), OpError> {
        if self.generation != fork::generation() {
            return Err(OpError::Forked);
        }
        if self.closed.load(Ordering::Acquire) { Err(OpError::ENGINE_DOWN) } else { Ok(()) }
    }

    /// Whether it was made on the other side of a fork.
    pub(crate) fn is_foreign(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Has a task run on the lane. If the lane is gone, it is dropped.
    pub(crate) fn run(self: &Arc<Self>, task: BoxFuture<'static, ()>) {
        if self.is_here() {
            drop(self.handle.spawn(task));
        } else {
            self.post(Job::Run(task));
        }
    }

    /// Wakes a task of the lane.
    pub(crate) fn wake(self: &Arc<Self>, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.is_here() => waker.wake(),
            Some(waker) => self.post(Job::Wake(waker)),
            None => {}
        }
    }

    /// Whether this thread is the lane, and it runs: then there is nothing to hand over.
    fn is_here(self: &Arc<Self>) -> bool {
        CURRENT.with_borrow(|current| current.as_ref().is_some_and(|lane| Arc::ptr_eq(lane, self)))
    }

    fn post(self: &Arc<Self>, job: Job) {
        if BATCH_DEPTH.get() == 0 {
            if let Ok(Pushed::Ring) = self.jobs.push(job) {
                self.ring();
            }
            return;
        }
        BATCH.with_borrow_mut(|batch| match batch.0.iter_mut().find(|(lane, _)| Arc::ptr_eq(lane, self)) {
            Some((_, jobs)) => jobs.push(job),
            None => batch.0.push((self.clone(), vec![job])),
        });
    }

    fn ring(&self) {
        // Taken out first: waking may run code of the runtime.
        let porter = self.porter.lock().clone();
        if let Some(porter) = porter {
            porter.wake();
        }
    }
}

/// Whether this thread is a lane, which must not wait for anything.
#[must_use]
pub fn on_lane() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// Until [`end_batch`], what this thread asks of lanes is only collected. Batches nest.
pub fn begin_batch() {
    BATCH_DEPTH.set(BATCH_DEPTH.get() + 1);
}

/// Hands over what was collected since the outermost [`begin_batch`], with one wake-up for each lane. Without one it does
/// nothing.
pub fn end_batch() {
    let depth = BATCH_DEPTH.get();
    BATCH_DEPTH.set(depth.saturating_sub(1));
    if depth == 1 {
        hand_over(BATCH.with_borrow_mut(|batch| std::mem::take(&mut batch.0)));
    }
}

/// Hands over what was collected so far, within a batch: before this thread waits for anything that comes of it.
pub fn flush_batch() {
    if BATCH_DEPTH.get() > 0 {
        hand_over(BATCH.with_borrow_mut(|batch| std::mem::take(&mut batch.0)));
    }
}

/// In the child of a fork: what this thread had collected belongs to lanes of the parent. It is left alone, for dropping it
/// would tell queues whose locks may be held.
pub(crate) fn forget_batch() {
    if BATCH_DEPTH.replace(0) > 0 {
        let _ = BATCH.try_with(|batch| {
            batch.try_borrow_mut().map(|mut batch| std::mem::forget(std::mem::take(&mut batch.0)))
        });
    }
}

fn hand_over(batch: Vec<(Arc<Lane>, Vec<Job>)>) {
    for (lane, mut jobs) in batch {
        if !lane.is_foreign() && lane.jobs.push_all(&mut jobs) == Pushed::Ring {
            lane.ring();
        }
    }
}

/// Tells a host something now, if it takes events where they happen; else as [`tell`]. For places that hold no lock, and
/// where nothing is being dropped: the host's code may run.
pub(crate) fn tell_now(queue: &Queue, event: Event) {
    if queue.takes() { queue.push(event) } else { tell(queue, event) }
}

/// Tells a host something: at the end of this lane's turn, together with all else there is to tell.
pub(crate) fn tell(queue: &Queue, event: Event) {
    // Without a porter (the lane ends, or this is no lane) it goes at once. A thread that is ending has no outbox.
    let direct = OUTBOX.try_with(|outbox| {
        let mut outbox = outbox.borrow_mut();
        let Some(porter) = &outbox.porter else { return Some(event) };
        if outbox.events.is_empty() {
            porter.wake_by_ref();
        }
        outbox.events.push((queue.clone(), event));
        None
    });
    if let Ok(Some(event)) = direct {
        queue.push(event);
    }
}

/// Ends with its runtime. Then nothing may be lost that was said, and nobody may ask more.
struct Porter(Arc<Lane>);

impl Drop for Porter {
    fn drop(&mut self) {
        let _ = OUTBOX.try_with(|outbox| outbox.borrow_mut().porter = None);
        flush();
        // Dropped outside the lock: each job ends its call with an event.
        self.0.closed.store(true, Ordering::Release);
        drop(self.0.jobs.close());
        *self.0.porter.lock() = None;
        let _ = CURRENT.try_with(|current| current.borrow_mut().take());
    }
}

/// Dropped before it ever ran, it closes its lane all the same.
fn porter(lane: Arc<Lane>) -> impl Future<Output = ()> + Send {
    let this = Porter(lane);
    let mut jobs = Vec::new();
    poll_fn(move |cx| this.poll(cx, &mut jobs))
}

impl Porter {
    fn poll(&self, cx: &mut Context<'_>, jobs: &mut Vec<Job>) -> Poll<()> {
        let mut porter = self.0.porter.lock();
        if !porter.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *porter = Some(cx.waker().clone());
            drop(porter);
            OUTBOX.with_borrow_mut(|outbox| outbox.porter = Some(cx.waker().clone()));
            CURRENT.with_borrow_mut(|current| *current = Some(self.0.clone()));
        } else {
            drop(porter);
        }
        self.0.jobs.drain(usize::MAX, jobs, || {});
        for job in jobs.drain(..) {
            match job {
                Job::Wake(waker) => waker.wake(),
                Job::Run(task) => drop(tokio::spawn(task)),
            }
        }
        flush();
        Poll::Pending
    }
}

/// Hands over what this lane has to tell.
fn flush() {
    let Ok(mut events) = OUTBOX.try_with(|outbox| std::mem::take(&mut outbox.borrow_mut().events)) else {
        return;
    };
    if events.is_empty() {
        return;
    }
    let mut batch = Vec::with_capacity(events.len());
    let mut last: Option<Queue> = None;
    for (queue, event) in events.drain(..) {
        if let Some(last) = last.take_if(|last| !last.is(&queue)) {
            last.push_all(&mut batch);
        }
        last.get_or_insert(queue);
        batch.push(event);
    }
    if let Some(last) = last {
        last.push_all(&mut batch);
    }
    // Its room serves the next turn, unless dropping an event told something meanwhile.
    let _ = OUTBOX.try_with(|outbox| {
        let mut outbox = outbox.borrow_mut();
        if outbox.events.is_empty() {
            outbox.events = events;
        }
    });
}
