//! A client's call with a stream on either side.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use spanwire::bridge::{self, EventKind, OpError, Outcome, Outgoing, Received, Room};
use spanwire::{Metadata as CoreMetadata, Status};

use super::event_loop::{Loop, lock};
use super::waiters::{Waiter, Waiters};
use crate::convert::message::{Codec, Method};
use crate::convert::metadata::Metadata;
use crate::convert::status::{call_error, op_error, rpc_error};
use crate::credit::Credit;

/// What of a stream is awaited.
pub(crate) enum Want {
    /// The next message; none is `None`, or the end of an iteration.
    Message { iterating: bool },
    /// All messages that are there, at least one; none is an empty list.
    Batch,
    /// Client: the one response, with OK.
    Summary,
    /// Client: the leading metadata.
    Headers,
    /// Room for another message behind the one that was taken.
    Room,
    /// Room for this message, and that it is taken.
    Send(Option<Outgoing>),
}

/// What the table knows of a call, and those who feed it. Only its [`StreamCall`](super::stream_call::StreamCall) keeps it
/// alive.
pub(crate) struct Stream {
    pub(crate) event_loop: Arc<Loop>,
    pub(crate) method: Py<Method>,
    pub(crate) call: OnceLock<Weak<bridge::Call>>,
    state: Mutex<State>,
}

struct State {
    headers: Option<CoreMetadata>,
    inbox: VecDeque<Received>,
    /// Whether the last message that was taken came compressed.
    compressed: bool,
    credit: Credit,
    outcome: Option<Outcome>,
    /// What ended it on our side: the requests themselves failed.
    failure: Option<PyErr>,
    /// A send was told to wait.
    full: bool,
    /// The task that sends what an iterable gives.
    feeder: Option<Py<PyAny>>,
    readers: Waiters,
    writers: Waiters,
    for_headers: Waiters,
}

impl Stream {
    pub(crate) fn new(event_loop: Arc<Loop>, method: Py<Method>) -> Self {
        Stream {
            event_loop,
            method,
            call: OnceLock::new(),
            state: Mutex::new(State {
                headers: None,
                inbox: VecDeque::new(),
                compressed: false,
                credit: Credit::new(),
                outcome: None,
                failure: None,
                full: false,
                feeder: None,
                readers: Waiters::default(),
                writers: Waiters::default(),
                for_headers: Waiters::default(),
            }),
        }
    }

    pub(crate) fn handle(&self, py: Python<'_>, event: EventKind) -> PyResult<()> {
        let mut state = lock(&self.state);
        let mut feeder = None;
        let mut woken = Vec::new();
        match event {
            EventKind::Headers(headers) => {
                state.headers = Some(headers);
                woken.push(state.for_headers.take());
            }
            EventKind::Messages { messages, .. } => {
                state.inbox.extend(messages);
                woken.push(state.readers.take());
            }
            EventKind::Writable => {
                state.full = false;
                woken.push(state.writers.take());
            }
            EventKind::Done(outcome) => {
                state.outcome = Some(outcome);
                feeder = state.feeder.take();
                woken.extend([state.readers.take(), state.writers.take(), state.for_headers.take()]);
            }
            _ => {}
        }
        drop(state);
        if let Some(feeder) = feeder {
            // It may have ended by itself.
            let _ = feeder.call_method0(py, "cancel");
        }
        Waiters::wake_all(py, woken)
    }

    /// Adds a waiter, which the task that runs is about to wait for.
    pub(crate) fn wait(&self, py: Python<'_>, want: &Want, waiter: Waiter) -> PyResult<()> {
        let mut state = lock(&self.state);
        // It may have ended while the waiter was made.
        if state.outcome.is_some() {
            drop(state);
            return waiter.wake(py);
        }
        let waiters = match want {
            Want::Message { .. } | Want::Batch | Want::Summary => &mut state.readers,
            Want::Headers => &mut state.for_headers,
            Want::Room | Want::Send(_) => &mut state.writers,
        };
        waiters.add(waiter);
        Ok(())
    }

