//! A client's call, from any number of threads.

use std::sync::Arc;

use pyo3::prelude::*;
use spanwire::Status;
use spanwire::bridge::{Call, OpError, Outcome, Received, Room};

use super::inbox::{Inbox, State};
use super::wait::wait_for;
use crate::convert::message::Method;
use crate::convert::metadata::Metadata;
use crate::convert::status::{op_error, outcome_error, rpc_error};
use crate::guard::guard;

/// A call that has begun. Letting it go cancels it. Every operation may be used from any thread; one that has to wait
/// raises `BlockingIOError` instead if the call was given a bell.
#[pyclass(module = "spanwire._native", frozen)]
pub(crate) struct SyncCall {
    call: Call,
    inbox: Arc<Inbox>,
    method: Py<Method>,
}

impl SyncCall {
    pub(crate) fn new(call: Call, inbox: Arc<Inbox>, method: Py<Method>) -> Self {
        SyncCall { call, inbox, method }
    }

    fn peek<T>(&self, look: impl FnOnce(&State) -> T) -> PyResult<T> {
        self.inbox.check().map_err(|error| op_error(&error))?;
        Ok(look(&self.inbox.lock()))
    }

    /// See [`wait_for`]. What ends the wait from outside ends the call: whoever waited for it does not any more.
    fn wait_for<T: Send>(
        &self,
        py: Python<'_>,
        take: impl FnMut(&mut State) -> Option<T> + Send,
    ) -> PyResult<T> {
        wait_for(py, &self.inbox, take).inspect_err(|_| {
            if !self.inbox.rings() {
                self.cancel();
            }
        })
    }

    fn outcome(&self) -> PyResult<Option<Arc<Outcome>>> {
        self.peek(|state| state.outcome.clone())
    }
}

const HALF_CLOSED: OpError = OpError::Over("no message can follow the last one: the call is half-closed");

/// What a send came to.
enum Sent {
    Taken,
    Over,
    Refused(OpError),
}

#[pymethods]
impl SyncCall {
    /// The number that the bell rings for the call; 0 without a bell.
    #[getter]
    fn number(&self) -> u64 {
        self.inbox.number()
    }

    /// Sends a message; waits while the call is full. `False`: the call is over, and the message was not sent.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        guard(|| {
            let method = self.method.get();
            let mut message = Some(method.request.encode(&method.path, message)?);
            let sent = self.wait_for(py, |state| {
                if state.outcome.is_some() {
                    return Some(Sent::Over);
                }
                if state.half_closed {
                    return Some(Sent::Refused(HALF_CLOSED));
                }
                if state.full {
                    return None;
                }
                // Under the inbox's lock, so that the word of room to come cannot overtake the one of none.
                match self.call.send(message.take()?) {
                    Ok(room) => {
                        state.full = room == Room::Full;
                        Some(Sent::Taken)
                    }
                    // How it ended is on its way here.
                    Err(OpError::Over(_)) => None,
                    Err(error) => Some(Sent::Refused(error)),
                }
            })?;
            match sent {
                Sent::Taken => Ok(true),
                Sent::Over => Ok(false),
                Sent::Refused(OpError::Argument(text)) => {
                    Err(rpc_error(&Status::resource_exhausted(text), None))
                }
                Sent::Refused(error) => Err(op_error(&error)),
            }
        })
    }

    /// Says that no more messages follow.
    fn half_close(&self) -> PyResult<()> {
        guard(|| {
            self.inbox.check().map_err(|error| op_error(&error))?;
            self.inbox.lock().half_closed = true;
            match self.call.half_close() {
                Ok(()) | Err(OpError::Over(_)) => Ok(()),
                Err(error) => Err(op_error(&error)),
            }
        })
    }

    /// The next message; `None` at the end. Raises `RpcError` if the call failed.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guard(|| {
            let next = self.wait_for(py, |state| match state.take_message() {
                Some(message) => Some(Ok(message)),
                None => Some(Err(state.outcome.clone()?)),
            })?;
            match next {
                Ok((message, granted)) => {
                    if granted > 0 {
                        // Refused only if it is over, which the next one tells.
                        let _ = self.call.grant(granted);
                    }
                    self.method.get().response.decode(py, &message.bytes).map(Some)
                }
                Err(outcome) if outcome.status.is_ok() => Ok(None),
                Err(outcome) => Err(outcome_error(&outcome)),
            }
        })
    }

    /// The answer of a kind with one response. Raises `RpcError` if the call failed.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| {
            let (outcome, message) = self.wait_for(py, |state| {
                let outcome = state.outcome.clone()?;
                // It stays, to be asked for again.
                let message = state.messages.front().cloned();
                state.compressed = message.as_ref().is_some_and(|message| message.compressed);
                Some((outcome, message))
            })?;
            answer(py, self.method.get(), &outcome, message.as_ref())
        })
    }

    /// The leading metadata; waits for them. There are none if the call failed without any.
    fn headers(&self, py: Python<'_>) -> PyResult<Metadata> {
        guard(|| {
            self.wait_for(py, |state| match (&state.headers, &state.outcome) {
                (Some(headers), _) => Some(Metadata::of(headers.clone())),
                (None, Some(_)) => Some(Metadata::of(spanwire::Metadata::new())),
                (None, None) => None,
            })
        })
    }

    /// The trailing metadata; `None` until the call is over.
    #[getter]
    fn trailers(&self) -> PyResult<Option<Metadata>> {
        Ok(self.outcome()?.map(|outcome| Metadata::of(outcome.status.metadata().clone())))
    }

    /// The server that answered, once the call is over.
    #[getter]
    fn peer(&self) -> PyResult<Option<String>> {
        Ok(self.outcome()?.and_then(|outcome| Some(outcome.peer.as_ref()?.to_string())))
    }

    /// How many attempts were begun; 0 until the call is over.
    #[getter]
    fn attempts(&self) -> PyResult<u32> {
        Ok(self.outcome()?.map_or(0, |outcome| outcome.attempts))
    }

    /// Whether the call is over.
    #[getter]
    fn done(&self) -> PyResult<bool> {
        self.peek(|state| state.outcome.is_some())
    }

    /// Whether the last message that was taken came compressed.
    #[getter]
    fn compressed(&self) -> PyResult<bool> {
        self.peek(|state| state.compressed)
    }

    /// Raises the `RpcError` of a call that is over and failed.
    fn check(&self) -> PyResult<()> {
        match self.outcome()? {
            Some(outcome) if !outcome.status.is_ok() => Err(outcome_error(&outcome)),
            _ => Ok(()),
        }
    }

    /// Ends the call with CANCELLED. One that is over stays as it is, and so does one of a parent process.
    fn cancel(&self) {
        // Refused only if there is nothing to cancel.
        let _ = self.call.cancel();
    }
}

/// The message of an answer, or the error that it is.
pub(crate) fn answer<'py>(
    py: Python<'py>,
    method: &Method,
    outcome: &Outcome,
    message: Option<&Received>,
) -> PyResult<Bound<'py, PyAny>> {
    match message {
        _ if !outcome.status.is_ok() => Err(outcome_error(outcome)),
        Some(message) => method.response.decode(py, &message.bytes),
        None => Err(rpc_error(&Status::internal("the answer has no message"), None)),
    }
}
