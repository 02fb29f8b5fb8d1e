//! The policies that have a name for programs.

use super::balance::{self, PolicyConfig};

/// How the calls of a channel are spread over the addresses of its service, with the default settings of each way; a
/// service config can have others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadBalancing {
    /// All go to the first address that answers (gRFC A61).
    #[default]
    PickFirst,
    /// The same, with the addresses tried in a random order (gRFC A62).
    PickFirstShuffled,
    /// Every address is connected, and calls go to those in turn.
    RoundRobin,
    /// Every address is connected, and calls go to the one of two chosen at random that has fewer under way (gRFC A48).
    LeastRequest,
    /// Every address is connected, and calls go to those in proportion to what their servers report that they can bear
    /// (gRFC A58).
    WeightedRoundRobin,
}

/// The text is the name of no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no load balancing policy; there are pick_first, round_robin, least_request and weighted_round_robin"
)]
pub struct UnknownLoadBalancing(String);

impl std::str::FromStr for LoadBalancing {
    type Err = UnknownLoadBalancing;

    /// Reads a name as service configs have it.
    fn from_str(name: &str) -> Result<Self, UnknownLoadBalancing> {
        match name {
            "pick_first" => Ok(LoadBalancing::PickFirst),
            "round_robin" => Ok(LoadBalancing::RoundRobin),
            "least_request" => Ok(LoadBalancing::LeastRequest),
            "weighted_round_robin" => Ok(LoadBalancing::WeightedRoundRobin),
            _ => Err(UnknownLoadBalancing(name.to_owned())),
        }
    }
}

impl LoadBalancing {
    /// The policy itself, for one of your own that hands work to it.
    #[must_use]
    pub fn policy(self) -> Box<dyn balance::Policy> {
        PolicyConfig::from(self).make()
    }
}

impl From<LoadBalancing> for PolicyConfig {
    fn from(load_balancing: LoadBalancing) -> Self {
        match load_balancing {
            LoadBalancing::PickFirst => PolicyConfig::PickFirst { shuffle: false },
            LoadBalancing::PickFirstShuffled => PolicyConfig::PickFirst { shuffle: true },
            LoadBalancing::RoundRobin => PolicyConfig::RoundRobin,
            LoadBalancing::LeastRequest => PolicyConfig::LeastRequest(Default::default()),
            LoadBalancing::WeightedRoundRobin => PolicyConfig::WeightedRoundRobin(Default::default()),
        }
    }
}
