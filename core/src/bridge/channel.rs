//! Channels of a host, and the operations that begin calls.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::call::{self, Call, refuse};
use super::event::Attachment;
use super::flow::Outgoing;
use super::lane::Lane;
use super::options::{CallOptions, ChannelOptions};
use super::queue::Queue;
use super::server_call::ServerCallRef;
use super::sync::Mutex;
use super::{Engine, OpError};
use crate::{ChannelStats, Connectivity, Kind, Method, Sent, Status};

/// How many methods a channel remembers; a proxy may call any number.
const KNOWN_METHODS: usize = 1024;

/// A channel of a host: see [`crate::Channel`]. Cheap to clone. Its connection and its calls are on one lane.
#[derive(Clone, Debug)]
pub struct Channel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    channel: crate::Channel,
    lane: Arc<Lane>,
    engine: Engine,
    hands_on_traces: bool,
    /// Ends those who wait for another state.
    closed: CancellationToken,
    /// Made once for each, because every call needs one.
    methods: Mutex<HashMap<String, Method>>,
}

/// Where a call reports to, and by what its host knows it.
#[derive(Clone, Debug)]
pub struct ReportTo {
    /// The queue of the call's events.
    pub queue: Queue,
    /// What the host wants to see in them.
    pub tag: usize,
    /// What the binding wants to find in them.
    pub attachment: Option<Attachment>,
}

impl Channel {
    /// A channel to `target`, in the forms of [`crate::Channel::builder`]. Nothing is connected yet.
    ///
    /// # Errors
    /// [`OpError::Argument`]: a target, an option or a certificate that cannot be used; the text says which and why.
    pub fn new(engine: &Engine, target: &str, options: &ChannelOptions) -> Result<Self, OpError> {
        engine.check()?;
        let lane = engine.next_lane().clone();
        lane.check()?;
        let mut builder = options.apply(crate::Channel::builder(target))?.lane(engine.core(), lane.index());
        if let Some(language) = engine.client_language() {
            builder = builder.client_language(language);
        }
        if let Some(options) = &options.telemetry {
            builder = builder.telemetry(&engine.telemetry(options)?);
        }
        let channel = builder.build().map_err(|error| OpError::Argument(error.to_string()))?;
        let (engine, closed) = (engine.clone(), CancellationToken::new());
        let hands_on_traces = options.telemetry.as_ref().is_some_and(|telemetry| !telemetry.traces_off);
        let methods = Mutex::default();
        Ok(Channel(Arc::new(Inner { channel, lane, engine, hands_on_traces, closed, methods })))
    }

    /// Whether `traceparent` in a call's metadata is the call's parent, so that a binding may ask its language's tracing for
    /// one.
    #[must_use]
    pub fn hands_on_traces(&self) -> bool {
        self.0.hands_on_traces
    }

    /// Makes a unary call: one operation, and one event with everything that came back. With `call` the host can cancel
    /// it; without, it can only be waited for.
    ///
    /// # Errors
    /// [`OpError::Argument`] for an option that cannot be used, [`OpError::ShutDown`], [`OpError::Forked`]. What is wrong
    /// with the call itself is the status of its `Done`.
    pub fn unary(
        &self,
        method: &str,
        request: Outgoing,
        options: CallOptions,
        report: ReportTo,
        call: Option<&Call>,
        parent: Option<&ServerCallRef>,
    ) -> Result<(), OpError> {
        self.check(&report)?;
        let options = options.resolve(parent)?;
        let method = self.method(method, Kind::Unary);
        let channel = self.0.channel.clone();
        self.0.lane.run(call::unary(channel, method, request, options, report, call));
        Ok(())
    }

    /// Ends a call that its host does not make after all: its `Done` comes with `status`, and nothing was sent.
    ///
    /// # Errors
    /// [`OpError::ShutDown`], [`OpError::Forked`].
    pub fn refuse(&self, status: Status, report: ReportTo, call: Option<&Call>) -> Result<(), OpError> {
        self.check(&report)?;
        self.0.lane.run(refuse(status.with_sent(Sent::NotSent), report, call));
        Ok(())
    }

    /// The handle for a unary call that its host may want to cancel; for [`Channel::unary`].
    #[must_use]
    pub fn unary_call(&self) -> Call {
        Call::unary(&self.0.lane)
    }

