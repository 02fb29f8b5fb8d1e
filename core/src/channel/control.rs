//! What stands between a channel's calls and its connections: resolver, policy and subchannels, kept by one task.
//!
//! ```text
//! calls ── pick ──► picker ◄── publish ── policy ◄── states ── subchannels
//!   └── want ─────────────────────────────► ▲
//!                                 addresses ┘◄── resolver (first want, loss, failure, end of a TTL)
//! ```
//!
//! The task begins with the first call. It holds the channel only weakly: when the last clone and the last call are gone,
//! it ends, and with it the connections.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::address::Address;
use super::backoff::Backoff;
use super::balance::{Host, PickInfo, Picker, Place, Policy, Switch, Watching};
use super::config::{ServiceConfig, ServiceConfigError};
use super::configured::{Configured, Rules};
use super::mail::{Event, Letters, Mail};
use super::resolver::{Naming, Resolution};
use super::subchannel::{Connectivity, Means, Subchannel};
use crate::Status;
use crate::middleware::BoxFuture;
use crate::registry::Registry;
use crate::stats::{ChannelStats, Tally};
use crate::timer::{Deadline, Timer, after};
use crate::transport::client::{Connection, Slot};

/// The channels of this process.
pub(crate) static CHANNELS: Registry<Control> = Registry::new();

/// Names are asked for no more often than this for the sake of lost connections: what is down for all clients would be
/// asked for by all of them at once.
const RESOLVE_PAUSE: Duration = Duration::from_secs(30);

/// What a name holds at least, whatever its resolver says.
const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// How long a name that the system resolves holds, where added addresses matter.
pub(crate) const NAME_TTL: Duration = Duration::from_secs(30);

/// How a channel is kept, as plain data.
pub(crate) struct Keeping {
    pub(crate) naming: Naming,
    /// How long a name that the system resolves holds.
    pub(crate) name_ttl: Option<Duration>,
    pub(crate) rules: Rules,
    /// Counts unless the resolver gives another.
    pub(crate) service_config: ServiceConfig,
    /// Whether the resolver may give one.
    pub(crate) config_from_resolver: bool,
    /// How long nobody may call before the connections are dropped.
    pub(crate) idle_timeout: Option<Duration>,
}

/// Where a call goes.
pub(crate) struct Placed {
    pub(crate) connection: Arc<Connection>,
    pub(crate) slot: Slot,
    /// Whom to tell how the call ended, if anybody wants to know.
    pub(crate) watcher: Option<Arc<Subchannel>>,
}

impl Placed {
    fn on(subchannel: &Arc<Subchannel>, (connection, slot): (Arc<Connection>, Slot)) -> Self {
        let watcher = subchannel.calls().is_watched().then(|| subchannel.clone());
        Placed { connection, slot, watcher }
    }
}

/// See the [module](self).
pub(crate) struct Control {
    picker: ArcSwap<Picker>,
    connectivity: watch::Sender<Connectivity>,
    /// Wakes those who wait in the order in which they came.
    changed: Notify,
    running: AtomicBool,
    subchannels: Mutex<HashMap<u64, Arc<Subchannel>>>,
    means: Arc<Means>,
    keeping: Keeping,
    configured: ArcSwap<Configured>,
    /// A pointer, which only the making of a channel fills in. Streams know their channel, and a server's are of
    /// the same type: by this a program that only serves is linked without all that it takes to connect.
    run: fn(Keeper) -> BoxFuture<'static, ()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.means.mail.close();
        for subchannel in self.subchannels().values() {
            subchannel.shut();
        }
    }
}

impl Control {
    pub(crate) fn new(means: Means, keeping: Keeping) -> Arc<Self> {
        let mut configured = keeping.rules.apply(keeping.service_config.clone(), None);
        configured.settled = !keeping.config_from_resolver;
        let control = Arc::new(Control {
            configured: ArcSwap::from_pointee(configured),
            picker: ArcSwap::from_pointee(Picker::Idle),
            connectivity: watch::Sender::new(Connectivity::Idle),
            changed: Notify::new(),
            running: AtomicBool::new(false),
            subchannels: Mutex::default(),
            means: Arc::new(means),
            keeping,
            run: |keeper| Box::pin(keeper.run()),
        });
        CHANNELS.add(&control);
        control
    }

