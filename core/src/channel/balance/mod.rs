//! Load balancing: which connections a channel makes, and which of them a call gets.
//!
//! A policy is told what happens (addresses, states of its subchannels, calls that wait, time) and answers with what is
//! to be done. It does no I/O and knows no clock but the one it is given, so every rule is tested in virtual time.

mod config;
mod everywhere;
mod least_request;
mod members;
mod outlier;
mod pick;
mod pick_first;
mod ring;
mod ring_hash;
mod round_robin;
mod weighted;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use config::PolicyConfig;
pub(crate) use everywhere::Everywhere;
pub(crate) use least_request::LeastRequest;
pub(crate) use outlier::{FailurePercentage, Outlier, OutlierDetection, SuccessRate};
pub(crate) use pick::{Pick, PickEach, PickInfo, Picker, Place};
pub(crate) use pick_first::PickFirst;
pub(crate) use ring::RING_SIZE_CAP;
pub(crate) use ring_hash::{RingHash, RingHashConfig};
pub(crate) use round_robin::RoundRobin;
pub(crate) use weighted::WeightedRoundRobin;

use super::address::{Address, Endpoint};
use super::subchannel::{Connectivity, Subchannel};
use crate::Status;

/// What a subchannel does.
#[derive(Clone, Debug)]
pub(crate) enum SubchannelState {
    Idle,
    Connecting,
    Ready,
    /// The last attempt failed; after a pause it is idle.
    TransientFailure(Status),
}

impl SubchannelState {
    /// Whether it is the same, to the text of a failure.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (SubchannelState::TransientFailure(status), SubchannelState::TransientFailure(other)) => {
                status.code() == other.code() && status.message() == other.message()
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// What a policy wants to know of a server, beside whether it is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watching {
    /// Whether it says that it serves: where the service config asks for that, it is ready only then.
    pub(crate) health: bool,
    /// How many of its calls fail.
    pub(crate) outcomes: bool,
    /// How much it can bear.
    pub(crate) load: LoadReports,
}

/// Where reports of a server's load are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LoadReports {
    #[default]
    None,
    /// The trailers of calls.
    Trailers,
    /// A stream on each connection, on which a report is asked for so often.
    Stream(Duration),
}

/// Decides about connections.
pub(crate) trait Policy: Send {
    /// The service is at these endpoints now; never none.
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host);

    /// The state of a subchannel that the policy has made, and not dropped since.
    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host);

    /// Somebody wants a connection, and there is none that the policy keeps by itself.
    fn wanted(&mut self, host: &mut dyn Host);

    /// Nothing more has happened for now: the moment to publish what follows from much.
    fn settle(&mut self, host: &mut dyn Host) {
        let _ = host;
    }

    /// The time that was asked for has come.
    fn timer(&mut self, host: &mut dyn Host) {
        let _ = host;
    }

    /// Connections are dropped: nobody needs them.
    fn idle(&mut self, host: &mut dyn Host);
}

impl Policy for Box<dyn Policy> {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        (**self).resolved(endpoints, host);
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        (**self).changed(subchannel, state, host);
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        (**self).wanted(host);
    }

    fn settle(&mut self, host: &mut dyn Host) {
        (**self).settle(host);
    }

    fn timer(&mut self, host: &mut dyn Host) {
        (**self).timer(host);
    }

    fn idle(&mut self, host: &mut dyn Host) {
        (**self).idle(host);
    }
}

/// What a policy can ask for.
pub(crate) trait Host {
    fn now(&self) -> Instant;

    /// A subchannel to an address, idle at first. The policy is told how it fares until it drops it.
    fn subchannel(&mut self, address: &Address, watching: Watching) -> Arc<Subchannel>;

    /// Starts an attempt if the subchannel is idle.
    fn connect(&mut self, subchannel: &Arc<Subchannel>);

    /// The policy is done with a subchannel. Calls under way on it go on.
    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>);

    /// Calls are placed by `picker` from now on.
    fn publish(&mut self, state: Connectivity, picker: Picker);

    /// Asks for the addresses again.
    fn resolve_again(&mut self);

    /// [`Policy::timer`] is to be called at `at`, and not at the time that was asked for before.
    fn set_timer(&mut self, at: Option<Instant>);
}

#[cfg(test)]
pub(crate) mod tests;
