//! Callbacks and interceptors: scripts that run when the library calls back.

use std::ffi::{CString, c_void};
use std::mem::offset_of;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use spanwire_c::*;

use super::books::Seen;
use super::options::{Held, Keep};
use super::shelf::Chosen;
use super::world::{DEPTH, MUST_END, PUSHES_FOR, Queue, World, lock};
use crate::Input;

/// A script that goes on where it was left.
struct Script {
    bytes: Vec<u8>,
    at: Mutex<usize>,
}

impl Script {
    fn new(bytes: &[u8]) -> Self {
        Script { bytes: bytes.to_vec(), at: Mutex::new(0) }
    }

    /// Some bytes of it, for this time.
    fn part(&self) -> &[u8] {
        let mut at = lock(&self.at);
        let begin = *at;
        *at = (begin + 12).min(self.bytes.len());
        &self.bytes[begin..*at]
    }
}

/// A queue that pushes or is inline, as its callback knows it.
pub(super) struct Pusher {
    world: Weak<World>,
    number: AtomicUsize,
    script: Script,
    /// The queue was freed: nobody is called back.
    freed: AtomicBool,
    inline: bool,
}

/// Whose queue was freed on a lane: a callback on another one may still run.
static OUTLIVING: Mutex<Vec<Arc<Pusher>>> = Mutex::new(Vec::new());

/// An interceptor.
pub(super) struct Hook {
    world: Weak<World>,
    script: Script,
    pub(super) released: AtomicU32,
    /// Whether its release function is known to the library.
    pub(super) to_release: AtomicU32,
}

/// Counts a callback while it runs.
struct Inside<'w>(&'w World);

impl<'w> Inside<'w> {
    fn new(world: &'w World) -> Self {
        world.running.fetch_add(1, Ordering::SeqCst);
        DEPTH.set(DEPTH.get() + 1);
        Inside(world)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

unsafe extern "C" fn pushed(user_data: *mut c_void, events: *mut spanwire_event, count: usize) {
    // SAFETY: the world keeps it, longer than the queue lives.
    let this = unsafe { &*user_data.cast::<Pusher>() };
    let Some(world) = this.world.upgrade() else {
        assert!(this.inline, "a callback of a queue that is no more");
        return;
    };
    let _inside = Inside::new(&world);
    let number = this.number.load(Ordering::SeqCst);
    let queue = world.queues.find(number);
    PUSHES_FOR.set(number);
    assert!(count > 0 && !this.freed.load(Ordering::SeqCst), "a callback of a queue that was freed");
    // SAFETY: so many events are there, and are the callback's for now.
    let events = unsafe { slice::from_raw_parts_mut(events, count) };
    for event in &*events {
        // When it was taken out of the queue is not known.
        world.enter(event, queue.as_ref(), true, 0);
    }
    let mut input = Input::new(this.script.part());
    world.work(events, input.byte());
    if input.byte() & 1 != 0 {
        // SAFETY: they are events of the library.
        unsafe { spanwire_events_free(events.as_mut_ptr(), count) };
    }
    world.play(&mut input);
}

unsafe extern "C" fn starts(user_data: *mut c_void, draft: *mut spanwire_draft) -> spanwire_code {
    // SAFETY: the world keeps it, longer than the library does.
    let this = unsafe { &*user_data.cast::<Hook>() };
    let Some(world) = this.world.upgrade() else { return SPANWIRE_CODE_OK };
    let _inside = Inside::new(&world);
    assert_eq!(this.released.load(Ordering::SeqCst), 0, "a hook is called that was released");
    let mut input = Input::new(this.script.part());
    let how = input.byte();
    // SAFETY: the draft is that of the hook; the rest is as it should be, or what the library says that it checks.
    unsafe {
        assert!(!spanwire_draft_method(draft).is_null());
        if how & 1 != 0 {
            let mut keep = Keep::default();
            let entry = keep.entry(&mut input);
            let result = spanwire_draft_append_metadata(draft, &raw const entry);
            assert!([SPANWIRE_DONE, SPANWIRE_INVALID_ARGUMENT].contains(&result));
        }
        if how & 2 != 0 {
            let timeouts: &[i64] =
                if MUST_END.get() { &[1, 20, -1] } else { &[0, 1, 20, -1, i64::MAX, i64::MIN] };
            assert_eq!(spanwire_draft_set_timeout_ms(draft, input.pick(timeouts)), SPANWIRE_DONE);
        }
        if how & 4 != 0 {
            assert_eq!(spanwire_draft_set_message(draft, c"not today".as_ptr()), SPANWIRE_DONE);
        }
    }
    world.play_in_hook(&mut input);
    if how & 0x18 == 0x18 { i32::from(input.byte()) % 20 } else { SPANWIRE_CODE_OK }
}

unsafe extern "C" fn shows(user_data: *mut c_void, event: *mut spanwire_event) {
    // SAFETY: the world keeps it, longer than the library does.
    let this = unsafe { &*user_data.cast::<Hook>() };
    let Some(world) = this.world.upgrade() else { return };
    let _inside = Inside::new(&world);
    assert_eq!(this.released.load(Ordering::SeqCst), 0, "a hook is called that was released");
    // SAFETY: it is the hook's for now.
    let event = unsafe { &mut *event };
    if event.r#type > SPANWIRE_EVENT_SERVER_CLOSED {
        // The hook before this one has made something of it that is no event.
        return;
    }
    world.meet(event);
    world.read(event);
    let mut input = Input::new(this.script.part());
    let how = input.byte();
    world.play_in_hook(&mut input);
    // Blocking calls have no tag, and nothing of them is in the books.
    let known = !event.tag.is_null();
    if known && how & 3 == 1 {
        world.changes(event);
        // SAFETY: the bytes came from the library.
        unsafe { spanwire_bytes_free(&raw mut event.message) };
        event.end = event.end && how & 4 == 0;
    }
    if how & 0x30 == 0x30 {
        world.hides(event);
        if how & 0x40 == 0 {
            event.r#type = SPANWIRE_EVENT_NONE;
        } else {
            // SAFETY: it came from the library.
            unsafe { spanwire_event_free(event) };
        }
    } else if how & 0x30 == 0x20 {
        event.r#type = i32::from(how);
    }
}

unsafe extern "C" fn released(user_data: *mut c_void) {
    // SAFETY: the world keeps it, longer than the library does.
    let this = unsafe { &*user_data.cast::<Hook>() };
    assert_eq!(this.released.fetch_add(1, Ordering::SeqCst), 0, "a hook is released twice");
}

impl World {
    /// Hooks that call what calls hooks have to end somewhere.
    fn play_in_hook(&self, input: &mut Input<'_>) {
        if DEPTH.get() < 3 {
            self.play(input);
        }
    }

