//! A call that a server received, as its handler sees it.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use spanwire::bridge::{Answer, OpError, Received, Room, ServerCall};
use spanwire::{Code, Encoding, Status};

use super::inbox::State;
use super::pool::{Finished, Pool, Served};
use super::wait::wait_for;
use crate::convert::identity::{TlsIdentity, claims};
use crate::convert::message::Method;
use crate::convert::metadata::{Metadata, metadata_from};
use crate::convert::options::encoding;
use crate::convert::status::{op_error, rpc_error, status_of};
use crate::guard::guard;
use crate::{opentelemetry, parent};

/// What a handler knows of its call and sets for its answer. It may be used from any thread while the handler runs.
#[pyclass(module = "spanwire.sync", frozen)]
pub(crate) struct SyncContext {
    served: Arc<Served>,
    pool: Arc<Pool>,
    /// The number of a stream.
    number: Option<usize>,
    method: Py<Method>,
    compressed: bool,
    compression: Mutex<Option<Encoding>>,
    headers: PyOnceLock<Py<PyAny>>,
    trailers: PyOnceLock<Py<PyAny>>,
}

impl SyncContext {
    pub(crate) fn new(
        served: Arc<Served>,
        pool: Arc<Pool>,
        number: Option<usize>,
        method: Py<Method>,
        request: Option<&Received>,
    ) -> Self {
        SyncContext {
            served,
            pool,
            number,
            method,
            compressed: request.is_some_and(|request| request.compressed),
            compression: Mutex::default(),
            headers: PyOnceLock::new(),
            trailers: PyOnceLock::new(),
        }
    }

    pub(crate) fn call(&self) -> &ServerCall {
        &self.served.call
    }

    /// What goes in front of the first message.
    fn answer(&self, py: Python<'_>) -> PyResult<Answer> {
        Ok(Answer { headers: set_metadata(py, &self.headers)?, compression: *self.compression() })
    }

    fn compression(&self) -> std::sync::MutexGuard<'_, Option<Encoding>> {
        self.compression.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be received or sent any more.
    fn gone(&self) -> PyErr {
        let late = self.served.call.time_remaining().is_some_and(|left| left.is_zero());
        rpc_error(
            &if late {
                Status::new(Code::DeadlineExceeded, "the deadline of the call has passed")
            } else {
                Status::cancelled("the client has cancelled the call, or is gone")
            },
            None,
        )
    }

    fn is_cancelled(&self, state: &State) -> bool {
        state.cancelled || self.served.call.is_over()
    }

    pub(crate) fn fail(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        let status = status_of(py, error).inspect_err(|_| {
            let unsendable = Status::internal("the handler failed, with an error that cannot be sent");
            self.finish(unsendable, Answer::default());
        })?;
        let mut status = status.unwrap_or_else(|| Status::unknown("the handler failed"));
        status.metadata_mut().extend(set_metadata(py, &self.trailers).unwrap_or_default());
        self.finish(status, self.answer(py).unwrap_or_default());
        Ok(())
    }

    fn finish(&self, status: Status, answer: Answer) {
        // Refused only if the client is gone.
        let _ = self.served.call.finish(status, answer);
    }
}

#[pymethods]
impl SyncContext {
    /// The method that is called.
    #[getter]
    fn method(&self, py: Python<'_>) -> Py<Method> {
        self.method.clone_ref(py)
    }

    /// The request's metadata.
    #[getter]
    fn metadata(&self) -> Metadata {
        Metadata::of(self.served.call.metadata().clone())
    }

    /// Where in a trace the call is; `None` without telemetry.
    #[getter]
    fn traceparent(&self) -> Option<String> {
        self.served.call.traceparent()
    }

    /// The client's address.
    #[getter]
    fn peer(&self) -> String {
        self.served.call.peer().to_string()
    }

    /// Whom the client proved to be by a certificate; `None` if it did not.
    #[getter]
    fn tls_identity(&self) -> Option<TlsIdentity> {
        TlsIdentity::of(&self.served.call)
    }

    /// Who calls, as the token says (`sub`).
    #[getter]
    fn subject(&self) -> Option<&str> {
        self.served.call.claims()?.subject()
    }

