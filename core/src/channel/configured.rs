//! The service config in force: the one given in code, until the resolver gives another.

use std::sync::Arc;

use super::balance::{Policies, PolicyConfig};
use super::config::{ServiceConfig, ServiceConfigError};
use super::retry::Throttle;
use super::{LoadBalancing, MAX_CONNECTIONS_PER_SUBCHANNEL};

/// What the program says of every service config, wherever it is from.
pub(crate) struct Rules {
    /// Policies that a config may name beside the engine's.
    pub(crate) policies: Policies,
    /// Goes before what a config says.
    pub(crate) load_balancing: Option<LoadBalancing>,
    pub(crate) retries: bool,
    pub(crate) health_checks: bool,
    /// The most connections to one address that a config gets.
    pub(crate) max_connections_per_subchannel: usize,
}

/// A service config, and what follows from it.
pub(crate) struct Configured {
    pub(crate) service: ServiceConfig,
    /// Whether it is more than what the program says until the resolver has answered for the first time.
    pub(crate) settled: bool,
    pub(crate) policy: PolicyConfig,
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) upkeep: Arc<Upkeep>,
}

/// How the connections to one address are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upkeep {
    /// The service whose health servers are asked for, if they are.
    pub(crate) health_service: Option<String>,
    /// How many there may be, where the server takes too few calls on one (gRFC A105).
    pub(crate) max_connections: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            policies: Policies::default(),
            load_balancing: None,
            retries: true,
            health_checks: true,
            max_connections_per_subchannel: MAX_CONNECTIONS_PER_SUBCHANNEL,
        }
    }
}

impl Default for Upkeep {
    fn default() -> Self {
        Upkeep { health_service: None, max_connections: 1 }
    }
}

impl Rules {
    /// Reads a config.
    pub(crate) fn read(&self, json: &str) -> Result<ServiceConfig, ServiceConfigError> {
        let mut service = ServiceConfig::parse(json, &self.policies)?;
        if !self.retries {
            service.drop_retries();
        }
        Ok(service)
    }

    /// What follows from a config that takes the place of another. Tokens for retries stay what they are if the new one
    /// says the same of them.
    pub(crate) fn apply(&self, service: ServiceConfig, before: Option<&Configured>) -> Configured {
        let same = before.filter(|before| before.service.throttling == service.throttling);
        let throttle = match same {
            Some(before) => before.throttle.clone(),
            None => service.throttling.map(|throttling| Arc::new(Throttle::new(throttling))),
        };
        let own = self.load_balancing.map(PolicyConfig::from);
        let upkeep = Upkeep {
            health_service: service.health_service.clone().filter(|_| self.health_checks),
            max_connections: service.max_connections.unwrap_or(1).min(self.max_connections_per_subchannel),
        };
        Configured {
            policy: own.or_else(|| service.load_balancing.clone()).unwrap_or_default(),
            throttle,
            upkeep: Arc::new(upkeep),
            service,
            settled: true,
        }
    }
}