    /// What it leads to, as it was written.
    pub(crate) fn target(&self) -> &str {
        &self.means.connector.target
    }

    /// What its calls added up to so far, each attempt by itself.
    pub(crate) fn tally(&self) -> Tally {
        let counters = &self.means.connector.counters;
        let (begun, failed) = (counters.past_calls.get(), counters.past_failed.get());
        let mut sum = Tally { begun, failed, running: 0 };
        self.subchannels().values().for_each(|subchannel| sum += subchannel.tally());
        sum
    }

    /// Its addresses, in the order of their numbers.
    pub(crate) fn all_subchannels(&self) -> Vec<Arc<Subchannel>> {
        let mut all: Vec<_> = self.subchannels().values().cloned().collect();
        all.sort_unstable_by_key(|subchannel| subchannel.id());
        all
    }

    fn subchannels(&self) -> MutexGuard<'_, HashMap<u64, Arc<Subchannel>>> {
        self.subchannels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service config in force.
    pub(crate) fn configured(&self) -> arc_swap::Guard<Arc<Configured>> {
        self.configured.load()
    }

    pub(crate) fn connectivity(&self) -> Connectivity {
        *self.connectivity.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Connectivity> {
        self.connectivity.subscribe()
    }

    pub(crate) fn stats(&self) -> ChannelStats {
        let counters = &self.means.connector.counters;
        ChannelStats {
            total_connections: counters.connected.get(),
            failed_connections: counters.failed.get(),
            calls: self.subchannels().values().map(|subchannel| subchannel.live_calls() as u64).sum(),
            limits: counters.limits.read(),
        }
    }

    /// A place for one call, if there is one at hand.
    pub(crate) fn place_now(&self, call: PickInfo<'_>) -> Option<Placed> {
        let picker = self.picker.load();
        let pick = picker.pick(call);
        let Place::On(subchannel) = pick.place else { return None };
        if let Some(wanted) = pick.connect {
            wanted.connect();
        }
        Some(Placed::on(subchannel, subchannel.room_now()?))
    }

    /// Waits for the resolver's first word on the service config (gRFC A2): what it says of methods counts for the first
    /// calls too. A channel that fails has none, and neither has a call whose deadline has passed meanwhile.
    pub(crate) async fn settle(self: &Arc<Self>, deadline: Option<Instant>) {
        let mut deadline = Deadline::new(deadline);
        loop {
            // Made before looking, so that no change after this line can be missed.
            let mut changed = pin!(self.changed.notified());
            if self.configured().settled || matches!(**self.picker.load(), Picker::Fail(_)) {
                return;
            }
            self.want();
            let passed = poll_fn(|cx| match changed.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => deadline.poll(cx).map(|()| true),
            });
            if passed.await {
                return;
            }
        }
    }

    /// A place for one call, as soon as there is one.
    ///
    /// # Errors
    /// The reason of the last failure, unless `wait_for_ready`.
    pub(crate) async fn place(
        self: &Arc<Self>,
        call: PickInfo<'_>,
        wait_for_ready: bool,
    ) -> Result<Placed, Status> {
        loop {
            let subchannel = self.acquire(call, wait_for_ready).await?;
            // `None`: its connections take no more calls, so another one is made.
            if let Some(room) = subchannel.room().await {
                return Ok(Placed::on(&subchannel, room));
            }
        }
    }

    /// A subchannel with a connection for one call.
    async fn acquire(
        self: &Arc<Self>,
        call: PickInfo<'_>,
        wait_for_ready: bool,
    ) -> Result<Arc<Subchannel>, Status> {
        loop {
            // Made before looking, so that no change after this line can be missed.
            let changed = self.changed.notified();
            {
                let picker = self.picker.load_full();
                let pick = picker.pick(call);
                if let Some(wanted) = pick.connect {
                    wanted.connect();
                }
                match pick.place {
                    Place::Fail(status) if !wait_for_ready => return Err(status.clone()),
                    Place::On(subchannel) if subchannel.is_usable() => return Ok(subchannel.clone()),
                    Place::On(subchannel) => self.means.mail.post(Event::Lost(subchannel.id())),
                    Place::Fail(_) | Place::Wait => {}
                }
            }
            self.want();
            changed.await;
        }
    }

