//! The queue of one event loop: how its calls hear of what happens, and how what they ask goes down in batches.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use spanwire::bridge::{self, Event, EventKind, ReportTo, fork};

use super::server::{Closing, Route};
use super::stream::Stream;
use super::table::Table;
use super::unary::Unary;
use super::waiters::{Waiter, Wake};
use crate::convert::status::op_error;
use crate::guard::guard;
use crate::imported::Imported;

/// With more calls than this, what they ask is collected until the loop's turn is over. With few, waiting costs more than
/// the wake-ups that it saves.
const BATCH_ABOVE_CALLS: usize = 3;

/// What is collected waits no longer than this for the turn to end.
const LONGEST_BATCH: Duration = Duration::from_micros(300);

/// The queue of one event loop. Used on its thread.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Queue(Arc<Loop>);

/// See the [module](self).
pub(crate) struct Loop {
    pub(crate) queue: bridge::Queue,
    table: Mutex<Table<Entry>>,
    /// Events that a drain has left behind: their room is used again.
    events: Mutex<Vec<Event>>,
    /// What is to be called in the next turn.
    posted: Mutex<Vec<Py<PyAny>>>,
    /// Calls that are not over.
    live: AtomicUsize,
    /// Since when operations are collected.
    batch: Mutex<Option<Instant>>,
    /// Tasks were put in line that are likely to ask for something in the loop's next turn.
    turn_follows: AtomicBool,
    host: Host,
}

/// What the loop has to offer.
struct Host {
    /// A loop of asyncio.
    asyncio: Option<Py<PyAny>>,
    /// A new waiter: awaitable, with `set_result`.
    waiter: Py<PyAny>,
    /// Runs a coroutine: gives something with `cancel`.
    spawn: Py<PyAny>,
    /// Calls something at the end of this turn.
    soon: Option<Py<PyAny>>,
}

/// Whom an event is for.
#[derive(Clone)]
pub(crate) enum Entry {
    Unary(Arc<Unary>),
    Stream(Arc<Stream>),
    Route(Arc<Route>),
    Served(Arc<super::context::Served>),
    Closing(Arc<Closing>),
}

thread_local! {
    /// The queues of this thread's loops: one, as a rule.
    static QUEUES: RefCell<Queues> = const { RefCell::new(Queues { generation: 0, queues: Vec::new() }) };
}

struct Queues {
    generation: u32,
    queues: Vec<Known>,
}

struct Known {
    event_loop: Py<PyAny>,
    queue: Arc<Loop>,
}

/// A loop that is over, or whose thread is, takes no more events; what it knew keeps it alive no longer.
impl Drop for Known {
    fn drop(&mut self) {
        // At the end of a thread, what the bridge remembers for it may be gone already.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.queue.queue.close();
            let table = std::mem::replace(&mut *lock(&self.queue.table), Table::new());
            drop(table);
        }));
    }
}

/// The queue of the loop that runs on this thread.
///
/// # Errors
/// `RuntimeError`: none does.
pub(crate) fn current(py: Python<'_>) -> PyResult<Arc<Loop>> {
    static RUNNING: Imported = Imported::new("asyncio", "_get_running_loop");
    let running = RUNNING.get(py)?;
    let mut event_loop = running.call0()?;
    if event_loop.is_none() {
        static OTHER: Imported = Imported::new("spanwire._loop", "running");
        event_loop = OTHER.get(py)?.call0()?;
    }
    let known = QUEUES.with_borrow(|queues| {
        let known = queues.queues.iter().find(|known| known.event_loop.is(&event_loop))?;
        (queues.generation == fork::generation()).then(|| known.queue.clone())
    });
    known.map_or_else(|| connect(py, &event_loop), Ok)
}

