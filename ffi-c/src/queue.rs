//! Event queues: pulled by the program, or pushed to it.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use spanwire::bridge::{self, Event, Queue};

use crate::boundary::{Refused, find, guard, guard_pointer, guard_value, handle, not_found};
use crate::event::{SPANWIRE_EVENT_REQUEST, spanwire_event, spanwire_events_free};
use crate::server_call::spanwire_server_call_free;
use crate::tables::{block_signals, tables};
use crate::types::*;

/// A queue as its handle knows it.
pub(crate) struct QueueEntry {
    pub(crate) queue: Queue,
    /// Of a queue that pushes: its thread.
    pusher: OnceLock<Pusher>,
}

struct Pusher {
    thread: thread::ThreadId,
    /// Gives an error when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The most events that are handed to a callback at once.
const PUSHED_AT_ONCE: usize = 128;

thread_local! {
    /// Events on their way from a queue into the program's array.
    static ON_THE_WAY: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Called with events, oldest first, on the thread of the queue; of an inline one with one event, on a thread of the engine.
pub type spanwire_event_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, events: *mut spanwire_event, count: usize)>;

/// Makes a queue that the program empties with `spanwire_queue_next`. Null on failure; `spanwire_last_error` says why.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_queue_new() -> *mut spanwire_queue {
    guard_pointer(|| insert(Queue::new()).map(|(number, _)| handle(number)))
}

fn insert(queue: Queue) -> Result<(usize, Arc<QueueEntry>), Refused> {
    let entry = Arc::new(QueueEntry { queue, pusher: OnceLock::new() });
    let number = tables().queues.insert(entry.clone())?;
    Ok((number, entry))
}

struct Target {
    callback: unsafe extern "C" fn(*mut c_void, *mut spanwire_event, usize),
    user_data: *mut c_void,
}

impl Target {
    fn new(callback: spanwire_event_callback, user_data: *mut c_void) -> Result<Self, Refused> {
        let callback = callback.ok_or_else(|| Refused::argument("the callback is null"))?;
        Ok(Target { callback, user_data })
    }
}

// SAFETY: the program promises that the callback may run on the queue's thread, or on those of the engine.
unsafe impl Send for Target {}
// SAFETY: as above; of several at once only queues that say so make use.
unsafe impl Sync for Target {}

/// Makes a queue with a thread of its own, which calls `callback` whenever there are events. The events are the callback's
/// until it comes back; then they are freed. What it asks of the library is handed over together when it comes back. It may
/// call every function, also `spanwire_queue_free` of this queue; it should not wait, because no other event is told
/// meanwhile. Null on failure.
///
/// # Safety
/// `callback` may be called with `user_data` until `spanwire_queue_free` has come back; or, if that was called in the
/// callback or on a thread of an engine, until the callback has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_queue_new_push(
    callback: spanwire_event_callback,
    user_data: *mut c_void,
) -> *mut spanwire_queue {
    guard_pointer(|| {
        let target = Target::new(callback, user_data)?;
        let (number, entry) = insert(Queue::new())?;
        let queue = entry.queue.clone();
        let (end, ended) = mpsc::channel::<()>();
        let spawned = thread::Builder::new().name("spanwire-events".to_owned()).spawn(move || {
            block_signals();
            push(&queue, &target);
            drop(end);
        });
        match spawned {
            Ok(thread) => {
                let pusher = Pusher { thread: thread.thread().id(), ended: Mutex::new(ended) };
                // It is set once, here.
                let _ = entry.pusher.set(pusher);
                Ok(handle(number))
            }
            Err(error) => {
                drop(tables().queues.remove(number));
                let text = format!("cannot start the thread of the queue: {error}");
                Err(Refused { result: SPANWIRE_SYSTEM, text })
            }
        }
    })
}

