//! A call that a server received: what its events change, and what its handler sees of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use spanwire::bridge::{Answer, EventKind, OpError, Outgoing, Received, Room, ServerCall};
use spanwire::{Encoding, Metadata as CoreMetadata, Status};

use super::awaiting::{Awaiting, Wanted, ready};
use super::event_loop::{Loop, lock};
use super::server::Route;
use super::stream::{Sending, Want, list_of};
use super::waiters::{Waiter, Waiters};
use crate::convert::identity::{TlsIdentity, claims};
use crate::convert::message::Method;
use crate::convert::metadata::{Metadata, metadata_from};
use crate::convert::options::encoding;
use crate::convert::status::{op_error, rpc_error};
use crate::credit::Credit;
use crate::guard::guard;
use crate::imported::Imported;

/// What the table knows of a call.
pub(crate) struct Served {
    pub(crate) event_loop: Arc<Loop>,
    pub(crate) route: Arc<Route>,
    pub(crate) call: ServerCall,
    pub(crate) key: OnceLock<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    /// Whether the last message that was taken came compressed.
    compressed: bool,
    /// The handler's task, to be cancelled with the call.
    task: Option<Py<PyAny>>,
    compression: Option<Encoding>,
    /// The leading metadata went out.
    headed: bool,
    /// Of a call with a stream on either side; the others do without.
    stream: Option<Box<StreamState>>,
}

struct StreamState {
    inbox: VecDeque<Received>,
    end: bool,
    credit: Credit,
    full: bool,
    readers: Waiters,
    writers: Waiters,
}

impl Served {
    pub(crate) fn new(event_loop: Arc<Loop>, route: Arc<Route>, call: ServerCall) -> Self {
        let unary = route.method.get().kind == spanwire::Kind::Unary;
        let stream = (!unary).then(|| {
            Box::new(StreamState {
                inbox: VecDeque::new(),
                end: false,
                credit: Credit::new(),
                full: false,
                readers: Waiters::default(),
                writers: Waiters::default(),
            })
        });
        let state = Mutex::new(State { stream, ..State::default() });
        Served { event_loop, route, call, key: OnceLock::new(), state }
    }

    pub(crate) fn handle(&self, py: Python<'_>, event: EventKind) -> PyResult<()> {
        let mut state = lock(&self.state);
        let mut woken = Vec::new();
        let mut task = None;
        if let EventKind::Cancelled = event {
            state.cancelled = true;
            task = state.task.take();
        }
        if let Some(stream) = &mut state.stream {
            match event {
                EventKind::Messages { messages, end } => {
                    stream.inbox.extend(messages);
                    stream.end |= end;
                    woken.push(stream.readers.take());
                }
                EventKind::Writable => {
                    stream.full = false;
                    woken.push(stream.writers.take());
                }
                _ => {}
            }
        }
        drop(state);
        if let Some(task) = task {
            // It may have ended by itself.
            let _ = task.call_method0(py, intern!(py, "cancel"));
        }
        Waiters::wake_all(py, woken)
    }

    /// Keeps the handler's task for as long as the call lasts.
    pub(crate) fn set_task(&self, task: Py<PyAny>) {
        lock(&self.state).task = Some(task);
    }

