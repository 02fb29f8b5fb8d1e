//! Where a call goes: what a picker is told, and what it answers.

use std::fmt;
use std::sync::Arc;

use super::super::subchannel::Subchannel;
use crate::{Metadata, Method, Status};

/// What a picker may look at of a call.
#[derive(Clone, Copy, Debug)]
pub struct PickInfo<'a> {
    method: &'a Method,
    metadata: &'a Metadata,
}

impl<'a> PickInfo<'a> {
    /// A call of `method` with these metadata.
    #[must_use]
    pub fn new(method: &'a Method, metadata: &'a Metadata) -> Self {
        PickInfo { method, metadata }
    }

    /// `/package.Service/Method`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.method.path()
    }

    /// The metadata that the caller sends; a bearer token is not among them.
    #[must_use]
    pub fn metadata(&self) -> &'a Metadata {
        self.metadata
    }
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub struct Pick<'a> {
    /// Where it goes.
    pub place: Place<'a>,
    /// A subchannel that is to be connected, for this call or for those to come.
    pub connect: Option<&'a Arc<Subchannel>>,
}

/// See [`Pick`].
#[derive(Clone, Debug)]
pub enum Place<'a> {
    /// It goes there.
    On(&'a Arc<Subchannel>),
    /// It waits for the next picker.
    Wait,
    /// It fails, unless it waits for readiness.
    Fail(&'a Status),
}

impl<'a> Pick<'a> {
    /// The call goes to `subchannel`.
    #[must_use]
    pub fn on(subchannel: &'a Arc<Subchannel>) -> Self {
        Pick { place: Place::On(subchannel), connect: None }
    }

    /// The call waits for the next picker.
    #[must_use]
    pub fn wait() -> Self {
        Pick { place: Place::Wait, connect: None }
    }

    /// The call fails, unless it waits for readiness.
    #[must_use]
    pub fn fail(status: &'a Status) -> Self {
        Pick { place: Place::Fail(status), connect: None }
    }

    /// Has `subchannel` connected, if it is idle.
    #[must_use]
    pub fn connect(self, subchannel: Option<&'a Arc<Subchannel>>) -> Self {
        Pick { connect: subchannel, ..self }
    }
}

/// Places calls. Made anew with every change, so that a pick takes no lock.
#[derive(Clone)]
pub enum Picker {
    /// Calls wait, and what waits wants a connection.
    Idle,
    /// Calls wait for what is under way.
    Wait,
    /// Calls fail, but those that wait for a connection.
    Fail(Status),
    /// All calls go to one subchannel.
    One(Arc<Subchannel>),
    /// Each call is placed by itself.
    Each(Arc<dyn PickEach>),
}

/// Places each call by itself. It runs with every call, in the caller's task: it takes no lock and waits for nothing.
pub trait PickEach: Send + Sync {
    /// Where this call goes.
    fn pick(&self, call: PickInfo<'_>) -> Pick<'_>;
}

impl Picker {
    /// Where the next call goes.
    #[must_use]
    pub fn pick(&self, call: PickInfo<'_>) -> Pick<'_> {
        match self {
            Picker::One(subchannel) => Pick::on(subchannel),
            Picker::Each(each) => each.pick(call),
            Picker::Idle | Picker::Wait => Pick::wait(),
            Picker::Fail(status) => Pick::fail(status),
        }
    }
}

impl fmt::Debug for Picker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Picker::Idle => f.write_str("Idle"),
            Picker::Wait => f.write_str("Wait"),
            Picker::Fail(status) => f.debug_tuple("Fail").field(status).finish(),
            Picker::One(subchannel) => f.debug_tuple("One").field(subchannel.address()).finish(),
            Picker::Each(_) => f.write_str("Each"),
        }
    }
}
