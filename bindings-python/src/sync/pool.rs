//! The work of a server: requests that wait for a thread, and answers that wait for company.
//!
//! ```text
//! lane ─ request ─► work ─► a thread takes it, and with the GIL that it has the next one, and the next …
//!                     └ more than it can take, and somebody idle ─► one more thread is called, never two at once:
//!                                                                   each would only queue for the GIL
//! answer ─► answers ─► all at once to the lane ─ when there is no more work, when nobody is on the way who would do it,
//!                                                when there are many, or when the first has waited long enough
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spanwire::bridge::handle::Table;
use spanwire::bridge::{
    Answer, Event, EventKind, OpError, Outgoing, Queue, Received, ServerCall, begin_batch, end_batch, fork,
};
use spanwire::{Kind, Metadata, Status};

use super::bell::{Rope, next_number};
use super::inbox::Inbox;

/// Answers that go out together.
const MANY: usize = 32;

/// How long an answer waits for others.
const LONG: Duration = Duration::from_micros(200);

/// A call that a server received.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) call: ServerCall,
    /// Of a stream: what comes behind its request.
    pub(crate) inbox: Inbox,
}

/// A request for a thread.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) served: Arc<Served>,
    /// The number of a stream among those that run; `None` for a unary call.
    pub(crate) number: Option<usize>,
    /// The index of its method.
    pub(crate) method: usize,
    pub(crate) message: Option<Received>,
}

/// The answer of a unary call.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) served: Arc<Served>,
    pub(crate) message: Outgoing,
    pub(crate) answer: Answer,
    pub(crate) trailers: Metadata,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// There is work, or the pool is closed.
    arrived: Condvar,
    kinds: Vec<Kind>,
    streams: Table<Arc<Served>>,
    /// What happens to the server itself.
    pub(crate) server: Inbox,
    /// For a hub instead of threads.
    rope: Option<Rope>,
    generation: u32,
}

#[derive(Debug, Default)]
struct State {
    work: VecDeque<Work>,
    answers: Vec<Finished>,
    /// When the first of the answers was handed in.
    since: Option<Instant>,
    /// Threads that wait.
    idle: usize,
    /// A thread was called, and has not looked yet.
    coming: bool,
    closed: bool,
}

impl Pool {
    /// A pool for methods of these kinds, and for the hub at the end of the rope if there is one.
    pub(crate) fn new(kinds: Vec<Kind>, rope: Option<Rope>) -> Self {
        Pool {
            state: Mutex::default(),
            arrived: Condvar::new(),
            kinds,
            streams: Table::new(fork::generation(), 0),
            server: Inbox::new(rope.clone()),
            rope,
            generation: fork::generation(),
        }
    }

    /// Whether it is this process's.
    pub(crate) fn check(&self) -> Result<(), OpError> {
        if self.generation == fork::generation() { Ok(()) } else { Err(OpError::Forked) }
    }

