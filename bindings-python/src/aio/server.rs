//! Servers of an event loop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use spanwire::bridge::{self, Destination, Event, EventKind};

use super::awaiting::{Awaiting, Wanted};
use super::context::{Context, Served};
use super::event_loop::{Entry, Loop, current, lock};
use super::handling::Handling;
use super::waiters::{Waiter, Waiters};
use crate::convert::message::Method;
use crate::convert::options::server_options;
use crate::convert::status::op_error;
use crate::credit::Credit;
use crate::engine;
use crate::guard::guard;

/// Where the calls of a method go.
pub(crate) struct Route {
    pub(crate) method: Py<Method>,
    /// `(request or requests, context)`, and gives a coroutine or an async generator.
    pub(crate) handler: Py<PyAny>,
    /// `(coroutine, name)`: runs it as a task.
    start: Py<PyAny>,
}

impl Route {
    /// A call came: its handler begins.
    ///
    /// # Errors
    /// What must end the program. Everything else ends the call.
    pub(crate) fn start(
        self: &Arc<Self>,
        py: Python<'_>,
        event_loop: &Arc<Loop>,
        mut event: Event,
    ) -> PyResult<()> {
        let EventKind::Request(request) = &mut event.kind else { return Ok(()) };
        let message = request.message.take();
        let mut served = None;
        let key = event.server_call().map(|call| {
            call.handle(|call| {
                let made = Arc::new(Served::new(event_loop.clone(), self.clone(), call));
                served = Some(made.clone());
                Ok(event_loop.insert(Entry::Served(made)))
            })
        });
        let (Some(Ok(key)), Some(served)) = (key, served) else { return Ok(()) };
        // Its only writer is this line.
        let _ = served.key.set(key);
        let started = Py::new(py, Context::new(served.clone())).and_then(|context| {
            let handling = Py::new(py, Handling::new(served.clone(), context, message))?;
            self.start.call1(py, (handling, &self.method.get().path))
        });
        match started {
            // One that has ended already is not kept.
            Ok(task) if event_loop.has(key) => {
                served.set_task(task);
                event_loop.put_in_line();
            }
            Ok(_) => {}
            Err(error) if error.is_instance_of::<PyException>(py) => {
                error.write_unraisable(py, None);
                served.finish(
                    py,
                    spanwire::Status::internal("the handler could not be started"),
                    Default::default(),
                );
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A server, for the event loop that it was made on. See `spanwire.Server`.
#[pyclass(frozen, weakref, module = "spanwire._native")]
pub(crate) struct Server {
    server: bridge::Server,
    event_loop: Arc<Loop>,
    routes: Mutex<Vec<usize>>,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (options = None))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        guard(|| {
            let options = server_options(options)?;
            let server =
                bridge::Server::new(&engine::get(py)?, &options).map_err(|error| op_error(&error))?;
            Ok(Server { server, event_loop: current(py)?, routes: Mutex::default() })
        })
    }

    /// Has a handler answer the calls of a method; `start(coroutine, name)` makes its task.
    fn add(&self, method: Py<Method>, handler: Py<PyAny>, start: Py<PyAny>) -> PyResult<()> {
        guard(|| {
            let (path, kind) = (method.get().path.clone(), method.get().kind);
            let tag = self.event_loop.insert_route(Arc::new(Route { method, handler, start }));
            lock(&self.routes).push(tag);
            let queue = self.event_loop.queue.clone();
            let to = Destination { queue, tag, credit: Credit::FIRST, attachment: None };
            self.server.method(&path, kind, &to).map_err(|error| op_error(&error))
        })
    }

    /// Listens. Waits for the address, without the interpreter.
    fn listen(&self, py: Python<'_>, address: &str) -> PyResult<()> {
        guard(|| py.detach(|| self.server.listen(address)).map_err(|error| op_error(&error)))
    }

    #[getter]
    fn port(&self) -> Option<u16> {
        self.server.port()
    }

    #[getter]
    fn target(&self) -> &str {
        self.server.target()
    }

    /// Says whether a service can be called.
    fn set_health(&self, service: &str, serving: bool) -> PyResult<()> {
        guard(|| self.server.set_health(service, serving).map_err(|error| op_error(&error)))
    }

    /// Stops accepting, lets calls end for `grace` seconds, and ends the rest; awaitable.
    fn shutdown(&self, py: Python<'_>, grace: f64) -> PyResult<Awaiting> {
        guard(|| {
            let closing = Arc::new(Closing::new(self.event_loop.clone()));
            let key = self.event_loop.insert(Entry::Closing(closing.clone()));
            let grace = Duration::try_from_secs_f64(grace.max(0.0)).unwrap_or(Duration::MAX);
            self.server.shutdown(grace, &self.event_loop.queue, key).map_err(|error| {
                drop(self.event_loop.remove(key));
                op_error(&error)
            })?;
            let _ = py;
            Ok(Awaiting::new(Wanted::Closed(closing)))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for tag in std::mem::take(&mut *lock(&self.routes)) {
            self.event_loop.remove_route(tag);
        }
    }
}

/// A server that is being closed.
pub(crate) struct Closing {
    pub(crate) event_loop: Arc<Loop>,
    state: Mutex<(bool, Waiters)>,
}

impl Closing {
    fn new(event_loop: Arc<Loop>) -> Self {
        Closing { event_loop, state: Mutex::default() }
    }

    pub(crate) fn done(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = lock(&self.state);
        state.0 = true;
        let waiters = state.1.take();
        drop(state);
        waiters.wake(py)
    }

    pub(crate) fn is_done(&self) -> bool {
        lock(&self.state).0
    }

    /// Adds a waiter, which the task that runs is about to wait for.
    pub(crate) fn wait(&self, py: Python<'_>, waiter: Waiter) -> PyResult<()> {
        let mut state = lock(&self.state);
        if state.0 {
            drop(state);
            return waiter.wake(py);
        }
        state.1.add(waiter);
        Ok(())
    }
}
