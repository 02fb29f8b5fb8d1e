//! Policies of the program's own, chosen by name like any other.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::super::ChannelBuilder;
use super::Policy;

type Make = Arc<dyn Fn() -> Box<dyn Policy> + Send + Sync>;
type Read = Box<dyn Fn(&str) -> Result<Make, String> + Send + Sync>;

/// A policy of the program's own, with its settings.
#[derive(Clone)]
pub(crate) struct Own {
    name: String,
    make: Make,
}

impl Own {
    pub(crate) fn make(&self) -> Box<dyn Policy> {
        (self.make)()
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.make, &other.make)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.name).finish()
    }
}

/// Those that a channel knows.
#[derive(Default)]
pub(crate) struct Policies(HashMap<String, Read>);

impl Policies {
    /// The policy of that name with settings in JSON; `None` if there is none of that name.
    pub(crate) fn find(&self, name: &str, settings: &str) -> Option<Result<Own, String>> {
        let read = self.0.get(name)?;
        Some(read(settings).map(|make| Own { name: name.to_owned(), make }))
    }
}

impl ChannelBuilder {
    /// Adds a load balancing policy of the program's own, which `loadBalancingConfig` of the service config chooses by
    /// `name`, before one of the engine's of the same name. `read` reads its settings, which are JSON; what it finds wrong
    /// makes [`build`](ChannelBuilder::build) fail, with the place. What it gives makes the policy: when the channel is
    /// used first, and again if the runtime that it ran on has ended. See [`balance`](crate::balance).
    pub fn policy<R, M, P>(mut self, name: impl Into<String>, read: R) -> Self
    where
        R: Fn(&str) -> Result<M, String> + Send + Sync + 'static,
        M: Fn() -> P + Send + Sync + 'static,
        P: Policy + 'static,
    {
        let read = move |settings: &str| -> Result<Make, String> {
            let make = read(settings)?;
            Ok(Arc::new(move || Box::new(make()) as Box<dyn Policy>))
        };
        self.rules.policies.0.insert(name.into(), Box::new(read));
        self
    }
}
