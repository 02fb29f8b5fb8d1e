//! What a service of the engine itself knows of the server that it is part of.

use std::sync::{Arc, OnceLock};

use super::Service;
use crate::Status;
use crate::stats::ServerCounters;
use crate::transport::limits::BadOption;
use crate::transport::server::Shutdown;

/// Makes services of the engine itself. One method of the builder names it, and nothing else does: so programs that do not
/// ask for such a service are linked without it.
pub(crate) type BuiltIn = Box<dyn FnOnce(&Host) -> Result<Vec<Box<dyn Service>>, BadOption> + Send>;

/// A server, as far as its own services are concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) shutdown: Shutdown,
    pub(crate) counters: Arc<ServerCounters>,
    /// Known before it serves.
    services: Arc<OnceLock<Vec<String>>>,
}

impl Host {
    pub(crate) fn set_services(&self, names: &[String]) {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        // It is set once.
        let _ = self.services.set(names);
    }

    /// The full names of all services, sorted.
    pub(crate) fn services(&self) -> &[String] {
        self.services.get().map_or(&[], Vec::as_slice)
    }

    /// The end of a stream that would keep the server from ending.
    pub(crate) fn shuts_down() -> Status {
        Status::unavailable("the server shuts down")
    }
}
