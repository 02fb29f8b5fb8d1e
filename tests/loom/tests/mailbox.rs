//! Every order of the steps of arming, draining and waking, by a model checker. The code is the engine's own file, with
//! the checker's lock in place of the system's.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the checked file is made for its own crate"
)]

use loom::sync::{Arc, Notify};
use loom::thread;

#[path = "../../../core/src/bridge/mailbox.rs"]
mod mailbox;

mod sync {
    /// The checker's lock, with the few words that the engine's has.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

use mailbox::{Mailbox, Pushed};

/// What a host sleeps by: a descriptor, a condition or a callback. It stays up until it is taken down.
struct Bell(Notify);

fn push(mailbox: &Mailbox<u32>, bell: &Bell, item: u32) {
    if mailbox.push(item) == Ok(Pushed::Ring) {
        bell.0.notify();
    }
}

/// Every order with up to three changes of thread where none is forced: faults of such protocols show with fewer.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A host that takes `max` at a time, and sleeps when there is nothing. Two threads push `each` items. A wake-up that is
/// lost leaves it asleep for ever, which the checker reports.
fn nothing_is_lost(max: usize, each: u32) {
    check(move || {
        let mailbox = Arc::new(Mailbox::new());
        let bell = Arc::new(Bell(Notify::new()));
        let pushers: Vec<_> = (0..2)
            .map(|pusher| {
                let (mailbox, bell) = (mailbox.clone(), bell.clone());
                thread::spawn(move || {
                    for item in 0..each {
                        push(&mailbox, &bell, pusher * 10 + item);
                    }
                })
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 2 * each as usize {
            bell.0.wait();
            loop {
                let before = taken.len();
                mailbox.drain(max, &mut taken, || {});
                if taken.len() == before {
                    break;
                }
            }
        }
        for pusher in pushers {
            pusher.join().unwrap();
        }
        // Each pusher's items are in order, and none came twice.
        for pusher in 0..2 {
            let own: Vec<_> = taken.iter().filter(|item| *item / 10 == pusher).collect();
            assert_eq!(
                own,
                (0..each).map(|item| pusher * 10 + item).collect::<Vec<_>>().iter().collect::<Vec<_>>()
            );
        }
        let (pushed, rings) = mailbox.counts();
        assert_eq!(pushed, 2 * u64::from(each));
        assert!(rings >= 1 && rings <= pushed);
    });
}

#[test]
fn host_that_takes_all_hears_of_everything() {
    nothing_is_lost(usize::MAX, 1);
}

#[test]
fn host_that_takes_one_at_a_time_hears_of_everything() {
    nothing_is_lost(1, 1);
}

/// A host that comes back only when it is rung, and takes one item each time, must not be left with some: it knows that
/// the box was not empty because it got as many as it asked for.
#[test]
fn full_answer_means_that_there_may_be_more() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new());
        let bell = Arc::new(Bell(Notify::new()));
        let pusher = {
            let (mailbox, bell) = (mailbox.clone(), bell.clone());
            thread::spawn(move || {
                push(&mailbox, &bell, 1);
                push(&mailbox, &bell, 2);
            })
        };
        let mut taken = Vec::new();
        while taken.len() < 2 {
            bell.0.wait();
            let mut full = true;
            while full {
                let before = taken.len();
                mailbox.drain(1, &mut taken, || {});
                full = taken.len() == before + 1;
            }
        }
        pusher.join().unwrap();
        assert_eq!(taken, [1, 2]);
    });
}

/// The sign outside (a descriptor) is taken down when the box is empty, and only then; a push behind that raises it again.
#[test]
fn sign_is_up_whenever_there_is_something_after_all_is_quiet() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new());
        let sign = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let pusher = {
            let (mailbox, sign) = (mailbox.clone(), sign.clone());
            thread::spawn(move || {
                for item in 0..2 {
                    if mailbox.push(item) == Ok(Pushed::Ring) {
                        sign.store(true, loom::sync::atomic::Ordering::SeqCst);
                    }
                }
            })
        };
        let mut taken = Vec::new();
        mailbox.drain(1, &mut taken, || sign.store(false, loom::sync::atomic::Ordering::SeqCst));
        pusher.join().unwrap();
        let left = 2 - taken.len();
        if left > 0 {
            assert!(sign.load(loom::sync::atomic::Ordering::SeqCst), "{left} left, and nobody is told");
        }
    });
}

/// What is pushed while the box closes is given back or handed out by the close, never both and never neither.
#[test]
fn item_pushed_while_the_box_closes_is_seen_once() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new());
        let pusher = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.push(1).is_err())
        };
        let left = mailbox.close();
        let refused = pusher.join().unwrap();
        assert_eq!(left.len() + usize::from(refused), 1);
        assert!(mailbox.is_empty() && mailbox.is_closed());
    });
}
