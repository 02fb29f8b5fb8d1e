//! Channels for calls that block.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use spanwire::bridge::{Channel, ChannelOptions, Event, Queue, ReportTo};
use spanwire::{Kind, Status};

use super::bell::{Bell, Rope, next_number};
use super::call::{SyncCall, answer};
use super::inbox::Inbox;
use super::wait::{is_main_thread, wait_for};
use crate::convert::message::Method;
use crate::convert::options::{call_options, channel_options, state, timeout_ms};
use crate::convert::status::op_error;
use crate::credit::Credit;
use crate::engine;
use crate::guard::guard;
use crate::opentelemetry;
use crate::parent::{self, Parent};

/// A channel whose calls are waited for. Connects with the first call; in the child of a fork it connects anew.
#[pyclass(module = "spanwire._native", frozen)]
pub(crate) struct SyncChannel {
    target: String,
    options: ChannelOptions,
    /// Taken with the interpreter attached, and never while it is let go: a fork finds it free.
    /// `None` when it is closed.
    live: Mutex<Option<Live>>,
}

/// A channel of this process, and the queue whose router brings events to the inboxes of its calls.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) channel: Channel,
    queue: Queue,
}

impl Live {
    fn new(py: Python<'_>, target: &str, options: &ChannelOptions) -> PyResult<Self> {
        let channel = Channel::new(&engine::get(py)?, target, options).map_err(|error| op_error(&error))?;
        // A channel's calls are all on one lane: no two threads route at once.
        Ok(Live { channel, queue: Queue::with_router(route) })
    }

    pub(crate) fn report(&self, inbox: &Arc<Inbox>) -> ReportTo {
        ReportTo { queue: self.queue.clone(), tag: 0, attachment: Some(inbox.clone()) }
    }
}

/// Runs on the lane.
fn route(queue: &Queue) {
    let mut events = Vec::new();
    // An error means that nothing comes any more.
    let _ = queue.drain(usize::MAX, &mut events);
    for event in events {
        if let Some(inbox) = inbox_of(&event) {
            inbox.deliver(event.kind);
        }
    }
}

fn inbox_of(event: &Event) -> Option<Arc<Inbox>> {
    event.attachment()?.clone().downcast().ok()
}

#[pymethods]
impl SyncChannel {
    #[new]
    fn new(py: Python<'_>, target: String, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        guard(|| {
            let options = channel_options(options)?;
            // What is wrong with the options is to be said here.
            let live = Live::new(py, &target, &options)?;
            Ok(SyncChannel { target, options, live: Mutex::new(Some(live)) })
        })
    }

    /// Makes a unary call and waits for its answer.
    #[pyo3(signature = (method, request, options = None))]
    fn unary<'py>(
        &self,
        py: Python<'py>,
        method: &Bound<'py, Method>,
        request: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guard(|| {
            let live = self.live(py)?;
            let method = method.get();
            let request = method.request.encode(&method.path, request)?;
            let mut options = call_options(options)?;
            opentelemetry::put_behind_current(py, &live.channel, &mut options)?;
            let parent = parent::current(py)?;
            let parent = parent.as_ref().map(Parent::call);
            let inbox = Arc::new(Inbox::new(None));
            // Only a signal ends a wait early, and only the main thread gets signals.
            let call = is_main_thread(py)?.then(|| live.channel.unary_call());
            live.channel
                .unary(&method.path, request, options, live.report(&inbox), call.as_ref(), parent)
                .map_err(|error| op_error(&error))?;
            let (outcome, message) =
                wait_for(py, &inbox, |state| Some((state.outcome.take()?, state.messages.pop_front())))?;
            answer(py, method, &outcome, message.as_ref())
        })
    }

    /// Begins a call of any kind. Kinds with one request need it here.
    #[pyo3(signature = (method, request = None, options = None, bell = None))]
    fn call(
        &self,
        py: Python<'_>,
        method: &Bound<'_, Method>,
        request: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
        bell: Option<&Bound<'_, Bell>>,
    ) -> PyResult<SyncCall> {
        guard(|| {
            let live = self.live(py)?;
            let described = method.get();
            let request =
                request.map(|request| described.request.encode(&described.path, request)).transpose()?;
            let mut options = call_options(options)?;
            opentelemetry::put_behind_current(py, &live.channel, &mut options)?;
            let parent = parent::current(py)?;
            let parent = parent.as_ref().map(Parent::call);
            let inbox = Arc::new(Inbox::new(bell.map(|bell| Rope::new(bell.get(), next_number()))));
            let report = live.report(&inbox);
            let call = match (described.kind, request) {
                (Kind::Unary, Some(request)) => {
                    let call = live.channel.unary_call();
                    live.channel
                        .unary(&described.path, request, options, report, Some(&call), parent)
                        .map_err(|error| op_error(&error))?;
                    call
                }
                (kind, request) => {
                    options.credit = Credit::FIRST;
                    let (call, prepared) = live
                        .channel
                        .stream(&described.path, kind, options, report.clone(), parent)
                        .map_err(|error| op_error(&error))?;
                    // A request that is too large ends the call like anything else does.
                    match request.map_or(Ok(()), |request| call.send(request).map(drop)) {
                        Ok(()) => prepared.begin(),
                        Err(error) => live
                            .channel
                            .refuse(Status::resource_exhausted(error.to_string()), report, Some(&call))
                            .map_err(|error| op_error(&error))?,
                    }
                    call
                }
            };
            Ok(SyncCall::new(call, inbox, method.clone().unbind()))
        })
    }

    /// The number of the state of the connections.
    fn connectivity(&self, py: Python<'_>) -> PyResult<u8> {
        guard(|| Ok(self.live(py)?.channel.connectivity().map_err(|error| op_error(&error))? as u8))
    }

    /// Connects now, instead of with the first call.
    fn connect(&self, py: Python<'_>) -> PyResult<()> {
        guard(|| self.live(py)?.channel.connect().map_err(|error| op_error(&error)))
    }

    /// Begins to wait for another state; the answer is one byte, its number. `method` says that it is bytes.
    #[pyo3(signature = (method, known, timeout = None, bell = None))]
    fn connectivity_changed(
        &self,
        py: Python<'_>,
        method: &Bound<'_, Method>,
        known: u8,
        timeout: Option<&Bound<'_, PyAny>>,
        bell: Option<&Bound<'_, Bell>>,
    ) -> PyResult<SyncCall> {
        guard(|| {
            let (known, timeout) = (state(known)?, timeout_ms(timeout)?);
            let live = self.live(py)?;
            let inbox = Arc::new(Inbox::new(bell.map(|bell| Rope::new(bell.get(), next_number()))));
            let call = live.channel.unary_call();
            live.channel
                .connectivity_changed(known, timeout, live.report(&inbox), Some(&call))
                .map_err(|error| op_error(&error))?;
            Ok(SyncCall::new(call, inbox, method.clone().unbind()))
        })
    }

    /// Makes no more calls. Those that run are cancelled when they are let go.
    fn close(&self) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl SyncChannel {
    /// The channel of this process.
    fn live(&self, py: Python<'_>) -> PyResult<Live> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(made) = &mut *live else {
            return Err(PyRuntimeError::new_err("the channel is closed"));
        };
        if !made.queue.descends_here() {
            *made = Live::new(py, &self.target, &self.options)?;
        }
        Ok(made.clone())
    }
}
