//! Numbers that a user can read: what lives now, and how often each limit was hit.
//!
//! Everything is counted here, with relaxed atomics that are touched when a limit is hit, or when a connection or a
//! call begins or ends, never with a message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

use crate::registry::{Registry, next_id};
use crate::transport::linger::Lingering;
use crate::transport::watch::WireFacts;
use crate::transport::{Peer, PeerAddr};

/// The servers of this process.
pub(crate) static SERVERS: Registry<ServerCounters> = Registry::new();

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn hit(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! limit_counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// How often each limit was hit since the server or channel was made. A limit that only the other side has, or
        /// that h2 keeps for itself (a header list far above `max_metadata_bytes`), stays at 0.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct LimitCounts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl LimitCounts {
            /// All counts with their names, for exporters.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }

        /// Where [`LimitCounts`] are counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)+
        }

        impl Counters {
            pub(crate) fn read(&self) -> LimitCounts {
                LimitCounts { $($name: self.$name.get(),)+ }
            }
        }
    };
}

limit_counts! {
    /// Connections ended for pings closer together than `keepalive_enforcement` permits.
    pings,
    /// Connections ended for calls that were opened only to be reset: `flood_limits.resets`.
    resets,
    /// Connections ended for SETTINGS frames: `flood_limits.settings`.
    settings,
    /// Connections ended for the entries of one SETTINGS frame: `flood_limits.max_settings_entries`.
    settings_entries,
    /// Connections ended for frames that do nothing: `flood_limits.control_frames`.
    control_frames,
    /// Connections ended for the CONTINUATION frames of a header block: `flood_limits.max_continuations`.
    continuations,
    /// Times that reading stopped until acknowledgements were written: `flood_limits.max_pending_acks`.
    pending_acks,
    /// Connections ended by the HTTP/2 layer itself with ENHANCE_YOUR_CALM: small DATA frames beyond
    /// `flood_limits.small_data_budget`, metadata far beyond `max_metadata_bytes`.
    http2_excess,
    /// Connections ended because the peer broke HTTP/2.
    http2_violations,
    /// Header blocks above `max_metadata_bytes`.
    metadata_bytes,
    /// Header blocks of more fields than `max_metadata_fields`.
    metadata_fields,
    /// Received messages above `max_recv_message_bytes`.
    message_bytes,
    /// Calls refused because the messages of their connection that were not whole were above
    /// `max_unfinished_request_bytes`.
    unfinished_request_bytes,
    /// Calls turned away because `max_running_calls` ran.
    running_calls,
    /// Calls beyond `rate_limits`.
    rate_limits,
    /// Streams refused (REFUSED_STREAM) because `max_concurrent_streams` were open.
    refused_streams,
    /// Streams reset because the peer took nothing of an answer for `stall_timeout`.
    stalled_streams,
    /// Connections ended because the peer took nothing of any answer for `stall_timeout`.
    stalled_connections,
    /// Connections ended before they were ready: `handshake_timeout`.
    handshakes,
    /// Connections ended because a ping of `keepalive` was not answered.
    keepalive,
    /// Connections that were told to go at `max_connection_age`.
    connection_age,
    /// Connections that were told to go after `max_connection_idle`.
    connection_idle,
    /// Connections that had to wait because `max_connections` were open.
    connection_waits,
    /// Times that accepting a connection failed, such as when the process had no file descriptor left.
    accept_errors,
    /// Times that the keys of `jwks_url` could not be fetched.
    jwks_errors,
}

/// The numbers of a server; see [`ServerHandle::stats`](crate::ServerHandle::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that are open now, those in their handshake included.
    pub connections: u64,
    /// Connections accepted so far.
    pub total_connections: u64,
    /// Calls that run now: their handlers have not ended, or the client has not taken the answer.
    pub calls: u64,
    /// Calls begun so far, those answered without a handler included.
    pub total_calls: u64,
    /// How often each limit was hit.
    pub limits: LimitCounts,
}