    /// What the caller's token says; `None` if no token was asked for.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guard(|| claims(py, &self.served.call))
    }

    /// The seconds that the client still waits; `None` if it has set no limit.
    fn time_remaining(&self) -> Option<f64> {
        self.served.call.time_remaining().map(|left| left.as_secs_f64())
    }

    /// Whether nobody waits for an answer any more: the client is gone, or its deadline has passed.
    #[getter]
    fn cancelled(&self) -> bool {
        self.served.call.is_over()
    }

    /// Whether the last message that was received came compressed.
    #[getter]
    fn compressed(&self) -> bool {
        if self.number.is_some() && self.pool.check().is_ok() {
            return self.compressed || self.served.inbox.lock().compressed;
        }
        self.compressed
    }

    /// The leading metadata of the answer, to be set before its first message.
    #[getter]
    fn headers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        mutable(py, &self.headers)
    }

    /// The trailing metadata of the answer, to be set before the handler returns.
    #[getter]
    fn trailers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        mutable(py, &self.trailers)
    }

    /// Compresses the messages of the answer, if the client can read that: "gzip", "deflate", "zstd"; "identity" does not.
    fn set_compression(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            *self.compression() = encoding("compression", name)?;
            Ok(())
        })
    }

    /// Sends the leading metadata now, instead of with the first message.
    fn send_headers(&self, py: Python<'_>) -> PyResult<()> {
        guard(|| match self.served.call.headers(self.answer(py)?) {
            Err(OpError::Over(_) | OpError::ShutDown(_)) if self.served.call.is_over() => Err(self.gone()),
            other => other.map_err(|error| op_error(&error)),
        })
    }

    /// The next request of a stream; `None` at the end.
    fn _receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guard(|| {
            let next = wait_for(py, &self.served.inbox, |state| {
                if let Some(message) = state.take_message() {
                    return Some(Ok(Some(message)));
                }
                match self.is_cancelled(state) {
                    _ if state.half_closed => Some(Ok(None)),
                    true => Some(Err(())),
                    false => None,
                }
            })?;
            let Some((message, granted)) = next.map_err(|()| self.gone())? else { return Ok(None) };
            if granted > 0 {
                // Refused only if the client is gone.
                let _ = self.served.call.grant(granted);
            }
            self.method.get().request.decode(py, &message.bytes).map(Some)
        })
    }

    /// Sends a message of a stream; waits while the call is full.
    fn _send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            let method = self.method.get();
            let mut message = Some(method.response.encode(&method.path, message)?);
            let mut answer = Some(self.answer(py)?);
            let call = &self.served.call;
            let sent = wait_for(py, &self.served.inbox, |state| {
                if self.is_cancelled(state) {
                    return Some(Err(OpError::Over("")));
                }
                if state.full {
                    return None;
                }
                if !std::mem::replace(&mut state.headed, true)
                    && let Some(answer) = answer.take().filter(is_set)
                {
                    // Refused only if they were sent before.
                    let _ = call.headers(answer);
                }
                // Under the inbox's lock, so that the word of room to come cannot overtake the one of none.
                Some(call.send(message.take()?).map(|room| state.full = room == Room::Full))
            })?;
            sent.map_err(|error| match error {
                OpError::Over(_) | OpError::ShutDown(_) => self.gone(),
                OpError::Argument(text) => rpc_error(&Status::resource_exhausted(text), None),
                other => op_error(&other),
            })
        })
    }

    /// The number that the bell rings for the call.
    #[getter]
    fn _number(&self) -> u64 {
        self.served.inbox.number()
    }

    /// Answers the call with its only response.
    fn _respond(&self, response: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            let py = response.py();
            self.pool.check().map_err(|error| op_error(&error))?;
            let method = self.method.get();
            self.pool.hand_in(Finished {
                message: method.response.encode(&method.path, response)?,
                answer: self.answer(py)?,
                trailers: set_metadata(py, &self.trailers)?,
                served: self.served.clone(),
            });
            Ok(())
        })
    }

    /// Ends a stream with OK.
    fn _finish(&self, py: Python<'_>) -> PyResult<()> {
        guard(|| {
            let status = Status::ok().with_metadata(set_metadata(py, &self.trailers)?);
            self.finish(status, self.answer(py)?);
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        format!("<spanwire.sync.Context {}>", self.method.get().path)
    }

    /// Makes the call the one that the running code handles: calls that it makes end no later.
    fn _enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        guard(|| {
            parent::enter(slf)?;
            opentelemetry::enter(slf, slf.get().call())
        })
    }

    /// Ends the call with the status of an exception. Of one that is no `RpcError` the client learns nothing. Raises what
    /// is wrong with an `RpcError` that cannot be sent; the call fails with INTERNAL then.
    fn _fail(&self, py: Python<'_>, error: Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| self.fail(py, &PyErr::from_value(error)))
    }
}

impl Drop for SyncContext {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.pool.forget(number);
        }
    }
}

fn is_set(answer: &Answer) -> bool {
    !answer.headers.is_empty() || answer.compression.is_some()
}

/// A mapping to set metadata in, made when it is first asked for.
fn mutable(py: Python<'_>, slot: &PyOnceLock<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let made = slot.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("spanwire.metadata")?.getattr("MutableMetadata")?.call0()?.unbind())
    })?;
    Ok(made.clone_ref(py))
}

fn set_metadata(py: Python<'_>, slot: &PyOnceLock<Py<PyAny>>) -> PyResult<spanwire::Metadata> {
    match slot.get(py) {
        None => Ok(spanwire::Metadata::new()),
        Some(set) => metadata_from(&set.bind(py).call_method0("pairs")?),
    }
}
