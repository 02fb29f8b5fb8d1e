//! Lanes: the threads on which connections live.
//!
//! A lane is one OS thread with one current-thread runtime. A connection lives and dies on one lane, so its
//! state is never shared between threads and everything that was read is handled before anything is written.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A set of lanes. Cheap to clone; the threads end when the last clone is dropped.
///
/// Channels and servers use the tokio runtime they are made in unless they are given an engine.
///
/// ```
/// let engine = spanwire::Engine::new(2)?;
/// assert_eq!(engine.lanes(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Lane {
    handle: Handle,
    /// Dropping it lets the lane's thread end; nothing is ever sent.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// Gives an error when the thread has dropped all that ran on it.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The longest that a shutdown waits for the threads. They end at their next turn; only a handler that blocks can be in the
/// way of that.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

impl Engine {
    /// Starts `lanes` threads (at least one), named `spanwire-0`, `spanwire-1`, ….
    ///
    /// # Errors
    /// The operating system refused a thread or an I/O driver.
    pub fn new(lanes: usize) -> std::io::Result<Self> {
        Engine::with_thread_start(lanes, None)
    }

    /// Like [`Engine::new`]; each thread runs `on_start` first.
    pub(crate) fn with_thread_start(lanes: usize, on_start: Option<fn()>) -> std::io::Result<Self> {
        let lanes = (0..lanes.max(1)).map(|index| start_lane(index, on_start)).collect::<Result<_, _>>()?;
        Ok(Engine { shared: Arc::new(Lanes { lanes, next: AtomicUsize::new(0) }) })
    }

    /// Ends the threads although there are clones, with everything that runs on them, and waits for that for a second at
    /// most.
    pub(crate) fn shutdown(&self) {
        for lane in &self.shared.lanes {
            drop(lock(&lane.stop).take());
        }
        let until = Instant::now() + SHUTDOWN_TIME;
        for lane in &self.shared.lanes {
            // Nothing is ever sent: the error means that the thread is done, or that the time is over.
            let _ = lock(&lane.ended).recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Leaves the threads alone for ever: they are those of another process.
    pub(crate) fn forget(&self) {
        for lane in &self.shared.lanes {
            if let Ok(mut stop) = lane.stop.try_lock() {
                std::mem::forget(stop.take());
            }
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.shared.lanes.len()
    }

    /// The runtime of lane `index`, modulo the number of lanes.
    pub(crate) fn lane(&self, index: usize) -> &Handle {
        &self.shared.lanes[index % self.shared.lanes.len()].handle
    }

    /// The next lane in turn.
    pub(crate) fn next_lane(&self) -> &Handle {
        self.lane(self.shared.next.fetch_add(1, Ordering::Relaxed))
    }
}

fn start_lane(index: usize, on_start: Option<fn()>) -> std::io::Result<Lane> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, ended) = mpsc::channel();
    thread::Builder::new().name(format!("spanwire-{index}")).spawn(move || {
        if let Some(on_start) = on_start {
            on_start();
        }
        // The error means that the engine was dropped or shut down: that is the signal to end.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
        drop(end);
    })?;
    Ok(Lane { handle, stop: Mutex::new(Some(stop)), ended: Mutex::new(ended) })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a channel or a server runs its tasks.
#[derive(Clone, Debug, Default)]
pub(crate) enum Spawner {
    /// On the runtime of the caller, or on one shared lane where the caller has none.
    #[default]
    Current,
    /// On the lanes of an engine, in turn.
    Engine(Engine),
    /// On one of them.
    Lane(Engine, usize),
}

impl Spawner {
    /// The runtime to start a task on; `None` only if the system refuses the thread of the shared lane.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self {
            Spawner::Engine(engine) => Some(engine.next_lane().clone()),
            Spawner::Lane(engine, index) => Some(engine.lane(*index).clone()),
            Spawner::Current => current_handle(),
        }
    }

    /// Starts `task` and forgets it. Without a runtime it is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.handle() {
            Some(handle) => drop(handle.spawn(task)),
            None => tracing::error!("no tokio runtime here and no thread for a lane: the task is dropped"),
        }
    }
}

/// The caller's runtime, or the shared lane for callers that have none.
pub(crate) fn current_handle() -> Option<Handle> {
    Handle::try_current().ok().or_else(|| fallback_engine().map(|engine| engine.lane(0).clone()))
}

/// One lane for callers that have no tokio runtime of their own, started on first use.
fn fallback_engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(1).ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_on_named_lane_threads() {
        let engine = Engine::new(2).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let sender = sender.clone();
            Spawner::Engine(engine.clone()).spawn(async move {
                sender.send(thread::current().name().map(str::to_owned)).unwrap();
            });
        }
        let mut names = [receiver.recv().unwrap().unwrap(), receiver.recv().unwrap().unwrap()];
        names.sort();
        assert_eq!(names, ["spanwire-0", "spanwire-1"]);
    }

    #[test]
    fn spawning_without_a_runtime_uses_the_shared_lane() {
        let (sender, receiver) = std::sync::mpsc::channel();
        Spawner::Current.spawn(async move { sender.send(()).unwrap() });
        receiver.recv().unwrap();
    }
}