    /// A hook keeps an event for itself. The library frees the call of a request then.
    fn hides(&self, event: &spanwire_event) {
        if event.r#type == SPANWIRE_EVENT_REQUEST
            && let Some(item) = self.meet(event)
        {
            item.ends();
        }
        if !event.tag.is_null() {
            lock(&self.books).see(event, Seen { queue: None, ordered: false, hidden: true, asked_at: 0 });
        }
    }

    /// A hook changes an event.
    fn changes(&self, event: &spanwire_event) {
        let mut books = lock(&self.books);
        let tag = event.tag.addr();
        if let Some(call) = books.call(tag) {
            call.changed();
        } else if !event.server_call.is_null() {
            books.server_call(event.server_call.addr(), tag).changed();
        }
    }

    pub(super) fn new_push_queue(&self, input: &mut Input<'_>) {
        if lock(&self.pushers).len() >= 4 {
            return;
        }
        let how = input.byte();
        let script = Script::new(input.bytes());
        let (number, freed) = Default::default();
        let inline = how & 0x40 != 0;
        let pusher = Arc::new(Pusher { world: self.weak(), number, script, freed, inline });
        let callback: spanwire_event_callback = if how == 0xff { None } else { Some(pushed) };
        // SAFETY: the world keeps what the callback is given.
        let made = self.make("queue_new_push", || unsafe {
            let user_data = Arc::as_ptr(&pusher).cast_mut().cast();
            if inline {
                spanwire_queue_new_inline(callback, user_data)
            } else {
                spanwire_queue_new_push(callback, user_data)
            }
        });
        let Some(number) = made else { return };
        assert!(callback.is_some(), "a queue that pushes to nobody");
        pusher.number.store(number, Ordering::SeqCst);
        self.queues.put(number, Queue { push: true, inline, ordered: true, emptying: Mutex::default() });
        lock(&self.pushers).push(pusher);
    }

    fn interceptor(&self, input: &mut Input<'_>) -> (Arc<Hook>, Held<spanwire_interceptor>) {
        let has = input.byte();
        let script = Script::new(input.bytes());
        let (released_count, to_release) = Default::default();
        let hook = Arc::new(Hook { world: self.weak(), script, released: released_count, to_release });
        let mut keep = Keep::default();
        let (only, only_count) = match has >> 6 {
            1 => keep.texts(input, &["/a.B/C", "/a.B/*", "/a.B", "*", ""]),
            _ => (std::ptr::null(), 0),
        };
        let interceptor = spanwire_interceptor {
            size: 0,
            user_data: Arc::as_ptr(&hook).cast_mut().cast(),
            start: if has & 3 != 3 { Some(starts) } else { None },
            event: if has & 0xc != 0xc { Some(shows) } else { None },
            release: if has & 0x30 != 0x30 { Some(released) } else { None },
            only,
            only_count,
        };
        let releases = interceptor.release.is_some();
        let held = Held::some(input, interceptor, keep);
        if releases && held.reaches(offset_of!(spanwire_interceptor, release) + size_of::<usize>()) {
            hook.to_release.store(1, Ordering::SeqCst);
        }
        lock(&self.hooks).push(hook.clone());
        (hook, held)
    }

