//! The coroutine of a handler's task: runs what the service wrote, and answers the call with what comes of it.
//!
//! ```text
//! Begin ─► Coroutine ─► the response                                  one response
//!      └─► Generator ─► Item ─► (Room) ─► Item … ─► the end           a stream of them
//!                 any error ─► a status
//! ```

use std::sync::Arc;

use pyo3::exceptions::{PyException, PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use pyo3::types::iterator::PySendResult;
use spanwire::Status;
use spanwire::bridge::Received;

use super::awaiting::{Awaiting, Wanted, thrown};
use super::context::{Context, Requests, Served};
use super::stream::{Sending, Want};
use crate::convert::status::status_of;
use crate::guard::guard;
use crate::imported::Imported;
use crate::{opentelemetry, parent};

/// So many messages of a generator that never waits are sent before others have their turn.
const MESSAGES_PER_TURN: u32 = 256;

/// See the [module](self).
#[pyclass(weakref, module = "spanwire._native")]
pub(crate) struct Handling {
    served: Arc<Served>,
    context: Py<Context>,
    stage: Stage,
    /// Messages since the task last stepped aside.
    sent: u32,
}

enum Stage {
    Begin(Option<Received>),
    Coroutine(Py<PyAny>),
    Generator { generator: Py<PyAny>, step: Option<(Step, Py<PyAny>)> },
    Over,
}

/// What a generator's task waits for.
#[derive(Clone, Copy)]
enum Step {
    Item,
    Room,
    /// The generator ends, because the call did.
    Closing,
}

/// What a step of the task comes to.
enum Turn<'py> {
    /// It waits for this.
    Aside(Bound<'py, PyAny>),
    /// The call is answered.
    Over,
}

impl Handling {
    pub(crate) fn new(served: Arc<Served>, context: Py<Context>, request: Option<Received>) -> Self {
        Handling { served, context, stage: Stage::Begin(request), sent: 0 }
    }

    /// One turn of the task.
    fn turn<'py>(
        &mut self,
        py: Python<'py>,
        sent: Result<Bound<'py, PyAny>, PyErr>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.run(py, sent) {
            Ok(Turn::Aside(what)) => Ok(what),
            Ok(Turn::Over) => {
                self.stage = Stage::Over;
                Err(PyStopIteration::new_err(()))
            }
            Err(error) => {
                self.stage = Stage::Over;
                self.failed(py, error)
            }
        }
    }

    fn run<'py>(&mut self, py: Python<'py>, sent: Result<Bound<'py, PyAny>, PyErr>) -> PyResult<Turn<'py>> {
        if let Stage::Begin(_) = &self.stage {
            // Cancelled before it began: nothing did.
            sent.as_ref().map_err(|error| error.clone_ref(py))?;
            self.begin(py)?;
        }
        match &self.stage {
            Stage::Coroutine(coroutine) => match resume(coroutine.bind(py), sent)? {
                PySendResult::Next(aside) => Ok(Turn::Aside(aside)),
                PySendResult::Return(response) => {
                    let method = self.served.route.method.get();
                    let bytes = method.response.encode(&method.path, &response)?;
                    self.served.respond(py, self.context.get(), bytes)?;
                    Ok(Turn::Over)
                }
            },
            Stage::Generator { .. } => self.generate(py, sent),
            Stage::Begin(_) | Stage::Over => Ok(Turn::Over),
        }
    }

    /// Calls the handler.
    fn begin(&mut self, py: Python<'_>) -> PyResult<()> {
        let Stage::Begin(request) = std::mem::replace(&mut self.stage, Stage::Over) else { return Ok(()) };
        parent::serving();
        let context = self.context.bind(py);
        parent::enter(context)?;
        opentelemetry::enter(context, &self.served.call)?;
        let route = &self.served.route;
        let method = route.method.get();
        let request = match request {
            Some(message) => {
                self.served.set_compressed(message.compressed);
                method.request.decode(py, &message.bytes)?
            }
            None => Requests(self.served.clone()).into_pyobject(py)?.into_any(),
        };
        let handled = route.handler.bind(py).call1((request, &self.context))?;
        self.stage = if method.kind.one_response() {
            Stage::Coroutine(coroutine_of(&handled)?.unbind())
        } else {
            let generator = handled
                .call_method0(intern!(py, "__aiter__"))
                .map_err(|_| not_async(&handled, "an async generator"))?;
            Stage::Generator { generator: generator.unbind(), step: None }
        };
        Ok(())
    }

    fn generate<'py>(
        &mut self,
        py: Python<'py>,
        mut sent: Result<Bound<'py, PyAny>, PyErr>,
    ) -> PyResult<Turn<'py>> {
        loop {
            let Stage::Generator { generator, step } = &mut self.stage else { return Ok(Turn::Over) };
            let (what, waited) = match step.take() {
                Some(step) => step,
                None => (Step::Item, generator.bind(py).call_method0(intern!(py, "__anext__"))?.unbind()),
            };
            let given = std::mem::replace(&mut sent, Ok(py.None().into_bound(py)));
            let item = match (what, resume(&awaited(waited.bind(py))?, given)) {
                (_, Ok(PySendResult::Next(aside))) => {
                    *step = Some((what, waited));
                    self.sent = 0;
                    return Ok(Turn::Aside(aside));
                }
                (Step::Item, Ok(PySendResult::Return(item))) => item,
                (Step::Item, Err(error)) if error.is_instance_of::<PyStopAsyncIteration>(py) => {
                    return self.complete(py).map(|()| Turn::Over);
                }
                (Step::Room, Ok(_)) => continue,
                (Step::Closing, Ok(_)) => return Ok(Turn::Over),
                // A wait for room that is cancelled is told to the generator, as if it waited itself.
                (Step::Room, Err(error)) => {
                    let thrown =
                        generator.bind(py).call_method1(intern!(py, "athrow"), (error.into_value(py),))?;
                    *step = Some((Step::Item, thrown.unbind()));
                    continue;
                }
                (_, Err(error)) => return Err(error),
            };
            let method = self.served.route.method.get();
            let bytes = method.response.encode(&method.path, &item)?;
            match self.served.send(py, self.context.get(), bytes)? {
                Ok(Sending::Ready) => {}
                Ok(_) => {
                    let room = Awaiting::new(Wanted::Served(self.served.clone(), Want::Room));
                    *step = Some((Step::Room, room.into_pyobject(py)?.into_any().unbind()));
                }
                Err(spanwire::bridge::OpError::Argument(text)) => {
                    return Err(crate::convert::status::rpc_error(&Status::resource_exhausted(text), None));
                }
                Err(_) => {
                    let closing = generator.bind(py).call_method0(intern!(py, "aclose"))?;
                    *step = Some((Step::Closing, closing.unbind()));
                }
            }
            self.sent += 1;
            if self.sent >= MESSAGES_PER_TURN {
                self.sent = 0;
                return Ok(Turn::Aside(py.None().into_bound(py)));
            }
        }
    }

    /// A stream of responses came to its end.
    fn complete(&self, py: Python<'_>) -> PyResult<()> {
        let context = self.context.get();
        let answer = context.take_answer(py)?;
        self.served.finish(py, Status::ok().with_metadata(context.take_trailers(py)?), answer);
        Ok(())
    }

    /// Answers with a status. What ends more than this call goes on.
    fn failed<'py>(&self, py: Python<'py>, error: PyErr) -> PyResult<Bound<'py, PyAny>> {
        let answer = self.context.get().take_answer(py).unwrap_or_default();
        let status = match status_of(py, &error) {
            Ok(Some(status)) => status,
            _ if !error.is_instance_of::<PyException>(py) => {
                self.served.finish(py, Status::cancelled("the handler was cancelled"), answer);
                return Err(error);
            }
            _ => {
                log_failure(py, &self.served.route.method.get().path, error);
                Status::unknown("the handler failed")
            }
        };
        let mut status = status;
        if let Ok(trailers) = self.context.get().take_trailers(py) {
            status.metadata_mut().extend(trailers);
        }
        self.served.finish(py, status, answer);
        Err(PyStopIteration::new_err(()))
    }
}