/// Makes the queue of a loop. Loops that were closed meanwhile are forgotten here.
fn connect(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Loop>> {
    let queues = QUEUES.with_borrow_mut(|queues| {
        let foreign = queues.generation != fork::generation();
        queues.generation = fork::generation();
        let known = std::mem::take(&mut queues.queues);
        // Ending a loop of the parent process would take descriptors from it that both share.
        if foreign {
            known.into_iter().for_each(std::mem::forget);
            return Vec::new();
        }
        known
    });
    let is_open = |known: &Known| {
        let closed = known.event_loop.bind(py).call_method0("is_closed");
        !closed.is_ok_and(|closed| closed.is_truthy().unwrap_or(false))
    };
    let (mut open, closed): (Vec<_>, Vec<_>) = queues.into_iter().partition(is_open);
    for known in &closed {
        known.queue.end_batch();
    }
    drop(closed);
    static CONNECT: Imported = Imported::new("spanwire._loop", "connect");
    let queue = CONNECT.get(py)?.call1((event_loop,))?;
    let queue = queue.cast::<Queue>()?.get().0.clone();
    open.push(Known { event_loop: event_loop.clone().unbind(), queue: queue.clone() });
    QUEUES.with_borrow_mut(|queues| queues.queues.append(&mut open));
    Ok(queue)
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (waiter, spawn, soon = None, asyncio = None))]
    fn new(waiter: Py<PyAny>, spawn: Py<PyAny>, soon: Option<Py<PyAny>>, asyncio: Option<Py<PyAny>>) -> Self {
        Queue(Arc::new(Loop {
            queue: bridge::Queue::new(),
            table: Mutex::new(Table::new()),
            events: Mutex::default(),
            posted: Mutex::default(),
            live: AtomicUsize::new(0),
            batch: Mutex::default(),
            host: Host { asyncio, waiter, spawn, soon },
            turn_follows: AtomicBool::new(false),
        }))
    }

    /// That of the loop that runs here.
    #[staticmethod]
    fn current(py: Python<'_>) -> PyResult<Self> {
        guard(|| Ok(Queue(current(py)?)))
    }

    /// A new waiter of the loop: awaitable, until its `set_result` is called.
    fn waiter(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.host.waiter.call0(py)
    }

    /// Has the loop call something in its next turn. From any thread, and from handlers of signals.
    fn post(&self, callback: Py<PyAny>) {
        lock(&self.0.posted).push(callback);
        self.0.queue.interrupt();
    }

    /// Runs a coroutine on the loop; what comes back has `cancel`.
    fn spawn<'py>(&self, coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.0.spawn(coroutine)
    }

    /// The descriptor that is readable while there are events.
    fn fileno(&self) -> PyResult<i32> {
        guard(|| self.0.queue.descriptor().map_err(|error| op_error(&error)))
    }

    /// Handles all events that are there. For the loop, when the descriptor is readable.
    fn drain(slf: &Bound<'_, Self>) -> PyResult<()> {
        guard(|| slf.get().0.drain(slf))
    }

    /// Hands over what was collected in this turn of the loop.
    fn flush(&self) {
        self.0.end_batch();
    }
}