    pub(crate) fn rings(&self) -> bool {
        self.rope.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings events where they belong. Runs on the lane, of which there is one.
    pub(crate) fn route(&self, queue: &Queue) {
        let mut events = Vec::new();
        // An error means that nothing comes any more.
        let _ = queue.drain(usize::MAX, &mut events);
        let work: Vec<_> = events.into_iter().filter_map(|event| self.sort(event)).collect();
        if !work.is_empty() {
            self.add(work);
        }
    }

    /// The work that an event is; others go to their call.
    fn sort(&self, event: Event) -> Option<Work> {
        let method = event.tag();
        let Some(reporter) = event.server_call().cloned() else {
            self.server.deliver(event.kind);
            return None;
        };
        let kind = *self.kinds.get(method)?;
        match event.kind {
            EventKind::Request(mut request) if kind == Kind::Unary => {
                let served = Arc::new(self.served(request.take_call()?));
                Some(Work { served, number: None, method, message: request.message.take() })
            }
            EventKind::Request(mut request) => {
                let number = reporter.handle(|call| self.streams.insert(Arc::new(self.served(call)))).ok()?;
                let served = self.streams.get(number).ok()?;
                served.inbox.lock().half_closed = request.end;
                Some(Work { served, number: Some(number), method, message: request.message.take() })
            }
            // The call itself knows.
            _ if kind == Kind::Unary => None,
            event => {
                let number = reporter.handle(|_| Err(OpError::Over("it was never told"))).ok()?;
                self.streams.get(number).ok()?.inbox.deliver(event);
                None
            }
        }
    }

    fn served(&self, call: ServerCall) -> Served {
        let rope = self.rope.as_ref().map(|rope| rope.numbered(next_number()));
        Served { call, inbox: Inbox::new(rope) }
    }

    /// The thread of a stream is done with it: nothing that still comes is for anybody.
    pub(crate) fn forget(&self, number: usize) {
        if self.check().is_ok() {
            drop(self.streams.remove(number));
        }
    }

    fn add(&self, work: Vec<Work>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            self.discard(work);
            return;
        }
        state.work.extend(work);
        let call = state.call_thread();
        drop(state);
        if call {
            self.arrived.notify_one();
        }
        if let Some(rope) = &self.rope {
            rope.pull();
        }
    }

    /// Fails the calls of requests that nobody takes. Not under the lock.
    pub(crate) fn discard(&self, work: impl IntoIterator<Item = Work>) {
        for number in work.into_iter().filter_map(|work| work.number) {
            self.forget(number);
        }
    }

    /// Takes an answer, which goes out with the next request that is taken or waited for.
    pub(crate) fn hand_in(&self, answer: Finished) {
        if self.rings() {
            // A greenlet does not come back for more.
            send(vec![answer]);
        } else {
            self.lock().answers.push(answer);
        }
    }

    /// Takes a request, with the GIL. `None`: there is nothing to do now.
    pub(crate) fn take_work(&self, arriving: bool) -> Option<Work> {
        let mut state = self.lock();
        state.coming &= !arriving;
        let work = state.work.pop_front();
        let call = work.is_some() && state.call_thread();
        let answers = state.take_answers(work.is_some());
        drop(state);
        if call {
            self.arrived.notify_one();
        }
        send(answers);
        work
    }

    /// Waits for work, without the GIL: until the time is up.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let mut state = self.lock();
        if state.work.is_empty() && !state.closed {
            state.idle += 1;
            state = match timeout {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    self.arrived.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.idle -= 1;
        }
        drop(state);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends the threads when they come for more. Requests that none has taken fail.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (work, answers) = (std::mem::take(&mut state.work), state.take_answers(false));
        drop(state);
        self.arrived.notify_all();
        send(answers);
        self.discard(work);
        if let Some(rope) = &self.rope {
            rope.pull();
        }
    }
}

impl State {
    /// Whether to call one more thread: the caller then does.
    fn call_thread(&mut self) -> bool {
        let call = !self.work.is_empty() && self.idle > 0 && !self.coming;
        self.coming |= call;
        call
    }

    /// What is to be sent now.
    fn take_answers(&mut self, busy: bool) -> Vec<Finished> {
        if self.answers.is_empty() {
            return Vec::new();
        }
        if busy && self.coming && self.answers.len() < MANY {
            let now = Instant::now();
            if now.duration_since(*self.since.get_or_insert(now)) < LONG {
                return Vec::new();
            }
        }
        self.since = None;
        std::mem::take(&mut self.answers)
    }
}

fn send(answers: Vec<Finished>) {
    if answers.is_empty() {
        return;
    }
    begin_batch();
    for finished in answers {
        let call = &finished.served.call;
        if let Err(OpError::Argument(text)) =
            call.respond(finished.message, finished.answer, finished.trailers)
        {
            let too_large = Status::resource_exhausted(text);
            // Refused only if the client is gone; so is the answer.
            let _ = call.finish(too_large, Answer::default());
        }
    }
    end_batch();
}
