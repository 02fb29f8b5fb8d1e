//! Servers whose handlers run on threads, or on greenlets.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use spanwire::Kind;
use spanwire::bridge::{Destination, Queue, Server};

use super::bell::{Bell, Rope, next_number};
use super::context::SyncContext;
use super::pool::{Pool, Work};
use super::wait::{detached, slice, wait_for, would_block};
use crate::convert::message::Method;
use crate::convert::options::server_options;
use crate::convert::status::op_error;
use crate::credit::Credit;
use crate::engine;
use crate::guard::guard;
use crate::parent;

/// A server, and the work that its threads take. With a bell nothing waits: operations raise `BlockingIOError`.
#[pyclass(module = "spanwire._native", frozen)]
pub(crate) struct SyncServer {
    server: Server,
    pool: Arc<Pool>,
    queue: Queue,
    methods: Vec<Py<Method>>,
    number: u64,
}

/// What a thread is to do next: the index of the method, the request of kinds with one, the call.
type Task<'py> = (usize, Option<Bound<'py, PyAny>>, SyncContext);

#[pymethods]
impl SyncServer {
    /// A server of these methods.
    #[new]
    #[pyo3(signature = (methods, options = None, bell = None))]
    fn new(
        py: Python<'_>,
        methods: &Bound<'_, PyList>,
        options: Option<&Bound<'_, PyDict>>,
        bell: Option<&Bound<'_, Bell>>,
    ) -> PyResult<Self> {
        guard(|| {
            let server = Server::new(&engine::get(py)?, &server_options(options)?)
                .map_err(|error| op_error(&error))?;
            let methods: Vec<Py<Method>> = methods.extract()?;
            let kinds: Vec<Kind> = methods.iter().map(|method| method.get().kind).collect();
            let number = next_number();
            let pool = Arc::new(Pool::new(kinds, bell.map(|bell| Rope::new(bell.get(), number))));
            let routed = pool.clone();
            let queue = Queue::with_router(move |queue| routed.route(queue));
            for (tag, method) in methods.iter().enumerate() {
                let to = Destination { queue: queue.clone(), tag, credit: Credit::FIRST, attachment: None };
                let method = method.get();
                server.method(&method.path, method.kind, &to).map_err(|error| op_error(&error))?;
            }
            Ok(SyncServer { server, pool, queue, methods, number })
        })
    }

    /// The number that the bell rings for the server.
    #[getter]
    fn number(&self) -> u64 {
        self.number
    }

    /// Listens, and serves from then on.
    fn listen(&self, py: Python<'_>, address: &str) -> PyResult<()> {
        guard(|| {
            parent::serving();
            detached(py, || self.server.listen(address)).map_err(|error| op_error(&error))
        })
    }

    /// The port, if it listens on TCP.
    #[getter]
    fn port(&self) -> Option<u16> {
        self.server.port()
    }

    /// A target for channels on this machine; empty until it listens.
    #[getter]
    fn target(&self) -> &str {
        self.server.target()
    }

    /// Says whether a service can be called.
    fn set_health(&self, service: &str, serving: bool) -> PyResult<()> {
        guard(|| self.server.set_health(service, serving).map_err(|error| op_error(&error)))
    }

    /// Begins to drain: calls that are left after so many seconds are ended. `wait` tells when that is done.
    #[pyo3(signature = (grace = None))]
    fn shutdown(&self, grace: Option<f64>) -> PyResult<()> {
        guard(|| {
            let grace = grace
                .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
                .unwrap_or(FOREVER);
            self.server.shutdown(grace, &self.queue, 0).map_err(|error| op_error(&error))
        })
    }

    /// Waits until the server is closed.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        guard(|| wait_for(py, &self.pool.server, |state| state.closed.then_some(())))
    }

    /// Ends the threads when they come for more work.
    fn release(&self) {
        if self.pool.check().is_ok() {
            self.pool.close();
        }
    }

    /// Waits for the next task. `None`: the thread is to end.
    fn next_task<'py>(&self, py: Python<'py>) -> PyResult<Option<Task<'py>>> {
        guard(|| {
            self.pool.check().map_err(|error| op_error(&error))?;
            let mut arriving = false;
            loop {
                while let Some(work) = self.pool.take_work(std::mem::take(&mut arriving)) {
                    // Nobody waits for what nobody began.
                    if work.served.call.is_over() {
                        self.pool.discard([work]);
                        continue;
                    }
                    if let Some(task) = self.task(py, work)? {
                        return Ok(Some(task));
                    }
                }
                if self.pool.is_closed() {
                    return Ok(None);
                }
                if self.pool.rings() {
                    return Err(would_block());
                }
                let slice = slice(py)?;
                detached(py, || self.pool.wait(slice));
                arriving = true;
                py.check_signals()?;
            }
        })
    }
}

/// As good as no limit.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

impl SyncServer {
    /// `None`: the request cannot be read, and was answered so.
    fn task<'py>(&self, py: Python<'py>, work: Work) -> PyResult<Option<Task<'py>>> {
        let method = &self.methods[work.method];
        let context = SyncContext::new(
            work.served,
            self.pool.clone(),
            work.number,
            method.clone_ref(py),
            work.message.as_ref(),
        );
        let request = match &work.message {
            None => None,
            Some(message) => match method.get().request.decode(py, &message.bytes) {
                Ok(request) => Some(request),
                Err(error) => {
                    context.fail(py, &error)?;
                    return Ok(None);
                }
            },
        };
        Ok(Some((work.method, request, context)))
    }
}
