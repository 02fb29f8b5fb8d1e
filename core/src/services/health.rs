//! The health service: what balancers and clients are told of a server (`grpc.health.v1`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::grpc::health::v1::health_check_response::ServingStatus;
use super::grpc::health::v1::{
    Health as HealthMethods, HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    HealthServer,
};
use crate::server::Host;
use crate::{Context, Sending, ServerBuilder, Status};

/// The most services that `List` tells of.
const MAX_LISTED: usize = 100;

/// How the services of a server are, as the program says: for [`ServerBuilder::health`]. Cheap to clone; clones are the same.
///
/// The empty name is the server as a whole, which serves unless it is said that it does not. When the server
/// [shuts down](crate::ServerHandle::shutdown), all of its services are NOT_SERVING, whatever is set.
///
/// ```
/// # async fn example() -> Result<(), spanwire::ServeError> {
/// let health = spanwire::Health::new();
/// health.set("shop.v1.Orders", true);
/// let server = spanwire::Server::builder().health(&health).bind("127.0.0.1:0").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Health(Arc<watch::Sender<BTreeMap<String, bool>>>);

impl Health {
    /// One that knows the server as a whole, which serves.
    #[must_use]
    pub fn new() -> Self {
        Health(Arc::new(watch::Sender::new(BTreeMap::from([(String::new(), true)]))))
    }

    /// Says whether a service can be called: SERVING, or NOT_SERVING. One of which nothing was said is not known.
    pub fn set(&self, service: &str, serving: bool) {
        self.0.send_if_modified(|services| match services.get_mut(service) {
            Some(known) => std::mem::replace(known, serving) != serving,
            None => services.insert(service.to_owned(), serving).is_none(),
        });
    }
}

impl Default for Health {
    fn default() -> Self {
        Health::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&*self.0.borrow()).finish()
    }
}

impl ServerBuilder {
    /// Serves `grpc.health.v1.Health`, which tells what is set on `health`.
    pub fn health(self, health: &Health) -> Self {
        let health = health.clone();
        self.built_in(Box::new(|host| {
            Ok(vec![Box::new(HealthServer::new(HealthService { health, host: host.clone() }))])
        }))
    }
}

/// The health service of one server.
struct HealthService {
    health: Health,
    host: Host,
}

impl HealthService {
    fn status(&self, known: Option<bool>) -> ServingStatus {
        match known {
            None => ServingStatus::ServiceUnknown,
            Some(true) if !self.host.shutdown.leaving.is_cancelled() => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

impl HealthMethods for HealthService {
    async fn check(
        &self,
        request: HealthCheckRequest,
        _context: &mut Context,
    ) -> Result<HealthCheckResponse, Status> {
        let known = self.health.0.borrow().get(&request.service).copied();
        if known.is_none() {
            return Err(Status::not_found(format!("no health was set for {:?}", request.service)));
        }
        Ok(response(self.status(known)))
    }

    async fn list(
        &self,
        _request: HealthListRequest,
        _context: &mut Context,
    ) -> Result<HealthListResponse, Status> {
        let services = self.health.0.borrow();
        if services.len() > MAX_LISTED {
            return Err(Status::resource_exhausted(format!(
                "{} services have a health, and no more than {MAX_LISTED} are listed",
                services.len()
            )));
        }
        let statuses =
            services.iter().map(|(name, known)| (name.clone(), response(self.status(Some(*known)))));
        Ok(HealthListResponse { statuses: statuses.collect() })
    }

    /// All wait for the same changes, and each looks whether its own service is another. So a watcher that takes nothing
    /// costs nothing, and names that clients make up are kept nowhere.
    async fn watch(
        &self,
        request: HealthCheckRequest,
        replies: &mut Sending<HealthCheckResponse>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        let shutdown = &self.host.shutdown;
        let mut changes = self.health.0.subscribe();
        let mut told = None;
        loop {
            // Before the status, so that the last word is always told.
            let (leaving, drains) = (shutdown.leaving.is_cancelled(), shutdown.drain.is_cancelled());
            let known = changes.borrow_and_update().get(&request.service).copied();
            let status = self.status(known);
            if told.replace(status) != Some(status) {
                replies.send(response(status)).await?;
            }
            if drains {
                return Err(Host::shuts_down());
            }
            tokio::select! {
                // It has no end: this holds the sender.
                _ = changes.changed() => {}
                () = shutdown.leaving.cancelled(), if !leaving => {}
                () = shutdown.drain.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
