//! Streaming calls, as their caller holds them: what the three kinds have in common, and what each adds.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use spanwire::{Kind, bridge};

use super::awaiting::{Awaiting, Wanted, ready};
use super::stream::{Sending, Stream, Want};
use crate::convert::metadata::Metadata;
use crate::guard::guard;

/// What the streaming kinds have in common. Dropping it cancels the call.
#[pyclass(frozen, subclass, weakref, module = "spanwire._native")]
pub(crate) struct StreamCall {
    pub(crate) stream: Arc<Stream>,
    pub(crate) call: Arc<bridge::Call>,
}

impl StreamCall {
    /// Cancels it, unless it is over.
    pub(crate) fn end(&self) {
        // What is forked or shut down has no call to cancel.
        let _ = self.call.cancel();
    }
}

#[pymethods]
impl StreamCall {
    fn cancel(&self) {
        self.end();
    }

    fn headers(slf: Py<Self>) -> Awaiting {
        Awaiting::new(Wanted::Stream(slf, Want::Headers))
    }

    /// The leading metadata, if they are there.
    #[getter]
    fn _headers(&self) -> Option<Metadata> {
        self.stream.known_headers().map(Metadata::of)
    }

    #[getter]
    fn trailers(&self) -> Option<Metadata> {
        self.stream.known(|outcome| Metadata::of(outcome.status.metadata().clone()))
    }

    #[getter]
    fn peer(&self) -> Option<String> {
        self.stream.known(|outcome| outcome.peer.as_ref().map(ToString::to_string))?
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.stream.known(|outcome| outcome.attempts).unwrap_or(0)
    }

    #[getter]
    fn compressed(&self) -> bool {
        self.stream.compressed()
    }

    #[getter]
    fn done(&self) -> bool {
        self.stream.known(|_| ()).is_some()
    }

    fn __aenter__(slf: Py<Self>) -> Awaiting {
        Awaiting::of(slf.into_any())
    }

    /// Whoever leaves early does not want the rest.
    fn __aexit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        self.end();
        ready(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get_type().name()?;
        let stream = &slf.get().stream;
        let status = stream.known(|outcome| outcome.status.code().name()).unwrap_or("running");
        Ok(format!("<spanwire.{name} {} {status}>", stream.method.get().path))
    }
}

type Own<'py, T> = Bound<'py, T>;

fn wanting(call: Bound<'_, StreamCall>, want: Want) -> Awaiting {
    Awaiting::new(Wanted::Stream(call.unbind(), want))
}

/// Sends one message: what is awaited is done, or waits for room.
fn send<'py>(call: Bound<'py, StreamCall>, message: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
    guard(|| {
        let py = call.py();
        let stream = &call.get().stream;
        let method = stream.method.get();
        let bytes = method.request.encode(&method.path, message)?;
        let want = match stream.send(py, bytes.clone())? {
            Sending::Ready => return ready(py),
            Sending::Full => Want::Room,
            Sending::Blocked | Sending::Over => Want::Send(Some(bytes)),
        };
        Ok(wanting(call, want).into_pyobject(py)?.into_any().unbind())
    })
}

fn half_close(call: &Bound<'_, StreamCall>) -> PyResult<Py<PyAny>> {
    call.get().stream.half_close(call.py());
    ready(call.py())
}

/// A call with one request and any number of responses.
#[pyclass(frozen, extends = StreamCall, module = "spanwire._native")]
pub(crate) struct ServerStreamingCall;

#[pymethods]
impl ServerStreamingCall {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Message { iterating: true })
    }

    fn receive(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Message { iterating: false })
    }

    fn receive_batch(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Batch)
    }
}

/// A call with any number of requests and one response.
#[pyclass(frozen, extends = StreamCall, module = "spanwire._native")]
pub(crate) struct ClientStreamingCall {
    /// An iterable gives the requests: it ends them, too.
    fed: bool,
}

#[pymethods]
impl ClientStreamingCall {
    #[pyo3(signature = (message, /))]
    fn send<'py>(slf: Own<'py, Self>, message: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        by_hand(slf.get().fed)?;
        send(slf.into_super(), message)
    }

    fn done_sending(slf: Own<'_, Self>) -> PyResult<Py<PyAny>> {
        by_hand(slf.get().fed)?;
        half_close(&slf.into_super())
    }

    /// Half-closes, unless an iterable still gives requests, and waits for the response.
    fn __await__(slf: Own<'_, Self>) -> Awaiting {
        let fed = slf.get().fed;
        let call = slf.into_super();
        if !fed {
            call.get().stream.half_close(call.py());
        }
        wanting(call, Want::Summary)
    }
}

/// A call with any number of messages each way.
#[pyclass(frozen, extends = StreamCall, module = "spanwire._native")]
pub(crate) struct BidiCall {
    fed: bool,
}

#[pymethods]
impl BidiCall {
    #[pyo3(signature = (message, /))]
    fn send<'py>(slf: Own<'py, Self>, message: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        by_hand(slf.get().fed)?;
        send(slf.into_super(), message)
    }

    fn done_sending(slf: Own<'_, Self>) -> PyResult<Py<PyAny>> {
        by_hand(slf.get().fed)?;
        half_close(&slf.into_super())
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Message { iterating: true })
    }

    fn receive(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Message { iterating: false })
    }

    fn receive_batch(slf: Own<'_, Self>) -> Awaiting {
        wanting(slf.into_super(), Want::Batch)
    }
}

fn by_hand(fed: bool) -> PyResult<()> {
    if fed {
        Err(PyRuntimeError::new_err("an iterable gives this call's requests: none can be sent by hand"))
    } else {
        Ok(())
    }
}

/// The call object of a kind.
pub(crate) fn of_kind(py: Python<'_>, kind: Kind, base: StreamCall, fed: bool) -> PyResult<Py<PyAny>> {
    let base = PyClassInitializer::from(base);
    Ok(match kind {
        Kind::ClientStreaming => Py::new(py, base.add_subclass(ClientStreamingCall { fed }))?.into_any(),
        Kind::Bidi => Py::new(py, base.add_subclass(BidiCall { fed }))?.into_any(),
        _ => Py::new(py, base.add_subclass(ServerStreamingCall))?.into_any(),
    })
}

/// What an iterable's task feeds a call by. It does not keep the call alive.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Feed(pub(crate) Arc<Stream>);

#[pymethods]
impl Feed {
    /// Sends a message. `None`: the next one may follow; else that is to be awaited first.
    fn send<'py>(&self, py: Python<'py>, message: &Bound<'py, PyAny>) -> PyResult<Option<Awaiting>> {
        guard(|| {
            let method = self.0.method.get();
            let bytes = method.request.encode(&method.path, message)?;
            Ok(match self.0.send(py, bytes.clone())? {
                Sending::Ready => None,
                Sending::Full => Some(Want::Room),
                Sending::Blocked | Sending::Over => Some(Want::Send(Some(bytes))),
            }
            .map(|want| Awaiting::new(Wanted::Feed(self.0.clone(), want))))
        })
    }

    fn half_close(&self, py: Python<'_>) {
        self.0.half_close(py);
    }

    fn fail(&self, failure: Bound<'_, PyAny>) {
        self.0.fail(PyErr::from_value(failure));
    }

    #[getter]
    fn done(&self) -> bool {
        self.0.known(|_| ()).is_some()
    }
}