/// The calls of one connection of a server.
#[derive(Debug)]
pub(crate) struct Calls {
    running: AtomicUsize,
    begun: AtomicU64,
    /// Those that ended otherwise than with an OK that was sent.
    failed: Count,
    /// Bytes held of requests that are not whole.
    unfinished: AtomicUsize,
    /// What its frames tell. Until there are some, nothing lingers.
    facts: OnceLock<Arc<WireFacts>>,
    peer: OnceLock<Arc<Peer>>,
    /// The task of the connection, when it waits for the end of a call.
    has_waker: AtomicBool,
    waker: Mutex<Option<Waker>>,
    counters: Arc<ServerCounters>,
}

impl Calls {
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        // Only the task of the connection writes it.
        self.begun.store(self.begun.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, failed: bool) {
        if failed {
            self.failed.hit();
        }
        // In one order with `wake_at_end`: either it sees this end, or this sees its waker.
        self.running.fetch_sub(1, Ordering::SeqCst);
        if self.has_waker.load(Ordering::SeqCst) {
            // Both under the lock: a waker that is left here in between must not be marked as gone.
            let mut slot = self.waker();
            self.has_waker.store(false, Ordering::SeqCst);
            let waker = slot.take();
            drop(slot);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Wakes the task of the connection when a call ends. Whether one has ended by now, so that fewer than `max` run.
    pub(crate) fn wake_at_end(&self, cx: &Context<'_>, max: usize) -> bool {
        let mut slot = self.waker();
        *slot = Some(cx.waker().clone());
        self.has_waker.store(true, Ordering::SeqCst);
        drop(slot);
        self.running.load(Ordering::SeqCst) < max
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes more of requests that are not whole; how many there are now.
    pub(crate) fn hold(&self, bytes: usize) -> usize {
        self.unfinished.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.unfinished.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Those begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// Shares what the frame watcher knows. To be called before the first call.
    pub(crate) fn set_facts(&self, facts: &Arc<WireFacts>) {
        let _ = self.facts.set(facts.clone());
    }

    pub(crate) fn facts(&self) -> &WireFacts {
        self.facts.get_or_init(Arc::default)
    }

    pub(crate) fn set_peer(&self, peer: &Arc<Peer>) {
        let _ = self.peer.set(peer.clone());
    }

    /// The other end, when TLS is done.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.peer.get().map(Arc::as_ref)
    }

    pub(crate) fn lingering(&self) -> &Arc<Lingering> {
        &self.facts().lingering
    }

    pub(crate) fn limits(&self) -> &Counters {
        &self.counters.limits
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters.limits
    }
}

/// Where [`ServerStats`] are counted.
#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    pub(crate) limits: Arc<Counters>,
    accepted: Count,
    /// Calls of connections that are gone.
    past_calls: Count,
    past_failed: Count,
    /// Where it listens, when it does, and the number of that.
    pub(crate) listens: OnceLock<(u64, PeerAddr)>,
    /// By their numbers.
    connections: Mutex<HashMap<u64, Arc<Calls>>>,
}

/// One connection, as long as it lasts.
#[derive(Debug)]
pub(crate) struct LiveConnection {
    number: u64,
    pub(crate) calls: Arc<Calls>,
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        let counters = &self.calls.counters;
        let mut connections = counters.lock();
        connections.remove(&self.number);
        counters.past_calls.add(self.calls.begun());
        counters.past_failed.add(self.calls.failed());
    }
}

impl ServerCounters {
    pub(crate) fn connection(self: &Arc<Self>) -> LiveConnection {
        self.accepted.hit();
        let number = next_id();
        let calls = Arc::new(Calls {
            running: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            failed: Count::default(),
            unfinished: AtomicUsize::new(0),
            facts: OnceLock::new(),
            peer: OnceLock::new(),
            has_waker: AtomicBool::new(false),
            waker: Mutex::new(None),
            counters: self.clone(),
        });
        self.lock().insert(number, calls.clone());
        LiveConnection { number, calls }
    }

    pub(crate) fn read(&self) -> ServerStats {
        let connections = self.lock();
        let calls = connections.values().map(|calls| calls.running() as u64).sum();
        let begun: u64 = connections.values().map(|calls| calls.begun()).sum();
        ServerStats {
            connections: connections.len() as u64,
            total_connections: self.accepted.get(),
            calls,
            total_calls: self.past_calls.get() + begun,
            limits: self.limits.read(),
        }
    }

