//! Channels: where calls begin.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use spanwire::bridge::{self, CallOptions, ChannelOptions, fork};
use spanwire::{Kind, Status};

use super::event_loop::{Entry, Loop, current, lock};
use super::stream::Stream;
use super::stream_call::{Feed, StreamCall, of_kind};
use super::unary::{Unary, UnaryCall};
use crate::convert::message::Method;
use crate::convert::options::{call_options, channel_options, state, timeout_ms};
use crate::convert::status::op_error;
use crate::credit::Credit;
use crate::engine;
use crate::guard::guard;
use crate::imported::Imported;
use crate::opentelemetry;
use crate::parent::{self, Parent};

/// A channel, whatever event loop uses it. See `spanwire.Channel`.
#[pyclass(frozen, subclass, weakref, module = "spanwire._native")]
pub(crate) struct Channel {
    target: String,
    options: ChannelOptions,
    open: Mutex<Option<Open>>,
    interceptors: Option<Py<PyTuple>>,
}

struct Open {
    channel: bridge::Channel,
    generation: u32,
}

impl Channel {
    /// The bridge's channel. In the child of a fork it is made anew: the connection is the parent's.
    fn bridge(&self, py: Python<'_>) -> PyResult<bridge::Channel> {
        let mut open = lock(&self.open);
        let closed = || PyRuntimeError::new_err("the channel is closed");
        let known = open.as_mut().ok_or_else(closed)?;
        if known.generation != fork::generation() {
            known.channel = make(py, &self.target, &self.options)?;
            known.generation = fork::generation();
        }
        Ok(known.channel.clone())
    }

    fn start<'py>(
        &self,
        method: &Bound<'py, Method>,
        request: &Bound<'py, PyAny>,
        mut options: CallOptions,
    ) -> PyResult<Py<PyAny>> {
        let py = method.py();
        let channel = self.bridge(py)?;
        opentelemetry::put_behind_current(py, &channel, &mut options)?;
        let event_loop = current(py)?;
        if method.get().kind == Kind::Unary {
            return start_unary(&channel, event_loop, method, request, options);
        }
        start_stream(&channel, event_loop, method, request, options)
    }
}

fn make(py: Python<'_>, target: &str, options: &ChannelOptions) -> PyResult<bridge::Channel> {
    bridge::Channel::new(&engine::get(py)?, target, options).map_err(|error| op_error(&error))
}

fn start_unary(
    channel: &bridge::Channel,
    event_loop: Arc<Loop>,
    method: &Bound<'_, Method>,
    request: &Bound<'_, PyAny>,
    options: CallOptions,
) -> PyResult<Py<PyAny>> {
    let py = method.py();
    let about = method.get();
    let message = about.request.encode(&about.path, request)?;
    let parent = parent::current(py)?;
    let parent = parent.as_ref().map(Parent::call);
    let unary = Arc::new(Unary::new(event_loop.clone(), method.clone().unbind()));
    let call = channel.unary_call();
    let key = event_loop.insert(Entry::Unary(unary.clone()));
    event_loop.before_operation(py);
    let begun = channel.unary(&about.path, message, options, event_loop.report(key), Some(&call), parent);
    if let Err(error) = begun {
        drop(event_loop.remove(key));
        return Err(op_error(&error));
    }
    Ok(Py::new(py, UnaryCall { unary, call })?.into_any())
}