    fn intercepted(hook: &Hook, result: i32) {
        if result < 0 {
            hook.to_release.store(0, Ordering::SeqCst);
            assert_eq!(hook.released.load(Ordering::SeqCst), 0, "a hook that was refused is released");
        }
    }

    pub(super) fn intercept_channel(&self, input: &mut Input<'_>) {
        let channel = self.choose(input, &self.channels);
        if lock(&self.hooks).len() >= 8 {
            return;
        }
        let (hook, held) = self.interceptor(input);
        // SAFETY: the interceptor is as large as it says or as the library knows it.
        let result = self.ask("channel_intercept", &[&channel], &[SPANWIRE_INVALID_ARGUMENT], || unsafe {
            spanwire_channel_intercept(channel.pointer(), held.pointer())
        });
        Self::intercepted(&hook, result);
    }

    pub(super) fn intercept_server(&self, input: &mut Input<'_>) {
        let server = self.choose(input, &self.servers);
        if lock(&self.hooks).len() >= 8 {
            return;
        }
        let (hook, held) = self.interceptor(input);
        // SAFETY: as above.
        let result = self.ask("server_intercept", &[&server], &[SPANWIRE_INVALID_ARGUMENT], || unsafe {
            spanwire_server_intercept(server.pointer(), held.pointer())
        });
        Self::intercepted(&hook, result);
    }

    pub(super) fn free_queue(&self, input: &mut Input<'_>) {
        let queue = self.choose(input, &self.queues);
        // Two callbacks that free each other's queue would wait for each other, as they are told.
        let pushes = queue.item.as_ref().is_some_and(|item| item.more.push && !item.more.inline);
        let in_callback = std::thread::current().name() == Some("spanwire-events");
        if pushes && in_callback && PUSHES_FOR.get() != queue.number {
            return;
        }
        self.end_queue(&queue);
    }

    pub(super) fn end_queue(&self, queue: &Chosen<Queue>) {
        let mut first = false;
        if let Some(item) = &queue.item {
            first = item.ends();
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
        spanwire_queue_free(queue.pointer());
        for pusher in lock(&self.pushers).iter().filter(|_| first) {
            if pusher.number.load(Ordering::SeqCst) != queue.number {
                continue;
            }
            if super::on_lane() {
                lock(&OUTLIVING).push(pusher.clone());
            } else {
                pusher.freed.store(true, Ordering::SeqCst);
            }
        }
        if let Some(item) = &queue.item {
            item.is_gone(self.now());
        }
    }

    /// Asks for the log, of all levels and of some that are none.
    pub(super) fn set_log(&self, input: &mut Input<'_>) {
        let level = i32::from(input.byte() % 8) - 1;
        // SAFETY: the callback may be called at any time.
        let result = self.ask("log_set", &[], &[SPANWIRE_INVALID_ARGUMENT], || unsafe {
            spanwire_log_set(level, Some(log_line), ptr::null_mut())
        });
        assert_eq!(result == SPANWIRE_DONE, (0..=5).contains(&level));
    }

    /// Asks for what needs no handle.
    pub(super) fn ask_library(&self, input: &mut Input<'_>) {
        let number = input.number() as i32;
        let text = CString::new("a failure of one's own").expect("there is no NUL in it");
        // SAFETY: all texts end in NUL.
        unsafe {
            assert!(std::ffi::CStr::from_ptr(spanwire_code_name(number)).count_bytes() > 0);
            assert!(std::ffi::CStr::from_ptr(spanwire_version()).count_bytes() > 0);
            assert_eq!(spanwire_fail(number, text.as_ptr()), number);
            assert_eq!(super::world::last_error().as_bytes(), text.as_bytes());
            assert_eq!(spanwire_fail(number, ptr::null()), SPANWIRE_INVALID_ARGUMENT);
            assert!(!super::world::last_error().is_empty());
            assert!(!spanwire_draft_method(ptr::null()).is_null());
            assert_eq!(spanwire_draft_set_timeout_ms(ptr::null_mut(), 1), SPANWIRE_INVALID_ARGUMENT);
        }
        assert_eq!(spanwire_abi_version(), SPANWIRE_ABI_VERSION);
    }
}

unsafe extern "C" fn log_line(
    _user_data: *mut c_void,
    level: spanwire_log_level,
    target: *const std::ffi::c_char,
    text: *const std::ffi::c_char,
) {
    assert!((SPANWIRE_LOG_ERROR..=SPANWIRE_LOG_TRACE).contains(&level));
    // SAFETY: both end in NUL.
    unsafe {
        assert!(!std::ffi::CStr::from_ptr(target).is_empty());
        std::hint::black_box(std::ffi::CStr::from_ptr(text).count_bytes());
    }
}
