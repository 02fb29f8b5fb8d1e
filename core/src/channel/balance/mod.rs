//! Load balancing: which connections a channel makes, and which of them a call gets.
//!
//! A [`Policy`] is told what happens (endpoints, states of its subchannels, calls that wait, time) and answers with what is
//! to be done, by its [`Host`]. It does no I/O and knows no clock but the one it is given, so every rule can be tested
//! without a socket: with a host of the test's own, and [`Subchannel::detached`].
//!
//! A policy of your own has a name, under which service configs choose it: see
//! [`ChannelBuilder::policy`](crate::ChannelBuilder::policy). One that connects every address and differs only in how it
//! places calls is [`Everywhere`] with a [`Placing`]:
//!
//! ```
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use spanwire::Channel;
//! use spanwire::balance::{Everywhere, Pick, PickEach, PickInfo, Placing, Subchannel};
//!
//! /// Calls go to the server with the fewest under way, of all of them.
//! struct Idlest;
//!
//! struct AmongReady(Vec<Arc<Subchannel>>);
//!
//! impl Placing for Idlest {
//!     fn picker(&self, ready: Vec<Arc<Subchannel>>, _: tokio::time::Instant) -> Arc<dyn PickEach> {
//!         Arc::new(AmongReady(ready))
//!     }
//! }
//!
//! impl PickEach for AmongReady {
//!     fn pick(&self, _: PickInfo<'_>) -> Pick<'_> {
//!         let idlest = self.0.iter().min_by_key(|subchannel| subchannel.live_calls());
//!         idlest.map_or(Pick::wait(), Pick::on)
//!     }
//! }
//!
//! let channel = Channel::builder("dns:///orders:443")
//!     .policy("idlest", |_settings| Ok(|| Everywhere::new(Idlest)))
//!     .service_config(r#"{"loadBalancingConfig": [{"idlest": {}}]}"#)
//!     .build()?;
//! # Ok(())
//! # }
//! ```

mod config;
mod everywhere;
mod least_request;
mod members;
mod outlier;
mod own;
mod pick;
mod pick_first;
mod ring;
mod ring_hash;
mod round_robin;
mod switch;
mod weighted;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use config::PolicyConfig;
pub use everywhere::{Everywhere, Placing};
pub(crate) use least_request::LeastRequest;
pub(crate) use outlier::{FailurePercentage, Outlier, OutlierDetection, SuccessRate};
pub(crate) use own::{Own, Policies};
pub use pick::{Pick, PickEach, PickInfo, Picker, Place};
pub(crate) use pick_first::PickFirst;
pub(crate) use ring::RING_SIZE_CAP;
pub(crate) use ring_hash::{RingHash, RingHashConfig};
pub(crate) use round_robin::RoundRobin;
pub(crate) use switch::Switch;
pub(crate) use weighted::WeightedRoundRobin;

use super::address::{Address, Endpoint};
use super::subchannel::Connectivity;
pub use super::subchannel::Subchannel;
use crate::Status;

/// What a subchannel does.
#[derive(Clone, Debug)]
pub enum SubchannelState {
    /// No connection, and no attempt to make one.
    Idle,
    /// An attempt is under way, or the server did not say yet whether it serves.
    Connecting,
    /// Calls can be placed on it.
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
pub struct Watching {
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
pub trait Policy: Send {
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

impl Watching {
    /// Whether it serves, where the service config asks for that: then it is ready only while it says so (gRFC A17).
    #[must_use]
    pub fn health() -> Self {
        Watching { health: true, ..Watching::default() }
    }
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
pub trait Host {
    /// The time.
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