    /// The only request was taken.
    pub(crate) fn set_compressed(&self, compressed: bool) {
        lock(&self.state).compressed = compressed;
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.state).cancelled
    }

    pub(crate) fn take(&self, py: Python<'_>, want: &mut Want) -> PyResult<Option<Py<PyAny>>> {
        match want {
            Want::Message { iterating } => self.next(py, *iterating),
            Want::Batch => self.batch(py),
            Want::Room => Ok(self.has_room().then(|| py.None())),
            Want::Send(_) | Want::Headers | Want::Summary => Ok(Some(py.None())),
        }
    }

    pub(crate) fn wait(&self, want: &Want, waiter: Waiter) {
        let mut state = lock(&self.state);
        let Some(stream) = &mut state.stream else { return };
        match want {
            Want::Message { .. } | Want::Batch => stream.readers.add(waiter),
            _ => stream.writers.add(waiter),
        }
    }

    fn next(&self, py: Python<'_>, iterating: bool) -> PyResult<Option<Py<PyAny>>> {
        let mut state = lock(&self.state);
        let Some(stream) = &mut state.stream else { return Ok(Some(py.None())) };
        let Some(message) = stream.inbox.pop_front() else {
            return match stream.end {
                false => Ok(None),
                true if iterating => Err(PyStopAsyncIteration::new_err(())),
                true => Ok(Some(py.None())),
            };
        };
        let grant = if stream.end { 0 } else { stream.credit.taken(message.bytes.len()) };
        state.compressed = message.compressed;
        drop(state);
        self.grant(py, grant);
        self.route.method.get().request.decode(py, &message.bytes).map(|message| Some(message.unbind()))
    }

    fn batch(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = lock(&self.state);
        let Some(stream) = &mut state.stream else { return Ok(Some(PyList::empty(py).into_any().unbind())) };
        if stream.inbox.is_empty() && !stream.end {
            return Ok(None);
        }
        let messages = std::mem::take(&mut stream.inbox);
        let grant: u32 = messages.iter().map(|message| stream.credit.taken(message.bytes.len())).sum();
        let grant = if stream.end { 0 } else { grant };
        state.compressed = messages.back().is_some_and(|message| message.compressed);
        drop(state);
        self.grant(py, grant);
        list_of(py, &self.route.method.get().request, messages).map(Some)
    }

    fn grant(&self, py: Python<'_>, messages: u32) {
        if messages > 0 {
            self.event_loop.before_operation(py);
            // An error is that it is over, which its own event tells.
            let _ = self.call.grant(messages);
        }
    }

    fn has_room(&self) -> bool {
        !lock(&self.state).stream.as_ref().is_some_and(|stream| stream.full)
    }

    /// Sends a message of a stream. `Blocked` is not answered: one handler sends one after the other.
    pub(crate) fn send(
        &self,
        py: Python<'_>,
        context: &Context,
        message: Outgoing,
    ) -> PyResult<Result<Sending, OpError>> {
        if !lock(&self.state).headed {
            let answer = context.take_answer(py)?;
            lock(&self.state).headed = true;
            if !answer.headers.is_empty() || answer.compression.is_some() {
                // An error is that it is over, which the next line finds out, too.
                let _ = self.call.headers(answer);
            }
        }
        self.event_loop.before_operation(py);
        let sent = self.call.send(message);
        if let Ok(Room::Full) = sent
            && let Some(stream) = &mut lock(&self.state).stream
        {
            stream.full = true;
        }
        Ok(sent.map(|room| if room == Room::Full { Sending::Full } else { Sending::Ready }))
    }

    /// The whole answer of a call that has one message.
    pub(crate) fn respond(
        self: &Arc<Self>,
        py: Python<'_>,
        context: &Context,
        message: Outgoing,
    ) -> PyResult<()> {
        let answer = context.take_answer(py)?;
        let trailers = context.take_trailers(py)?;
        self.event_loop.before_operation(py);
        match self.call.respond(message, answer, trailers) {
            Err(OpError::Argument(text)) => Err(rpc_error(&Status::resource_exhausted(text), None)),
            result => {
                self.over(result);
                Ok(())
            }
        }
    }

    /// Ends the call with a status.
    pub(crate) fn finish(&self, py: Python<'_>, status: Status, answer: Answer) {
        self.event_loop.before_operation(py);
        self.over(self.call.finish(status, answer));
    }

    /// What ended by us has no further event; else its event is on its way, and finds the entry.
    fn over(&self, result: Result<(), OpError>) {
        let mut state = lock(&self.state);
        let task = state.task.take();
        drop(state);
        drop(task);
        if result.is_ok()
            && let Some(key) = self.key.get()
        {
            drop(self.event_loop.remove(*key));
        }
    }
}

