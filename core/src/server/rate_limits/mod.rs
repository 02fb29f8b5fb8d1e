//! Rate limits: how often methods may be called, by all clients together or by each.
//!
//! Each limit keeps, for each whom it counts, the moment at which the allowance would be whole again (the "generic cell
//! rate algorithm"): eight bytes, and no timer.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::guard::{Guard, Head, Stage, come_back_in};
use super::{Claims, ServeError, ServerBuilder};
use crate::json::At;
use crate::method::Pattern;
use crate::{PeerAddr, Status};

/// Clients that one limit knows at once. Each that it does not know has its whole allowance.
const MOST_CLIENTS: usize = 65_536;

/// How often methods may be called.
///
/// ```
/// use spanwire::{RateLimit, Server};
///
/// let builder = Server::builder().rate_limits([
///     RateLimit::new(1000, 500.0),
///     RateLimit::new(20, 10.0).method("/shop.v1.Orders/*").for_each_client(),
/// ]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    burst: u32,
    per_second: f64,
    methods: Vec<String>,
    for_each_client: bool,
}

impl RateLimit {
    /// `burst` calls at once, and `per_second` after that, of all methods and all clients together.
    #[must_use]
    pub fn new(burst: u32, per_second: f64) -> Self {
        RateLimit { burst, per_second, methods: Vec::new(), for_each_client: false }
    }

    /// Only calls of this method, `/package.Service/Method`, or of all methods of a service, `/package.Service/*`; with
    /// several, all of them together.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods.push(method.into());
        self
    }

    /// Each client has the whole allowance for itself. Who it is says its token (the subject of a JWT), else its
    /// certificate, else its IP address; of IPv6 the first 64 bits, because the rest is for a client to choose.
    #[must_use]
    pub fn for_each_client(mut self) -> Self {
        self.for_each_client = true;
        self
    }

    /// Which methods it is for, if all of it makes sense.
    fn check(&self) -> Result<Vec<Pattern>, String> {
        if self.burst == 0 {
            return Err("burst must be above 0".to_owned());
        }
        if !(self.per_second.is_finite() && self.per_second > 0.0) {
            return Err("per_second must be a number above 0".to_owned());
        }
        Pattern::all(&self.methods)
    }
}

/// Limits as JSON: `[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]`.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn read(json: &str) -> Result<Vec<RateLimit>, String> {
    let limits: Result<Value, _> = serde_json::from_str(json);
    let read = limits.map_err(|error| format!("is no JSON: {error}")).and_then(|limits| {
        let whole = Value::from_iter([("limits", limits)]);
        At::root(&whole).list("limits")?.iter().map(read_one).collect()
    });
    read.map_err(|problem| format!("rate_limits: {problem}"))
}

fn read_one(at: &At<'_>) -> Result<RateLimit, String> {
    at.only(&["burst", "perSecond", "methods", "forEachClient"])?;
    let burst = at.need("burst")?;
    let whole = burst.whole(1, "a whole number from 1 on")?;
    let whole = u32::try_from(whole).map_err(|_| burst.wrong("must be below 2^32"))?;
    let per_second = at.need("perSecond")?;
    let mut limit = RateLimit::new(whole, per_second.number()?);
    if limit.per_second <= 0.0 {
        return Err(per_second.wrong("must be above 0"));
    }
    for method in at.list("methods")? {
        let text = method.text()?;
        Pattern::parse(text).map_err(|problem| method.wrong(problem))?;
        limit = limit.method(text);
    }
    if at.get("forEachClient").map_or(Ok(false), |each| each.truth())? {
        limit = limit.for_each_client();
    }
    Ok(limit)
}

impl ServerBuilder {
    /// Methods may not be called more often than this; all limits that fit a call hold. A call beyond is
    /// RESOURCE_EXHAUSTED, with a `grpc-retry-pushback-ms` that says when there is an allowance again. Checked behind
    /// authentication and authorization: what they refuse does not count. Up to 65 536 clients are known to a limit for
    /// each client.
    pub fn rate_limits(self, limits: impl IntoIterator<Item = RateLimit>) -> Self {
        limits.into_iter().fold(self, |builder, limit| {
            builder.guard(Stage::RateLimits, move || {
                let limiter = Limiter::new(limit);
                let wrong = |problem| ServeError::Security { setting: "rate_limits", problem };
                Ok(Box::new(limiter.map_err(wrong)?))
            })
        })
    }
}

struct Limiter {
    limit: RateLimit,
    /// All of them if it is empty.
    methods: Vec<Pattern>,
    /// From one call to the next.
    pause: Duration,
    began: Instant,
    hasher: RandomState,
    /// By the hash of the client: when its allowance is whole again, in nanoseconds since `began`.
    whole_at: Mutex<HashMap<u64, u64>>,
}

impl Limiter {
    fn new(limit: RateLimit) -> Result<Self, String> {
        Ok(Limiter {
            methods: limit.check()?,
            // Longer than a year from one call to the next is as good as never.
            pause: Duration::from_secs_f64((1.0 / limit.per_second).min(3e7)),
            limit,
            began: Instant::now(),
            hasher: RandomState::new(),
            whole_at: Mutex::default(),
        })
    }

    fn client(&self, head: &Head<'_>) -> u64 {
        if !self.limit.for_each_client {
            return 0;
        }
        let mut hasher = self.hasher.build_hasher();
        if let Some(claims) = head.extensions.get::<Arc<Claims>>() {
            claims.subject().hash(&mut hasher);
        } else if let Some(identity) = head.peer.tls_identity() {
            match identity.principals().next() {
                Some(name) if !name.is_empty() => name.hash(&mut hasher),
                _ => identity.leaf().hash(&mut hasher),
            }
        } else if let PeerAddr::Tcp(address) = head.peer.addr() {
            match address.ip().to_canonical() {
                IpAddr::V4(ip) => ip.hash(&mut hasher),
                IpAddr::V6(ip) => ip.octets()[..8].hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// Takes one call from the client's allowance; else, how long it takes until there is one.
    fn take(&self, client: u64) -> Result<(), Duration> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (now, pause) = (nanos(self.began.elapsed()), nanos(self.pause));
        let allowance = pause.saturating_mul(self.limit.burst.into());
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if whole_at.len() >= MOST_CLIENTS && !whole_at.contains_key(&client) {
            whole_at.retain(|_, at| *at > now);
            // They all call at the limit: rather forget what each has used than be filled by them.
            if whole_at.len() >= MOST_CLIENTS {
                whole_at.clear();
            }
        }
        let at = whole_at.entry(client).or_insert(now);
        let next = (*at).max(now).saturating_add(pause);
        if next - now > allowance {
            return Err(Duration::from_nanos(next - now - allowance));
        }
        *at = next;
        Ok(())
    }
}

impl Guard for Limiter {
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        let methods = &self.methods;
        if !methods.is_empty() && !methods.iter().any(|method| method.matches(head.method)) {
            return Ok(());
        }
        self.take(self.client(head)).map_err(|pause| {
            head.limits.rate_limits.hit();
            let RateLimit { burst, per_second, for_each_client, .. } = self.limit;
            let whose = if for_each_client { " from this client" } else { "" };
            let why = format!(
                "too many calls{whose}: rate_limits let {burst} through at once and {per_second} a second"
            );
            come_back_in(pause, Status::resource_exhausted(why))
        })
    }
}