    /// Its calls, for channelz.
    pub(crate) fn tally(&self) -> Tally {
        let connections = self.lock();
        let sum = |of: fn(&Calls) -> u64| connections.values().map(|calls| of(calls)).sum::<u64>();
        Tally {
            begun: self.past_calls.get() + sum(Calls::begun),
            failed: self.past_failed.get() + sum(Calls::failed),
            running: sum(|calls| calls.running() as u64),
        }
    }

    /// Its connections, in the order of their numbers.
    pub(crate) fn connections(&self) -> Vec<(u64, Arc<Calls>)> {
        let mut all: Vec<_> = self.lock().iter().map(|(number, calls)| (*number, calls.clone())).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all
    }

    /// Nothing can panic while it is held, but a panic elsewhere in the task leaves it good too.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Calls>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of a channel; see [`Channel::stats`](crate::Channel::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// Connections made so far.
    pub total_connections: u64,
    /// Attempts to connect that failed so far.
    pub failed_connections: u64,
    /// Calls that are open now on the current connection, or wait for room on it.
    pub calls: u64,
    /// How often each limit was hit.
    pub limits: LimitCounts,
}

/// Where [`ChannelStats`] are counted.
#[derive(Debug, Default)]
pub(crate) struct ChannelCounters {
    pub(crate) limits: Arc<Counters>,
    pub(crate) connected: Count,
    pub(crate) failed: Count,
    /// Calls of addresses that are gone.
    pub(crate) past_calls: Count,
    pub(crate) past_failed: Count,
    /// Connections that are gone again.
    pub(crate) disconnected: Count,
    pub(crate) weights: WeightCounts,
}

/// What weighted_round_robin knew whenever it took weights over (gRFC A78). That is once a second: threads may wait for it.
#[derive(Debug, Default)]
pub(crate) struct WeightCounts(Mutex<WeightSums>);

/// See [`WeightCounts`].
#[derive(Clone, Debug, Default)]
pub(crate) struct WeightSums {
    pub(crate) fell_back: u64,
    pub(crate) not_yet_usable: u64,
    pub(crate) stale: u64,
    /// How many weights there were up to each of [`WEIGHT_BOUNDS`], and above.
    pub(crate) counts: [u64; WEIGHT_BOUNDS.len() + 1],
    pub(crate) sum: f64,
}

/// One time that weights were taken over.
pub(crate) struct WeightUpdate {
    /// There were too few.
    pub(crate) fell_back: bool,
    /// Servers that did not report for long enough.
    pub(crate) not_yet_usable: u64,
    /// Servers that did not report any more.
    pub(crate) stale: u64,
    /// One for each server; 0 where none is known.
    pub(crate) weights: Vec<f64>,
}

/// The proposal names none: those that OpenTelemetry has where nobody does.
pub(crate) const WEIGHT_BOUNDS: [f64; 15] =
    [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4];

impl WeightCounts {
    pub(crate) fn update(&self, update: &WeightUpdate) {
        let mut sums = self.lock();
        sums.fell_back += u64::from(update.fell_back);
        sums.not_yet_usable += update.not_yet_usable;
        sums.stale += update.stale;
        for weight in &update.weights {
            sums.counts[WEIGHT_BOUNDS.partition_point(|bound| bound < weight)] += 1;
            sums.sum += weight;
        }
    }

    pub(crate) fn read(&self) -> WeightSums {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, WeightSums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::AddAssign<&WeightSums> for WeightSums {
    fn add_assign(&mut self, more: &WeightSums) {
        self.fell_back += more.fell_back;
        self.not_yet_usable += more.not_yet_usable;
        self.stale += more.stale;
        self.counts.iter_mut().zip(more.counts).for_each(|(count, more)| *count += more);
        self.sum += more.sum;
    }
}

/// Calls added up. Only failures are counted as such: that is what most calls do not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) begun: u64,
    pub(crate) failed: u64,
    pub(crate) running: u64,
}

impl Tally {
    pub(crate) fn succeeded(self) -> u64 {
        self.begun.saturating_sub(self.failed + self.running)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Tally) {
        self.begun += more.begun;
        self.failed += more.failed;
        self.running += more.running;
    }
}