/// What a handler knows of its call, and what it can do beside answering it. See `spanwire.Context`.
#[pyclass(frozen, weakref, module = "spanwire._native")]
pub(crate) struct Context {
    pub(crate) served: Arc<Served>,
    headers: PyOnceLock<Py<PyAny>>,
    trailers: PyOnceLock<Py<PyAny>>,
}

impl Context {
    pub(crate) fn new(served: Arc<Served>) -> Self {
        Context { served, headers: PyOnceLock::new(), trailers: PyOnceLock::new() }
    }

    /// What the handler wants to go in front of its answer.
    pub(crate) fn take_answer(&self, py: Python<'_>) -> PyResult<Answer> {
        let headers = set_in(py, &self.headers)?;
        let mut state = lock(&self.served.state);
        let compression = state.compression.take();
        let headers = if state.headed { CoreMetadata::new() } else { headers };
        Ok(Answer { headers, compression })
    }

    /// What it wants to go behind.
    pub(crate) fn take_trailers(&self, py: Python<'_>) -> PyResult<CoreMetadata> {
        set_in(py, &self.trailers)
    }
}

/// Most handlers set nothing: there is no object then.
fn set_in(py: Python<'_>, metadata: &PyOnceLock<Py<PyAny>>) -> PyResult<CoreMetadata> {
    let Some(metadata) = metadata.get(py) else { return Ok(CoreMetadata::new()) };
    metadata_from(&metadata.bind(py).call_method0(intern!(py, "pairs"))?)
}

fn to_set(py: Python<'_>, metadata: &PyOnceLock<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    static CLASS: Imported = Imported::new("spanwire.metadata", "MutableMetadata");
    let class = CLASS.get(py)?;
    metadata.get_or_try_init(py, || Ok(class.call0()?.unbind())).map(|metadata| metadata.clone_ref(py))
}

#[pymethods]
impl Context {
    #[getter]
    fn method(&self, py: Python<'_>) -> Py<Method> {
        self.served.route.method.clone_ref(py)
    }

    #[getter]
    fn metadata(&self) -> Metadata {
        Metadata::of(self.served.call.metadata().clone())
    }

    #[getter]
    fn traceparent(&self) -> Option<String> {
        self.served.call.traceparent()
    }

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

    /// Seconds that the client still waits; `None` without a deadline.
    fn time_remaining(&self) -> Option<f64> {
        self.served.call.time_remaining().map(|left| left.as_secs_f64())
    }

    #[getter]
    fn headers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_set(py, &self.headers)
    }

    #[getter]
    fn trailers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_set(py, &self.trailers)
    }

    fn set_compression(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            lock(&self.served.state).compression = encoding("compression", name)?;
            Ok(())
        })
    }

    /// Sends the leading metadata now.
    fn send_headers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        guard(|| {
            if lock(&self.served.state).headed {
                return Err(PyRuntimeError::new_err(
                    "the headers were sent already: trailers can still follow",
                ));
            }
            let answer = self.take_answer(py)?;
            lock(&self.served.state).headed = true;
            match self.served.call.headers(answer) {
                // Its task is about to be cancelled.
                Ok(()) | Err(OpError::Over(_)) => ready(py),
                Err(error) => Err(op_error(&error)),
            }
        })
    }

    #[getter]
    fn compressed(&self) -> bool {
        lock(&self.served.state).compressed
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.served.is_cancelled()
    }

    fn __repr__(&self) -> String {
        format!("<spanwire.Context {}>", self.served.route.method.get().path)
    }
}

/// The requests of a call, as its handler iterates over them.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Requests(pub(crate) Arc<Served>);

#[pymethods]
impl Requests {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(&self) -> Awaiting {
        Awaiting::new(Wanted::Served(self.0.clone(), Want::Message { iterating: true }))
    }

    fn receive(&self) -> Awaiting {
        Awaiting::new(Wanted::Served(self.0.clone(), Want::Message { iterating: false }))
    }

    fn receive_batch(&self) -> Awaiting {
        Awaiting::new(Wanted::Served(self.0.clone(), Want::Batch))
    }
}
