//! The subchannels of a policy that has one for each address.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::address::{Address, Endpoint};
use super::super::subchannel::Subchannel;
use super::Host;

/// See the [module](self). `S` is what the policy knows of each.
pub(super) struct Members<S> {
    all: Vec<Member<S>>,
    /// Where each subchannel is in `all`.
    places: HashMap<u64, usize>,
}

pub(super) struct Member<S> {
    pub(super) subchannel: Arc<Subchannel>,
    pub(super) state: S,
}

impl<S> Members<S> {
    pub(super) fn new() -> Self {
        Members { all: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Member<S>> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Member<S>> {
        self.all.iter_mut()
    }

    pub(super) fn get_mut(&mut self, subchannel: &Subchannel) -> Option<&mut Member<S>> {
        self.all.get_mut(*self.places.get(&subchannel.id())?)
    }

    /// Follows a list of endpoints, of which the same address twice is one: those that stay keep all they have, new ones
    /// are made by `make`, and what is not in the list is dropped.
    pub(super) fn follow(
        &mut self,
        endpoints: &[Endpoint],
        host: &mut dyn Host,
        mut make: impl FnMut(&Address, &mut dyn Host) -> Member<S>,
    ) {
        let old = std::mem::take(&mut self.all);
        let mut kept: HashMap<Address, Member<S>> =
            old.into_iter().map(|member| (member.subchannel.address().clone(), member)).collect();
        let mut seen = HashSet::with_capacity(endpoints.len());
        let addresses = endpoints.iter().map(|endpoint| &endpoint.address);
        for address in addresses.filter(|address| seen.insert(*address)) {
            let member = kept.remove(address).unwrap_or_else(|| make(address, host));
            self.all.push(member);
        }
        for member in kept.into_values() {
            host.drop_subchannel(&member.subchannel);
        }
        self.note_places();
    }

    /// Drops all, and makes them anew.
    pub(super) fn renew(
        &mut self,
        host: &mut dyn Host,
        mut make: impl FnMut(&Address, &mut dyn Host) -> Member<S>,
    ) {
        for member in &mut self.all {
            host.drop_subchannel(&member.subchannel);
            *member = make(member.subchannel.address(), host);
        }
        self.note_places();
    }

    fn note_places(&mut self) {
        self.places = self.all.iter().enumerate().map(|(at, member)| (member.subchannel.id(), at)).collect();
    }
}