    /// Prepares a call of any kind; [`Prepared::begin`] begins it, so that its host can give it a handle before. Kinds with
    /// one request take exactly one message.
    ///
    /// # Errors
    /// As [`Channel::unary`].
    pub fn stream(
        &self,
        method: &str,
        kind: Kind,
        options: CallOptions,
        report: ReportTo,
        parent: Option<&ServerCallRef>,
    ) -> Result<(Call, Prepared), OpError> {
        self.check(&report)?;
        let credit = options.credit;
        let options = options.resolve(parent)?;
        let method = self.method(method, kind);
        let max_send_bytes = options.max_send_bytes.unwrap_or(self.0.channel.defaults().max_send_bytes);
        let call = Call::new(&self.0.lane, &method, credit, max_send_bytes);
        let start = call::stream(self.0.channel.clone(), method, options, report, &call);
        Ok((call, Prepared { start, lane: self.0.lane.clone() }))
    }

    /// The state of the connection.
    ///
    /// # Errors
    /// [`OpError::Forked`].
    pub fn connectivity(&self) -> Result<Connectivity, OpError> {
        self.0.lane.check()?;
        Ok(self.0.channel.connectivity())
    }

    /// Waits until the state is another than `known`: one operation, and one `Done`. With OK its message is one byte, the number
    /// of the state that it is in. It ends with DEADLINE_EXCEEDED after `timeout_ms` (0: without a limit), and with CANCELLED
    /// when the last clone of this channel is dropped, or by `call`, which [`Channel::unary_call`] makes.
    ///
    /// # Errors
    /// [`OpError::ShutDown`], [`OpError::Forked`].
    pub fn connectivity_changed(
        &self,
        known: Connectivity,
        timeout_ms: i64,
        report: ReportTo,
        call: Option<&Call>,
    ) -> Result<(), OpError> {
        self.check(&report)?;
        let deadline = CallOptions { timeout_ms, ..CallOptions::default() }.resolve(None)?.deadline;
        let (states, closed) = (self.0.channel.states(), self.0.closed.clone());
        self.0.lane.run(call::watch(states, known, deadline, closed, report, call));
        Ok(())
    }

    /// Connects now, instead of with the first call.
    ///
    /// # Errors
    /// [`OpError::ShutDown`], [`OpError::Forked`].
    pub fn connect(&self) -> Result<(), OpError> {
        self.0.lane.check()?;
        self.0.channel.connect();
        Ok(())
    }

    /// Says that the machine's network is another one: the target's name is resolved again at once.
    ///
    /// # Errors
    /// [`OpError::Forked`].
    pub fn network_changed(&self) -> Result<(), OpError> {
        self.0.lane.check()?;
        self.0.channel.on_network_changed();
        Ok(())
    }

    /// What the channel did so far, and how often each limit was hit.
    ///
    /// # Errors
    /// [`OpError::Forked`].
    pub fn stats(&self) -> Result<ChannelStats, OpError> {
        self.0.engine.check()?;
        Ok(self.0.channel.stats())
    }

    fn check(&self, report: &ReportTo) -> Result<(), OpError> {
        self.0.lane.check()?;
        report.queue.check_open()
    }

    fn method(&self, path: &str, kind: Kind) -> Method {
        let mut methods = self.0.methods.lock();
        match methods.get(path) {
            Some(method) if method.kind() == kind => method.clone(),
            _ => {
                let method = Method::parsed(path, kind);
                if methods.len() < KNOWN_METHODS {
                    methods.insert(path.to_owned(), method.clone());
                }
                method
            }
        }
    }
}

/// In the child of a fork the connection belongs to the parent: it is left alone.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.lane.is_foreign() {
            std::mem::forget((self.channel.clone(), self.closed.clone()));
        } else {
            self.closed.cancel();
        }
    }
}

/// A stream that is about to begin; dropped, it never was.
#[must_use = "the call begins with `begin`"]
pub struct Prepared {
    start: call::Stream,
    lane: Arc<Lane>,
}

impl Prepared {
    /// Begins the call. Its events may come from here on.
    pub fn begin(self) {
        self.lane.run(Box::pin(self.start.armed()));
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}