    /// Has a connection made, if the policy keeps none by itself.
    pub(crate) fn want(self: &Arc<Self>) {
        self.means.mail.want();
        if !self.running.swap(true, Ordering::AcqRel) {
            let keeper = Keeper { control: Arc::downgrade(self), means: self.means.clone() };
            self.means.spawner.spawn((self.run)(keeper));
        }
    }

    /// Asks for the addresses again, soon.
    pub(crate) fn refresh(&self) {
        self.means.mail.refresh();
    }

    fn publish(&self, state: Connectivity, picker: Picker) {
        self.picker.store(Arc::new(picker));
        self.connectivity.send_if_modified(|now| std::mem::replace(now, state) != state);
        self.changed.notify_waiters();
    }
}

/// The task. Dropped in the middle (its runtime ended, or a policy panicked) it leaves the channel as at the beginning, so
/// that the next call begins anew instead of waiting for ever.
pub(crate) struct Keeper {
    control: Weak<Control>,
    means: Arc<Means>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Some(control) = self.control.upgrade() else { return };
        let subchannels = std::mem::take(&mut *control.subchannels());
        subchannels.values().for_each(|subchannel| subchannel.shut());
        drop(self.means.mail.take());
        control.running.store(false, Ordering::Release);
        control.publish(Connectivity::Idle, Picker::Idle);
    }
}

impl Keeper {
    async fn run(self) {
        let Some(mut state) = self.control.upgrade().map(|control| State::new(&control)) else { return };
        loop {
            let woken = state.next(&self.means.mail).await;
            let Some(control) = self.control.upgrade() else { return };
            let letters = self.means.mail.take();
            if letters.closed {
                return;
            }
            state.step(&control, woken, letters);
        }
    }
}

/// What the task knows.
struct State {
    policy: Switch,
    policy_timer: Option<Instant>,
    naming: Naming,
    resolving: Option<BoxFuture<'static, Result<Resolution, Status>>>,
    /// Whether the policy has addresses.
    resolved: bool,
    /// Whether the config in force is one that a resolution has left so.
    configured: bool,
    /// The resolver's config that was looked at last.
    last_config: (Option<String>, Option<ServiceConfigError>),
    backoff: Backoff,
    /// When it was last asked, and when to ask again.
    asked_at: Option<Instant>,
    ask_at: Option<Instant>,
    idle_timeout: Option<Duration>,
    idle_at: Option<Instant>,
    /// What the subchannels' streams added up to when we last looked whether the channel is used.
    used: u64,
    timer: Timer,
}

enum Woken {
    Mail,
    Time,
    Resolved(Result<Resolution, Status>),
}

impl State {
    fn new(control: &Control) -> Self {
        let keeping = &control.keeping;
        State {
            policy: Switch::new(control.configured().policy.make()),
            policy_timer: None,
            naming: keeping.naming.clone(),
            resolving: None,
            resolved: false,
            configured: false,
            last_config: Default::default(),
            backoff: Backoff::new(control.means.backoff.clone()),
            asked_at: None,
            ask_at: None,
            idle_timeout: keeping.idle_timeout,
            idle_at: None,
            used: 0,
            timer: Timer::default(),
        }
    }