fn start_stream(
    channel: &bridge::Channel,
    event_loop: Arc<Loop>,
    method: &Bound<'_, Method>,
    request: &Bound<'_, PyAny>,
    options: CallOptions,
) -> PyResult<Py<PyAny>> {
    let py = method.py();
    let about = method.get();
    let one = about.kind.one_request();
    let message = if one { Some(about.request.encode(&about.path, request)?) } else { None };
    let parent = parent::current(py)?;
    let parent = parent.as_ref().map(Parent::call);
    let options = CallOptions { credit: Credit::FIRST, ..options };
    let stream = Arc::new(Stream::new(event_loop.clone(), method.clone().unbind()));
    let key = event_loop.insert(Entry::Stream(stream.clone()));
    event_loop.before_operation(py);
    let begun = channel.stream(&about.path, about.kind, options, event_loop.report(key), parent);
    let (call, prepared) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            drop(event_loop.remove(key));
            return Err(op_error(&error));
        }
    };
    // A request that is too large ends the call like anything else does.
    match message.map_or(Ok(()), |message| call.send(message).map(drop)) {
        Ok(()) => prepared.begin(),
        Err(error) => {
            let refused = Status::resource_exhausted(error.to_string());
            channel.refuse(refused, event_loop.report(key), Some(&call)).map_err(|error| op_error(&error))?;
        }
    }
    let call = Arc::new(call);
    // Nobody else knows it yet.
    let _ = stream.call.set(Arc::downgrade(&call));
    let fed = !one && !request.is_none();
    let object = of_kind(py, about.kind, StreamCall { stream: stream.clone(), call }, fed)?;
    if fed {
        static FEED: Imported = Imported::new("spanwire._feed", "feed");
        let feed = FEED.get(py)?.call1((Feed(stream.clone()), request))?;
        let feeder = event_loop.spawn(&feed)?;
        stream.set_feeder(feeder.unbind());
    }
    Ok(object)
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (target, *, interceptors = None, **options))]
    fn new(
        py: Python<'_>,
        target: String,
        interceptors: Option<Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        guard(|| {
            let options = channel_options(options)?;
            let channel = make(py, &target, &options)?;
            let interceptors = match interceptors {
                Some(list) => {
                    Some(list.try_iter()?.collect::<PyResult<Vec<_>>>()?).filter(|list| !list.is_empty())
                }
                None => None,
            };
            let interceptors =
                interceptors.map(|list| PyTuple::new(py, list)).transpose()?.map(Bound::unbind);
            let open = Mutex::new(Some(Open { channel, generation: fork::generation() }));
            Ok(Channel { target, options, open, interceptors })
        })
    }

    /// Begins a call; through the interceptors, if there are any.
    #[pyo3(signature = (method, request = None, **options))]
    fn call<'py>(
        slf: &Bound<'py, Self>,
        method: &Bound<'py, Method>,
        request: Option<Bound<'py, PyAny>>,
        options: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        guard(|| {
            let channel = slf.get();
            let request = request.unwrap_or_else(|| py.None().into_bound(py));
            let Some(interceptors) = &channel.interceptors else {
                return channel.start(method, &request, call_options(options.as_ref())?);
            };
            // What is wrong is said now, not by the interceptors' task.
            call_options(options.as_ref())?;
            let options = options.unwrap_or_else(|| PyDict::new(py));
            static CALL: Imported = Imported::new("spanwire._intercepted", "call");
            let call = CALL.get(py)?;
            Ok(call.call1((slf, interceptors, method, request, options))?.unbind())
        })
    }

    /// Begins a call past the interceptors.
    #[pyo3(signature = (method, request, **options))]
    fn _call<'py>(
        &self,
        method: &Bound<'py, Method>,
        request: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        guard(|| self.start(method, request, call_options(options)?))
    }

    #[getter]
    fn target(&self) -> &str {
        &self.target
    }

    /// The number of the state of the connections.
    fn _connectivity(&self, py: Python<'_>) -> PyResult<u8> {
        guard(|| Ok(self.bridge(py)?.connectivity().map_err(|error| op_error(&error))? as u8))
    }

    /// Begins to wait for another state; the answer is one byte, its number. `method` says that it is bytes.
    fn _connectivity_changed(
        &self,
        method: &Bound<'_, Method>,
        known: u8,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<UnaryCall> {
        guard(|| {
            let py = method.py();
            let (known, timeout) = (state(known)?, timeout_ms(timeout)?);
            let channel = self.bridge(py)?;
            let event_loop = current(py)?;
            let unary = Arc::new(Unary::new(event_loop.clone(), method.clone().unbind()));
            let call = channel.unary_call();
            let key = event_loop.insert(Entry::Unary(unary.clone()));
            event_loop.before_operation(py);
            let begun = channel.connectivity_changed(known, timeout, event_loop.report(key), Some(&call));
            if let Err(error) = begun {
                drop(event_loop.remove(key));
                return Err(op_error(&error));
            }
            Ok(UnaryCall { unary, call })
        })
    }

    fn connect(&self, py: Python<'_>) -> PyResult<()> {
        guard(|| self.bridge(py)?.connect().map_err(|error| op_error(&error)))
    }

    /// Calls that are under way go on; no others can be made.
    fn _close(&self) {
        let open = lock(&self.open).take();
        drop(open);
    }

    #[getter]
    fn closed(&self) -> bool {
        lock(&self.open).is_none()
    }

    fn __repr__(&self) -> String {
        format!("<spanwire.Channel {:?}>", self.target)
    }
}
