//! Service configs: what a service's owner says about calling it, as JSON (gRPC's `service_config.proto`).
//!
//! A config is taken whole or not at all. What is wrong with one is told by its place:
//! `methodConfig[0].retryPolicy.maxAttempts: must be a whole number above 1, and is 1`.

mod choice;
mod method;
mod policy;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use choice::{Client, choose};
use serde_json::Value;

use super::balance::{Policies, PolicyConfig};
use super::hedge_plan::HedgingPolicy;
use super::retry::{RetryPolicy, Throttling};
use crate::json::At;

/// A service config that cannot be used: where it is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfigError(String);

impl fmt::Display for ServiceConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service_config: {}", self.0)
    }
}

impl std::error::Error for ServiceConfigError {}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceConfig {
    pub(crate) load_balancing: Option<PolicyConfig>,
    methods: HashMap<String, Arc<MethodConfig>>,
    pub(crate) throttling: Option<Throttling>,
    /// The service whose health servers are asked for; the empty name is the whole server.
    pub(crate) health_service: Option<String>,
    /// How many connections there may be to one address, if the channel permits so many.
    pub(crate) max_connections: Option<usize>,
}

/// What holds for the calls of a method that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MethodConfig {
    pub(crate) wait_for_ready: Option<bool>,
    /// The shorter one of this and the call's own counts.
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_send_bytes: Option<usize>,
    pub(crate) max_recv_bytes: Option<usize>,
    pub(crate) retry: Option<RetryPolicy>,
    /// Never beside `retry`.
    pub(crate) hedging: Option<HedgingPolicy>,
}

impl ServiceConfig {
    /// Reads a config. Fields that are not known are left alone, as everywhere in gRPC.
    pub(crate) fn parse(text: &str, own: &Policies) -> Result<Self, ServiceConfigError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ServiceConfigError(format!("this is no JSON: {error}")))?;
        read(&At::root(&value), own).map_err(ServiceConfigError)
    }

    /// Leaves nothing of retries and hedging.
    pub(crate) fn drop_retries(&mut self) {
        for method in self.methods.values_mut() {
            let rest = MethodConfig { retry: None, hedging: None, ..MethodConfig::clone(method) };
            *method = Arc::new(rest);
        }
    }

    /// What it says of `/package.Service/Method`: the method's own entry, else that of its service, else the one for all.
    pub(crate) fn method(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        if self.methods.is_empty() {
            return None;
        }
        let service = path.rsplit_once('/').map_or("", |(service, _)| service);
        let found = self.methods.get(path).or_else(|| self.methods.get(service));
        found.or_else(|| self.methods.get(""))
    }
}

fn read(config: &At<'_>, own: &Policies) -> Result<ServiceConfig, String> {
    config.object()?;
    let mut methods = HashMap::new();
    for entry in config.list("methodConfig")? {
        let names = method::names(&entry)?;
        let read = Arc::new(method::read(&entry)?);
        for (name, at) in names {
            if methods.insert(name, read.clone()).is_some() {
                return Err(at.wrong("is there twice"));
            }
        }
    }
    let throttling =
        config.get("retryThrottling").map(|throttling| method::throttling(&throttling)).transpose()?;
    let health = config.get("healthCheckConfig");
    health.as_ref().map_or(Ok(Vec::new()), At::object)?;
    let service = health.as_ref().and_then(|health| health.get("serviceName"));
    let health_service = service.map(|service| service.text().map(str::to_owned)).transpose()?;
    let scaling = config.get("connectionScaling");
    scaling.as_ref().map_or(Ok(Vec::new()), At::object)?;
    let most = scaling.as_ref().and_then(|scaling| scaling.get("maxConnectionsPerSubchannel"));
    let most = most.map(|most| most.whole(1, "a whole number above 0")).transpose()?;
    let max_connections = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    Ok(ServiceConfig {
        load_balancing: policy::read(config, own)?,
        methods,
        throttling,
        health_service,
        max_connections,
    })
}
