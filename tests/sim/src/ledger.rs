//! The books: what handlers did for each call, and what the client was told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use spanwire::{Code, Sent, Status};
use tokio_util::sync::CancellationToken;

use crate::Trace;

/// How a call ended for the client.
#[derive(Clone, Debug, Default)]
pub enum Outcome {
    /// It was dropped.
    #[default]
    Dropped,
    /// It succeeded, and all messages were right.
    Ok,
    /// It failed.
    Failed(Status),
}

/// One call.
#[derive(Debug, Default)]
struct Entry {
    outcome: Outcome,
    started: u32,
    finished: u32,
    /// Of handlers that were dropped: what tells others of it.
    dropped: Vec<CancellationToken>,
}

/// The books of one run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    entries: Arc<Mutex<BTreeMap<u64, Entry>>>,
    trace: Trace,
}

impl Ledger {
    pub(crate) fn new(trace: Trace) -> Self {
        Ledger { entries: Arc::default(), trace }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap()
    }

    /// Opens an account for a call, and gives its number.
    #[must_use]
    pub fn open(&self) -> u64 {
        let mut entries = self.lock();
        let call = entries.len() as u64 + 1;
        entries.insert(call, Entry::default());
        call
    }

    pub(crate) fn ended(&self, call: u64, result: &Result<(), Status>) {
        self.trace.note(format_args!("call {call} ended: {:?}", result.as_ref().err()));
        let outcome = result.as_ref().map_or_else(|status| Outcome::Failed(status.clone()), |()| Outcome::Ok);
        self.lock().entry(call).or_default().outcome = outcome;
    }

    pub(crate) fn started(&self, call: u64, token: CancellationToken) -> Running {
        self.trace.note(format_args!("call {call}: the handler starts"));
        self.lock().entry(call).or_default().started += 1;
        Running { ledger: self.clone(), call, token, finished: false }
    }

    /// Handlers that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        let entries = self.lock();
        let running =
            entries.values().map(|entry| entry.started - entry.finished - entry.dropped.len() as u32);
        running.sum::<u32>() as usize
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.lock().len()
    }

    /// Calls that were opened but whose handler never started.
    #[must_use]
    pub fn unstarted(&self) -> usize {
        self.lock().values().filter(|entry| entry.started == 0).count()
    }

    /// How many calls ended so.
    #[must_use]
    pub fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.lock().values().filter(|entry| wanted(&entry.outcome)).count()
    }

    /// The statuses of calls that failed, with their numbers.
    #[must_use]
    pub fn failures(&self) -> Vec<(u64, Status)> {
        let entries = self.lock();
        let failed = entries.iter().filter_map(|(call, entry)| match &entry.outcome {
            Outcome::Failed(status) => Some((*call, status.clone())),
            _ => None,
        });
        failed.collect()
    }

    /// What must hold in every run: no call ran twice, what the clients were told is true, and handlers that were
    /// given up know it.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check(&self) {
        for (call, entry) in &*self.lock() {
            let told = format!("call {call}: {entry:?}");
            assert!(entry.started <= 1, "a call ran twice; {told}");
            assert_eq!(
                entry.started,
                entry.finished + entry.dropped.len() as u32,
                "a handler is left; {told}"
            );
            assert!(
                entry.dropped.iter().all(CancellationToken::is_cancelled),
                "nobody told the handler; {told}"
            );
            match &entry.outcome {
                Outcome::Ok => assert_eq!(entry.finished, 1, "OK without its handler; {told}"),
                Outcome::Dropped => {}
                Outcome::Failed(status) => match status.sent() {
                    Sent::NotSent => assert_eq!(entry.started, 0, "it was sent; {told}"),
                    _ => assert_ne!(status.code(), Code::Ok, "{told}"),
                },
            }
        }
    }
}

/// A handler at work.
#[derive(Debug)]
pub(crate) struct Running {
    ledger: Ledger,
    call: u64,
    token: CancellationToken,
    finished: bool,
}

impl Running {
    /// The handler has come to its end.
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let what = if self.finished { "is done" } else { "is dropped" };
        self.ledger.trace.note(format_args!("call {}: the handler {what}", self.call));
        let mut entries = self.ledger.lock();
        let entry = entries.entry(self.call).or_default();
        if self.finished {
            entry.finished += 1;
        } else {
            entry.dropped.push(self.token.clone());
        }
    }
}
