//! Which policy, with what settings.

use super::{
    Everywhere, LeastRequest, Outlier, OutlierDetection, Own, PickFirst, Policy, RingHash, RingHashConfig,
    RoundRobin, WeightedRoundRobin,
};

/// A policy as plain data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PolicyConfig {
    PickFirst { shuffle: bool },
    RoundRobin,
    LeastRequest(LeastRequest),
    WeightedRoundRobin(WeightedRoundRobin),
    RingHash(RingHashConfig),
    Outlier(OutlierDetection, Box<PolicyConfig>),
    Own(Own),
}

impl Default for PolicyConfig {
    fn default() -> Self {
        PolicyConfig::PickFirst { shuffle: false }
    }
}

impl PolicyConfig {
    pub(crate) fn make(&self) -> Box<dyn Policy> {
        match self {
            PolicyConfig::PickFirst { shuffle } => Box::new(PickFirst::new(*shuffle)),
            PolicyConfig::RoundRobin => Box::new(Everywhere::new(RoundRobin)),
            PolicyConfig::LeastRequest(settings) => Box::new(Everywhere::new(*settings)),
            PolicyConfig::WeightedRoundRobin(settings) => Box::new(Everywhere::new(*settings)),
            PolicyConfig::RingHash(settings) => Box::new(RingHash::new(settings.clone())),
            PolicyConfig::Own(own) => own.make(),
            PolicyConfig::Outlier(settings, child) => Box::new(Outlier::new(settings.clone(), child.make())),
        }
    }

    /// Whether it would move to addresses that are added.
    pub(crate) fn spreads(&self) -> bool {
        match self {
            PolicyConfig::PickFirst { .. } => false,
            PolicyConfig::Outlier(_, child) => child.spreads(),
            PolicyConfig::RoundRobin
            | PolicyConfig::LeastRequest(_)
            | PolicyConfig::WeightedRoundRobin(_)
            | PolicyConfig::RingHash(_)
            | PolicyConfig::Own(_) => true,
        }
    }
}
