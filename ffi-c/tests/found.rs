//! What fuzzing has found, as small as it can be.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use spanwire_c::*;

/// Runs a test that would wait for ever if it failed.
fn within_20_seconds(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(20)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it waits for ever"),
        _ => thread.join().expect("the test"),
    }
}

/// A channel to a place where nobody is: calls fail soon.
fn channel_to_nobody() -> *mut spanwire_channel {
    // SAFETY: the text ends in NUL.
    let channel = unsafe { spanwire_channel_new(null_mut(), c"inprocess:nobody".as_ptr(), null()) };
    assert!(!channel.is_null());
    channel
}

fn intercept(
    channel: *mut spanwire_channel,
    event: unsafe extern "C" fn(*mut c_void, *mut spanwire_event),
    user_data: *mut c_void,
) {
    let size = size_of::<spanwire_interceptor>();
    let interceptor =
        spanwire_interceptor { size, user_data, event: Some(event), ..spanwire_interceptor::default() };
    // SAFETY: it is whole, and its function may be called at any time.
    assert_eq!(unsafe { spanwire_channel_intercept(channel, &raw const interceptor) }, SPANWIRE_DONE);
}

const NOTHING: spanwire_buffer =
    spanwire_buffer { data: null(), len: 0, flags: 0, release: None, context: null_mut() };

/// A blocking call whose only event the hook keeps for itself.
fn blocking_call_without_its_event(hook: unsafe extern "C" fn(*mut c_void, *mut spanwire_event)) {
    let channel = channel_to_nobody();
    intercept(channel, hook, null_mut());
    let mut done = MaybeUninit::uninit();
    // SAFETY: everything is as it should be.
    unsafe {
        let method = c"/found.Test/Nobody".as_ptr();
        let result = spanwire_call_unary_blocking(channel, method, &NOTHING, null(), done.as_mut_ptr());
        assert_eq!(result, SPANWIRE_DONE);
        assert_eq!(done.assume_init_ref().r#type, SPANWIRE_EVENT_NONE);
        spanwire_event_free(done.as_mut_ptr());
    }
    spanwire_channel_free(channel);
}

#[test]
fn blocking_call_ends_although_a_hook_keeps_its_event() {
    unsafe extern "C" fn keep(_: *mut c_void, event: *mut spanwire_event) {
        // SAFETY: it is the hook's for now.
        unsafe { (*event).r#type = SPANWIRE_EVENT_NONE }
    }
    within_20_seconds(|| blocking_call_without_its_event(keep));
}

#[test]
fn blocking_call_that_fails_leaves_no_event() {
    let mut done = MaybeUninit::<spanwire_event>::uninit();
    let place = done.as_mut_ptr();
    // SAFETY: the place is large enough.
    unsafe { place.cast::<u8>().write_bytes(0xff, size_of::<spanwire_event>()) };
    // SAFETY: one event can be written.
    let result = unsafe { spanwire_call_unary_blocking(null_mut(), null(), null(), null(), place) };
    assert_eq!(result, SPANWIRE_INVALID_ARGUMENT);
    // SAFETY: its type can be read, and an event that is NONE can be freed.
    unsafe {
        assert_eq!((*place).r#type, SPANWIRE_EVENT_NONE);
        spanwire_event_free(place);
    }
}

#[test]
fn hook_may_free_the_event() {
    unsafe extern "C" fn free(_: *mut c_void, event: *mut spanwire_event) {
        // SAFETY: it is the hook's for now.
        unsafe { spanwire_event_free(event) }
    }
    within_20_seconds(|| blocking_call_without_its_event(free));
}

#[test]
fn queue_that_a_hook_has_freed_calls_nobody_back() {
    static QUEUE: AtomicUsize = AtomicUsize::new(0);
    static SHOWN: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn free_queue(_: *mut c_void, _: *mut spanwire_event) {
        spanwire_queue_free(without_provenance_mut(QUEUE.load(Ordering::SeqCst)));
        SHOWN.fetch_add(1, Ordering::SeqCst);
    }
    unsafe extern "C" fn called_back(_: *mut c_void, _: *mut spanwire_event, _: usize) {
        panic!("the queue was freed");
    }
    within_20_seconds(|| {
        let channel = channel_to_nobody();
        intercept(channel, free_queue, null_mut());
        // SAFETY: the callback needs nothing; the rest is as it should be.
        unsafe {
            let queue = spanwire_queue_new_push(Some(called_back), null_mut());
            QUEUE.store(queue.addr(), Ordering::SeqCst);
            let (method, none) = (c"/found.Test/Nobody".as_ptr(), null_mut());
            assert_eq!(
                spanwire_call_unary(channel, method, &NOTHING, null(), queue, none, null_mut()),
                SPANWIRE_DONE
            );
        }
        while SHOWN.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        spanwire_channel_free(channel);
    });
}

#[test]
fn release_of_a_refused_message_runs_under_no_lock() {
    unsafe extern "C" fn cancel(call: *mut c_void) {
        assert_eq!(spanwire_call_cancel(call.cast()), SPANWIRE_DONE);
    }
    within_20_seconds(|| {
        let channel = channel_to_nobody();
        let queue = spanwire_queue_new();
        let mut call = null_mut();
        // SAFETY: everything is as it should be.
        unsafe {
            let (method, kind) = (c"/found.Test/Nobody".as_ptr(), SPANWIRE_KIND_BIDI);
            let started =
                spanwire_call_start(channel, method, kind, null(), queue, null_mut(), &raw mut call);
            assert_eq!(started, SPANWIRE_DONE);
            spanwire_call_half_close(call);
            let message = spanwire_buffer { release: Some(cancel), context: call.cast(), ..NOTHING };
            assert_eq!(spanwire_call_send(call, &raw const message), SPANWIRE_OVER);
        }
        spanwire_call_free(call);
        spanwire_queue_free(queue);
        spanwire_channel_free(channel);
    });
}

#[test]
fn handles_of_other_processes_are_not_known_where_nothing_was_forked() {
    let queue = spanwire_queue_new();
    for bit in 55..60 {
        let made_up = without_provenance_mut(queue.addr() ^ 1 << bit);
        assert_eq!(spanwire_queue_wake(made_up), SPANWIRE_INVALID_HANDLE, "{made_up:?}");
    }
    spanwire_queue_free(queue);
}
