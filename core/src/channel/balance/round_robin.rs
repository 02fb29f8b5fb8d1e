//! round_robin: calls go to the connected addresses in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::super::subchannel::Subchannel;
use super::everywhere::Placing;
use super::{Pick, PickEach, PickInfo};
use crate::random;

/// See the [module](self).
pub(crate) struct RoundRobin;

/// A picker that takes turns.
pub(super) struct Turns {
    ready: Vec<Arc<Subchannel>>,
    next: AtomicUsize,
}

impl Turns {
    pub(super) fn new(ready: Vec<Arc<Subchannel>>) -> Self {
        // Many clients that begin together do not all begin with the same one.
        let next = AtomicUsize::new(random::below(ready.len()));
        Turns { ready, next }
    }
}

impl PickEach for Turns {
    fn pick(&self, _: PickInfo<'_>) -> Pick<'_> {
        Pick::on(&self.ready[self.next.fetch_add(1, Ordering::Relaxed) % self.ready.len()])
    }
}

impl Placing for RoundRobin {
    fn picker(&self, ready: Vec<Arc<Subchannel>>, _: Instant) -> Arc<dyn PickEach> {
        Arc::new(Turns::new(ready))
    }
}