    /// Waits until there is something to do.
    async fn next(&mut self, mail: &Mail) -> Woken {
        let mut arrival = std::pin::pin!(mail.arrival());
        let (timer, resolving) = (&mut self.timer, &mut self.resolving);
        let at = [self.policy_timer, self.ask_at, self.idle_at].into_iter().flatten().min();
        poll_fn(|cx| {
            if let Some(resolution) = resolving
                && let Poll::Ready(result) = resolution.as_mut().poll(cx)
            {
                *resolving = None;
                return Poll::Ready(Woken::Resolved(result));
            }
            if arrival.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Mail);
            }
            timer.poll(at, cx).map(|()| Woken::Time)
        })
        .await
    }

    fn step(&mut self, control: &Arc<Control>, woken: Woken, letters: Letters) {
        let now = Instant::now();
        let mut host = Acting { control, now, timer: self.policy_timer, resolve: false };
        if let Woken::Resolved(result) = woken {
            self.take_resolution(result, &mut host);
        }
        for event in letters.events {
            let (Event::Changed(id, _) | Event::Lost(id)) = &event;
            // One that the policy has dropped has nothing to say.
            let Some(subchannel) = control.subchannels().get(id).cloned() else { continue };
            match event {
                Event::Changed(_, state) => self.policy.changed(&subchannel, &state, &mut host),
                // Its change follows. If it is well again, the call is to look again.
                Event::Lost(_) if !subchannel.retire() => control.changed.notify_waiters(),
                Event::Lost(_) => {}
            }
        }
        if letters.wanted {
            self.idle_at = self.idle_timeout.map(|timeout| after(now, timeout));
            if self.resolved {
                self.policy.wanted(&mut host);
            } else if self.resolving.is_none() && self.ask_at.is_none() {
                control.publish(Connectivity::Connecting, Picker::Wait);
                self.ask(now);
            }
        }
        if host.timer.is_some_and(|at| at <= now) {
            host.timer = None;
            self.policy.timer(&mut host);
        }
        self.policy.settle(&mut host);
        let again = host.resolve;
        self.policy_timer = host.timer;
        // Addresses that the target names stay what they are.
        let may_ask = self.resolved && !matches!(self.naming, Naming::Fixed(_));
        if letters.refresh && may_ask {
            self.ask(now);
        } else if again && may_ask && self.resolving.is_none() {
            let soonest = self.asked_at.map_or(now, |at| after(at, RESOLVE_PAUSE));
            self.ask_at = Some(self.ask_at.map_or(soonest, |at| at.min(soonest)));
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask(now);
        }
        if self.idle_at.is_some_and(|at| at <= now) {
            self.look_whether_idle(control, now);
        }
    }

    fn ask(&mut self, now: Instant) {
        self.ask_at = None;
        if self.resolving.is_some() {
            return;
        }
        self.asked_at = Some(now);
        self.resolving = Some(match &self.naming {
            Naming::Fixed(endpoints) => {
                let resolution = Resolution::new(endpoints.iter().cloned());
                Box::pin(async { Ok(resolution) })
            }
            Naming::Asked(resolver) | Naming::Named(resolver) => {
                self.backoff.start(now);
                resolver.resolve()
            }
        });
    }

    fn take_resolution(&mut self, result: Result<Resolution, Status>, host: &mut Acting<'_>) {
        let none = || Status::unavailable("the name has no address");
        let result =
            result.and_then(|found| if found.endpoints.is_empty() { Err(none()) } else { Ok(found) });
        let result = result.and_then(|found| {
            let replaced = self.take_config(&found, host)?;
            Ok((found, replaced))
        });
        match result {
            Ok((found, replaced)) => {
                self.backoff.succeeded();
                let ttl = found.ttl.into_iter().chain(self.own_ttl(host.control)).min();
                self.ask_at = ttl.map(|ttl| after(host.now, ttl.max(SHORTEST_TTL)));
                let first = !std::mem::replace(&mut self.resolved, true);
                self.policy.resolved(&found.endpoints, host);
                if first || replaced {
                    // Nobody resolves a name without wanting a connection.
                    self.policy.wanted(host);
                }
            }
            Err(status) => {
                self.ask_at = Some(self.backoff.failed(host.now));
                let target = &host.control.means.connector.target;
                let text = format!("cannot connect to {target}: {}", status.message());
                tracing::debug!(%status, target, "the name was not resolved");
                // What was found before is better than nothing.
                if !self.resolved {
                    let status = Status::new(status.code(), text);
                    host.control.publish(Connectivity::TransientFailure, Picker::Fail(status));
                }
            }
        }
    }

    /// How long a name holds whose resolver does not say.
    fn own_ttl(&self, control: &Control) -> Option<Duration> {
        let spreads = || control.configured().policy.spreads();
        match self.naming {
            Naming::Named(_) => control.keeping.name_ttl.or_else(|| spreads().then_some(NAME_TTL)),
            Naming::Fixed(_) | Naming::Asked(_) => None,
        }
    }

    /// Puts the resolver's config in force, or that of the program if it has none. Whether that changes the policy.
    ///
    /// # Errors
    /// It cannot be used, and there is none to go on with (gRFC A21).
    fn take_config(&mut self, found: &Resolution, host: &mut Acting<'_>) -> Result<bool, Status> {
        let said = (found.service_config.clone(), found.config_error.clone());
        if self.configured && self.last_config == said {
            return Ok(false);
        }
        let control = host.control;
        let keeping = &control.keeping;
        let read = match &said {
            (_, Some(error)) => Err(error.clone()),
            (Some(json), None) => keeping.rules.read(json),
            (None, None) => Ok(keeping.service_config.clone()),
        };
        let service = match read {
            Ok(service) => service,
            Err(error) if self.configured => {
                let target = &control.means.connector.target;
                tracing::warn!(target, %error, "the resolver's service config is not used: the last one stays");
                self.last_config = said;
                return Ok(false);
            }
            Err(error) => return Err(Status::unavailable(format!("the resolver's {error}"))),
        };
        self.configured = true;
        self.last_config = said;
        let before = control.configured();
        let after = keeping.rules.apply(service, Some(&before));
        let policy =
            (after.policy != before.policy || after.upkeep != before.upkeep).then(|| after.policy.make());
        // First, because the subchannels of the policy are made by it.
        control.configured.store(Arc::new(after));
        control.changed.notify_waiters();
        let replaced = policy.is_some();
        if let Some(policy) = policy {
            self.policy.replace(policy, host);
        }
        Ok(replaced)
    }

    /// Drops the connections if nobody has called for so long.
    fn look_whether_idle(&mut self, control: &Arc<Control>, now: Instant) {
        let (used, live) = {
            let subchannels = control.subchannels();
            let used =
                subchannels.values().map(|subchannel| subchannel.opened_calls()).fold(0, u64::wrapping_add);
            (used, subchannels.values().any(|subchannel| subchannel.live_calls() > 0))
        };
        let in_use = live || std::mem::replace(&mut self.used, used) != used;
        if in_use || self.resolving.is_some() {
            self.idle_at = self.idle_timeout.map(|timeout| after(now, timeout));
            return;
        }
        (self.idle_at, self.ask_at) = (None, None);
        let mut host = Acting { control, now, timer: None, resolve: false };
        self.policy.idle(&mut host);
        self.policy_timer = None;
        // The next call asks for addresses first.
        self.resolved = false;
        control.publish(Connectivity::Idle, Picker::Idle);
    }
}

/// A policy's means, for one step.
struct Acting<'a> {
    control: &'a Arc<Control>,
    now: Instant,
    timer: Option<Instant>,
    resolve: bool,
}

impl Host for Acting<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn subchannel(&mut self, address: &Address, watching: Watching) -> Arc<Subchannel> {
        let control = self.control;
        let upkeep = control.configured().upkeep.clone();
        let subchannel = Subchannel::new(address.clone(), watching, upkeep, control.means.clone());
        control.subchannels().insert(subchannel.id(), subchannel.clone());
        subchannel
    }

    fn connect(&mut self, subchannel: &Arc<Subchannel>) {
        subchannel.connect();
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        self.control.subchannels().remove(&subchannel.id());
        subchannel.shut();
    }

    fn publish(&mut self, state: Connectivity, picker: Picker) {
        self.control.publish(state, picker);
    }

    fn resolve_again(&mut self) {
        self.resolve = true;
    }

    fn set_timer(&mut self, at: Option<Instant>) {
        self.timer = at;
    }
}