    /// What is wanted, if it is there.
    pub(crate) fn take(&self, py: Python<'_>, want: &mut Want) -> PyResult<Option<Py<PyAny>>> {
        match want {
            Want::Message { iterating } => match self.next(py)? {
                Taken::Message(message) => self
                    .method
                    .get()
                    .response
                    .decode(py, &message.bytes)
                    .map(|message| Some(message.unbind())),
                Taken::Nothing => Ok(None),
                Taken::End if *iterating => Err(pyo3::exceptions::PyStopAsyncIteration::new_err(())),
                Taken::End => Ok(Some(py.None())),
            },
            Want::Batch => self.batch(py),
            Want::Summary => self.summary(py),
            Want::Headers => self.headers(py),
            Want::Room => Ok(self.has_room().then(|| py.None())),
            Want::Send(message) => {
                let Some(again) = message.clone() else { return Ok(self.has_room().then(|| py.None())) };
                match self.send(py, again)? {
                    Sending::Ready => Ok(Some(py.None())),
                    Sending::Full => {
                        *message = None;
                        Ok(None)
                    }
                    Sending::Blocked | Sending::Over => Ok(None),
                }
            }
        }
    }

    fn next(&self, py: Python<'_>) -> PyResult<Taken> {
        let mut state = lock(&self.state);
        if let Some(message) = state.inbox.pop_front() {
            state.compressed = message.compressed;
            let grant = state.credit.taken(message.bytes.len());
            let over = state.outcome.is_some();
            drop(state);
            if grant > 0 && !over {
                self.grant(py, grant);
            }
            return Ok(Taken::Message(message));
        }
        match &state.outcome {
            None => Ok(Taken::Nothing),
            Some(outcome) if outcome.status.is_ok() => Ok(Taken::End),
            Some(_) => Err(self.error(py, state)),
        }
    }

    fn grant(&self, py: Python<'_>, messages: u32) {
        if let Some(call) = self.call() {
            self.event_loop.before_operation(py);
            // An error is that it is over, which its end tells.
            let _ = call.grant(messages);
        }
    }

    fn batch(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = lock(&self.state);
        if state.inbox.is_empty() {
            return match &state.outcome {
                None => Ok(None),
                Some(outcome) if outcome.status.is_ok() => Ok(Some(PyList::empty(py).into_any().unbind())),
                Some(_) => Err(self.error(py, state)),
            };
        }
        let messages = std::mem::take(&mut state.inbox);
        state.compressed = messages.back().is_some_and(|message| message.compressed);
        let grant: u32 = messages.iter().map(|message| state.credit.taken(message.bytes.len())).sum();
        drop(state);
        if grant > 0 {
            self.grant(py, grant);
        }
        let response = &self.method.get().response;
        list_of(py, response, messages).map(Some)
    }

    fn summary(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = lock(&self.state);
        let Some(outcome) = &state.outcome else { return Ok(None) };
        if !outcome.status.is_ok() {
            return Err(self.error(py, state));
        }
        // With OK the engine has made sure of it.
        let Some(message) = state.inbox.front().cloned() else {
            return Err(rpc_error(&Status::internal("OK without the response that is due"), None));
        };
        state.compressed = message.compressed;
        drop(state);
        self.method.get().response.decode(py, &message.bytes).map(|message| Some(message.unbind()))
    }

    /// The leading metadata, if they came, or none can come any more.
    pub(crate) fn known_headers(&self) -> Option<CoreMetadata> {
        let state = lock(&self.state);
        match (&state.headers, &state.outcome) {
            (Some(headers), _) => Some(headers.clone()),
            (None, None) => None,
            (None, Some(_)) => Some(CoreMetadata::new()),
        }
    }