impl Loop {
    fn drain(self: &Arc<Self>, queue: &Bound<'_, Queue>) -> PyResult<()> {
        let py = queue.py();
        let mut events = std::mem::take(&mut *lock(&self.events));
        // In the child of a fork, the loop is the parent's.
        if self.queue.drain(usize::MAX, &mut events).is_err() {
            return Ok(());
        }
        let posted = std::mem::take(&mut *lock(&self.posted));
        for callback in posted {
            if let Err(error) = callback.call0(py) {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
        }
        self.begin_batch();
        let mut handled = events.drain(..);
        let mut result = Ok(());
        for event in handled.by_ref() {
            result = self.handle(py, event);
            // The interpreter is to end. What is left keeps its order.
            if result.is_err() {
                break;
            }
        }
        let left: Vec<Event> = handled.collect();
        if !left.is_empty() {
            *lock(&self.events) = left;
            self.queue.interrupt();
        } else {
            events.clear();
            *lock(&self.events) = events;
        }
        // What those in line ask for goes down together.
        let follows = self.turn_follows.swap(false, Ordering::Relaxed);
        if !follows || self.live.load(Ordering::Relaxed) <= BATCH_ABOVE_CALLS || !self.flush_soon(py) {
            self.end_batch();
        }
        result
    }

    fn handle(self: &Arc<Self>, py: Python<'_>, mut event: Event) -> PyResult<()> {
        let key = match event.server_call() {
            None => event.tag(),
            Some(_) if matches!(event.kind, EventKind::Request(_)) => {
                let route = lock(&self.table).get(event.tag()).cloned();
                let Some(Entry::Route(route)) = route else { return Ok(()) };
                return route.start(py, self, event);
            }
            // Its request came first, and made the number.
            Some(call) => call.handle(|_| Err(bridge::OpError::Over("unknown"))).unwrap_or(0),
        };
        let over = matches!(event.kind, EventKind::Done(_) | EventKind::Cancelled | EventKind::ServerClosed);
        let entry = if over { self.remove(key) } else { lock(&self.table).get(key).cloned() };
        let kind = std::mem::replace(&mut event.kind, EventKind::Writable);
        match (entry, kind) {
            (Some(Entry::Unary(unary)), EventKind::Done(outcome)) => unary.done(py, outcome),
            (Some(Entry::Stream(stream)), kind) => stream.handle(py, kind),
            (Some(Entry::Served(served)), kind) => served.handle(py, kind),
            (Some(Entry::Closing(closing)), _) => closing.done(py),
            _ => Ok(()),
        }
    }

    /// Keeps what events will be for. It counts as a call until it is removed.
    pub(crate) fn insert(&self, entry: Entry) -> usize {
        self.live.fetch_add(1, Ordering::Relaxed);
        lock(&self.table).insert(entry)
    }

    /// Keeps where new calls go.
    pub(crate) fn insert_route(&self, route: Arc<Route>) -> usize {
        lock(&self.table).insert(Entry::Route(route))
    }

    /// Whether an entry is still there.
    pub(crate) fn has(&self, key: usize) -> bool {
        lock(&self.table).get(key).is_some()
    }

    pub(crate) fn remove_route(&self, key: usize) {
        let route = lock(&self.table).remove(key);
        drop(route);
    }

    /// Takes an entry out, if it is still there.
    pub(crate) fn remove(&self, key: usize) -> Option<Entry> {
        let entry = lock(&self.table).remove(key)?;
        self.live.fetch_sub(1, Ordering::Relaxed);
        Some(entry)
    }

    pub(crate) fn report(&self, key: usize) -> ReportTo {
        ReportTo { queue: self.queue.clone(), tag: key, attachment: None }
    }

    /// A new waiter, for what events of this queue bring.
    pub(crate) fn waiter(&self, py: Python<'_>) -> PyResult<Waiter> {
        Ok(match &self.host.asyncio {
            Some(event_loop) => Waiter::Task(Py::new(py, Wake::new(event_loop.clone_ref(py)))?),
            None => Waiter::Other(self.host.waiter.call0(py)?),
        })
    }

    /// Says that a task was put in line for the loop's next turn.
    pub(crate) fn put_in_line(&self) {
        self.turn_follows.store(true, Ordering::Relaxed);
    }

    /// Runs a coroutine on the loop.
    pub(crate) fn spawn<'py>(&self, coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.host.spawn.bind(coroutine.py()).call1((coroutine,))
    }

    /// To be called before something is asked of a lane: with many calls it is collected until the turn ends.
    pub(crate) fn before_operation(self: &Arc<Self>, py: Python<'_>) {
        if self.live.load(Ordering::Relaxed) <= BATCH_ABOVE_CALLS {
            return;
        }
        let mut batch = lock(&self.batch);
        match &mut *batch {
            // Whoever is done does not wait for those who are not.
            Some(since) if since.elapsed() > LONGEST_BATCH => {
                bridge::flush_batch();
                *since = Instant::now();
            }
            Some(_) => {}
            None => {
                drop(batch);
                self.begin_batch();
                if !self.flush_soon(py) {
                    self.end_batch();
                }
            }
        }
    }

    fn begin_batch(&self) {
        let mut batch = lock(&self.batch);
        if batch.replace(Instant::now()).is_none() {
            bridge::begin_batch();
        }
    }

    fn end_batch(&self) {
        if lock(&self.batch).take().is_some() {
            bridge::end_batch();
        }
    }

    /// Whether the loop will call `flush` at the end of its turn.
    fn flush_soon(self: &Arc<Self>, py: Python<'_>) -> bool {
        let Some(soon) = &self.host.soon else { return false };
        soon.call1(py, (Queue(self.clone()).into_pyobject(py).and_then(|queue| queue.getattr("flush")).ok(),))
            .is_ok()
    }
}

/// A panic under a lock has ended what it belonged to; the rest goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