/// Makes a queue that keeps nothing: `callback` gets each event where it happens, on a thread of the engine, in the middle of
/// its call's turn. An answer given there goes out in the same turn, without a step to another thread: the cheapest way for
/// programs that answer at once. Until it comes back, all other calls of that thread stand still. So it must not wait, and
/// functions that would wait for events or for a server answer `SPANWIRE_INVALID_ARGUMENT` there.
///
/// It is called by several threads at once if the engine has several; the events of one call come one after the other. Each
/// event is the callback's until it comes back; then it is freed. It may call every function, also `spanwire_queue_free`.
/// Null on failure.
///
/// # Safety
/// `callback` may be called with `user_data` until `spanwire_queue_free` has come back; or, if that was called on a thread of
/// an engine, until `spanwire_engine_free` has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_queue_new_inline(
    callback: spanwire_event_callback,
    user_data: *mut c_void,
) -> *mut spanwire_queue {
    guard_pointer(|| {
        let target = Target::new(callback, user_data)?;
        let queue = Queue::with_taker(move |event| hand_over(event, &target));
        insert(queue).map(|(number, _)| handle(number))
    })
}

/// Gives one event to the program where it happens.
fn hand_over(event: Event, target: &Target) {
    let mut place = MaybeUninit::uninit();
    if spanwire_event::put(event, &mut place) {
        // SAFETY: it was just filled.
        let event = unsafe { place.assume_init_mut() };
        // SAFETY: the program's promise; the event lives until it comes back.
        unsafe { (target.callback)(target.user_data, event, 1) };
        event.release();
    }
}

/// Ends when the queue is closed.
fn push(queue: &Queue, target: &Target) {
    let mut events = Vec::new();
    let mut shown = Vec::with_capacity(PUSHED_AT_ONCE);
    while let Ok(_count) = queue.next(PUSHED_AT_ONCE, &mut events, None) {
        shown.clear();
        for event in events.drain(..) {
            let room = shown.spare_capacity_mut().first_mut();
            if room.is_some_and(|place| spanwire_event::put(event, place)) {
                // SAFETY: the place behind the last one was just filled.
                unsafe { shown.set_len(shown.len() + 1) };
            }
        }
        if queue.is_closed() {
            // It may be a hook that has freed it, above: from then on nobody is called back.
            return give_up(&mut shown);
        }
        if shown.is_empty() {
            continue;
        }
        bridge::begin_batch();
        // SAFETY: the program's promise; the array lives until it comes back.
        unsafe { (target.callback)(target.user_data, shown.as_mut_ptr(), shown.len()) };
        bridge::end_batch();
        // SAFETY: they are events of this library.
        unsafe { spanwire_events_free(shown.as_mut_ptr(), shown.len()) };
    }
}

/// Frees events that their program does not see, with the calls that begin with them.
fn give_up(events: &mut [spanwire_event]) {
    for event in events {
        if event.r#type == SPANWIRE_EVENT_REQUEST {
            spanwire_server_call_free(event.server_call);
        }
        event.release();
    }
}

/// Takes events out of a queue, oldest first, into `events`, and waits for the first one: `timeout_ms`, not at all (0), or
/// for ever (negative). They are to be freed by `spanwire_events_free` before the array is used again.
///
/// Returns how many there are; 0: the time is up, or `spanwire_queue_wake` was called; negative: a `spanwire_result`, of
/// which `SPANWIRE_SHUT_DOWN` says that the queue was freed meanwhile. If there are as many as `capacity`, more may be left.
/// Several threads may empty one queue; the order of events of one call holds then only as far as they keep it.
///
/// # Safety
/// `capacity` events can be written at `events`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_queue_next(
    queue: *mut spanwire_queue,
    events: *mut spanwire_event,
    capacity: usize,
    timeout_ms: i64,
) -> i32 {
    guard(|| {
        let entry = find(&tables().queues, queue, "queue")?;
        if events.is_null() || capacity == 0 {
            return Err(Refused::argument("there is no room for events: events is null, or capacity is 0"));
        }
        // So many fit into what this returns.
        let capacity = capacity.min(i32::MAX as usize);
        // SAFETY: the caller's promise.
        unsafe { next(&entry.queue, events, capacity, timeout_ms) }
    })
}

/// # Safety
/// As `spanwire_queue_next`.
unsafe fn next(
    queue: &Queue,
    events: *mut spanwire_event,
    capacity: usize,
    timeout_ms: i64,
) -> Result<i32, Refused> {
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut left = timeout;
    loop {
        // SAFETY: the caller's promise.
        let (taken, shown) = unsafe { round(queue, events, capacity, left) }?;
        if taken == 0 || shown > 0 {
            return Ok(shown);
        }
        left = until.map(|until| until.saturating_duration_since(Instant::now()));
    }
}