    fn headers(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(headers) = self.known_headers() else { return Ok(None) };
        Ok(Some(Metadata::of(headers).into_pyobject(py)?.into_any().unbind()))
    }

    /// Whether another message may be sent; or the call is over, which the next send says.
    fn has_room(&self) -> bool {
        let state = lock(&self.state);
        !state.full || state.outcome.is_some()
    }

    /// Sends a message.
    pub(crate) fn send(&self, py: Python<'_>, message: Outgoing) -> PyResult<Sending> {
        let call = self.call().ok_or(OpError::Over("the call was dropped"));
        self.event_loop.before_operation(py);
        match call.and_then(|call| call.send(message)) {
            Ok(Room::Ready) => Ok(Sending::Ready),
            Ok(Room::Full) => {
                lock(&self.state).full = true;
                Ok(Sending::Full)
            }
            Err(OpError::Blocked) => Ok(Sending::Blocked),
            Err(OpError::Argument(text)) => Err(rpc_error(&Status::resource_exhausted(text), None)),
            // Its end is on its way, and says why.
            Err(OpError::Over(_)) if self.known(|_| ()).is_none() => Ok(Sending::Over),
            Err(error) => Err(self.over(py, &error)),
        }
    }

    /// Why nothing can be sent: the call's own end, if that is known.
    fn over(&self, py: Python<'_>, error: &OpError) -> PyErr {
        let state = lock(&self.state);
        match &state.outcome {
            Some(outcome) if !outcome.status.is_ok() => self.error(py, state),
            _ => match error {
                OpError::Over(text) => PyRuntimeError::new_err(*text),
                other => op_error(other),
            },
        }
    }

    pub(crate) fn half_close(&self, py: Python<'_>) {
        if let Some(call) = self.call() {
            self.event_loop.before_operation(py);
            // An error is that it is over.
            let _ = call.half_close();
        }
    }

    /// Ends the call, because its requests failed; that is what it ends with.
    pub(crate) fn fail(&self, failure: PyErr) {
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            return;
        }
        state.failure = Some(failure);
        drop(state);
        if let Some(call) = self.call() {
            let _ = call.cancel();
        }
    }

    /// Keeps the task that feeds it, to be ended with the call.
    pub(crate) fn set_feeder(&self, feeder: Py<PyAny>) {
        lock(&self.state).feeder = Some(feeder);
    }

    fn error(&self, py: Python<'_>, state: std::sync::MutexGuard<'_, State>) -> PyErr {
        if let Some(failure) = &state.failure {
            return failure.clone_ref(py);
        }
        let Some(outcome) = &state.outcome else { return PyRuntimeError::new_err("the call is not over") };
        let (status, peer, attempts) = (outcome.status.clone(), outcome.peer.clone(), outcome.attempts);
        drop(state);
        call_error(&status, peer.as_ref(), attempts)
    }

    /// Whether the last message that was taken came compressed.
    pub(crate) fn compressed(&self) -> bool {
        lock(&self.state).compressed
    }

    /// Something of how it ended, if it has.
    pub(crate) fn known<T>(&self, what: impl FnOnce(&Outcome) -> T) -> Option<T> {
        lock(&self.state).outcome.as_ref().map(what)
    }

    fn call(&self) -> Option<Arc<bridge::Call>> {
        self.call.get()?.upgrade()
    }
}

enum Taken {
    Message(Received),
    Nothing,
    End,
}

/// What became of a message.
pub(crate) enum Sending {
    /// It is on its way, and another one may follow.
    Ready,
    /// It is on its way, and the next one has to wait.
    Full,
    /// It was not taken.
    Blocked,
    /// It was not taken: the call is over.
    Over,
}

/// Messages as a list.
pub(crate) fn list_of(
    py: Python<'_>,
    codec: &Codec,
    messages: impl IntoIterator<Item = Received>,
) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for message in messages {
        list.append(codec.decode(py, &message.bytes)?)?;
    }
    Ok(list.into_any().unbind())
}