/// Sends into what runs, or throws.
fn resume<'py>(
    what: &Bound<'py, PyAny>,
    sent: Result<Bound<'py, PyAny>, PyErr>,
) -> PyResult<PySendResult<'py>> {
    let py = what.py();
    match sent {
        Ok(value) => {
            // SAFETY: any object may be sent to; it raises TypeError if it takes nothing.
            unsafe { what.clone().cast_into_unchecked::<PyIterator>() }.send(&value)
        }
        Err(error) => match what.call_method1(intern!(py, "throw"), (error.into_value(py),)) {
            Ok(aside) => Ok(PySendResult::Next(aside)),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                Ok(PySendResult::Return(error.value(py).getattr(intern!(py, "value"))?))
            }
            Err(error) => Err(error),
        },
    }
}

/// The iterator behind what a generator's methods give: they are their own.
fn awaited<'py>(what: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if what.hasattr(intern!(what.py(), "throw"))? {
        Ok(what.clone())
    } else {
        what.call_method0(intern!(what.py(), "__await__"))
    }
}

fn coroutine_of<'py>(handled: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handled.py();
    if handled.hasattr(intern!(py, "send"))? {
        return Ok(handled.clone());
    }
    handled.call_method0(intern!(py, "__await__")).map_err(|_| not_async(handled, "a coroutine"))
}

fn not_async(handled: &Bound<'_, PyAny>, due: &str) -> PyErr {
    let given = handled.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("a handler gave {given} where {due} is due: is it declared with async def?"))
}

/// A fault of a handler is its author's to see, and nobody else's.
fn log_failure(py: Python<'_>, path: &str, error: PyErr) {
    static LOG: Imported = Imported::new("spanwire._log", "handler_failed");
    let logged = LOG.get(py).and_then(|log| log.call1((path, error.into_value(py))));
    if let Err(error) = logged {
        error.write_unraisable(py, None);
    }
}

#[pymethods]
impl Handling {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| self.turn(py, Ok(py.None().into_bound(py))))
    }

    fn send<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| self.turn(py, Ok(value)))
    }

    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw<'py>(
        &mut self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = traceback;
        guard(|| {
            let error = thrown(kind, value)?;
            self.turn(py, Err(error))
        })
    }

    /// Ends what runs, for the interpreter's collector.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        guard(|| match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Coroutine(coroutine) => coroutine.call_method0(py, intern!(py, "close")).map(drop),
            _ => Ok(()),
        })
    }

    #[getter]
    fn __qualname__(&self) -> String {
        format!("spanwire handler of {}", self.served.route.method.get().path)
    }
}