/// Waits for events once: how many there were, and how many of them the hooks have left for the program.
///
/// # Safety
/// As `spanwire_queue_next`.
pub(crate) unsafe fn round(
    queue: &Queue,
    events: *mut spanwire_event,
    capacity: usize,
    timeout: Option<Duration>,
) -> Result<(usize, i32), Refused> {
    // Hooks may come back here: then there is another vector.
    let mut taken = ON_THE_WAY.try_with(|cell| std::mem::take(&mut *cell.borrow_mut())).unwrap_or_default();
    let result = queue.next(capacity, &mut taken, timeout);
    let mut shown = 0;
    for event in taken.drain(..) {
        // SAFETY: no more than `capacity` were taken, and nothing is read that is there now.
        let place = unsafe { &mut *events.add(shown).cast::<MaybeUninit<spanwire_event>>() };
        shown += usize::from(spanwire_event::put(event, place));
    }
    let _ = ON_THE_WAY.try_with(|cell| *cell.borrow_mut() = taken);
    Ok((result?, shown as i32))
}

/// A descriptor that is readable while there are events (or after `spanwire_queue_wake`): for `poll`, `epoll`, `kqueue`,
/// libuv, GLib. Level-triggered; `spanwire_queue_next` with a timeout of 0 until it returns less than `capacity` makes it
/// unreadable. It belongs to the queue: neither read nor close it. Negative: a `spanwire_result`.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_queue_descriptor(queue: *mut spanwire_queue) -> i32 {
    guard(|| Ok(find(&tables().queues, queue, "queue")?.queue.descriptor()?))
}

/// Makes one `spanwire_queue_next` return 0: the one that waits now, or the next one; and the descriptor readable until
/// then. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_queue_wake(queue: *mut spanwire_queue) -> spanwire_result {
    guard(|| {
        find(&tables().queues, queue, "queue")?.queue.interrupt();
        Ok(SPANWIRE_DONE)
    })
}

/// Tells how many events came into the queue so far, and how often its program had to be woken for them.
///
/// # Safety
/// Both pointers are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_queue_stats(
    queue: *mut spanwire_queue,
    events: *mut u64,
    wakes: *mut u64,
) -> spanwire_result {
    guard(|| {
        let (pushed, rings) = find(&tables().queues, queue, "queue")?.queue.counts();
        for (place, value) in [(events, pushed), (wakes, rings)] {
            if !place.is_null() {
                // SAFETY: not null, and the caller promises the rest.
                unsafe { place.write(value) };
            }
        }
        Ok(SPANWIRE_DONE)
    })
}

/// Frees a queue with the events that are in it. Calls that report to it are cancelled when they next have something to say,
/// server calls that nobody has seen fail, and threads that wait in `spanwire_queue_next` return. Of a queue with a callback,
/// it waits for that to come back, unless it is called in it or on a thread of an engine. Null and freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_queue_free(queue: *mut spanwire_queue) {
    guard_value((), || {
        if queue.is_null() {
            return Ok(());
        }
        let entry = tables().queues.remove(queue.addr()).map_err(|lost| not_found(lost, "queue"))?;
        entry.queue.close();
        let may_wait = |pusher: &&Pusher| pusher.thread != thread::current().id() && !bridge::on_lane();
        if let Some(pusher) = entry.pusher.get().filter(may_wait) {
            let ended = pusher.ended.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is ever sent: the error is the end of the thread.
            let _ = ended.recv();
        }
        Ok(())
    });
}

/// From here until `spanwire_batch_end`, what this thread asks of the library is only collected; each answer is as always.
/// Batches nest. A function that waits hands over first.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_batch_begin() {
    guard_value((), || {
        bridge::begin_batch();
        Ok(())
    });
}

/// Hands over what was collected since `spanwire_batch_begin`, with one wake-up of the engine: worth it around the handling
/// of an array of events. Without a begin it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_batch_end() {
    guard_value((), || {
        bridge::end_batch();
        Ok(())
    });
}
