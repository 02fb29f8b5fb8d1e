//! Authentication by bearer tokens: signed JWTs, checked with the keys of whoever issues them.

mod cache;
mod key;
mod remote;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use ring::digest;

use self::key::{ALGORITHMS, Algorithm, KeySet};
use self::remote::Remote;
use self::token::{Policy, Refused};
use super::guard::{Guard, Head, Stage};
use super::{ServeError, ServerBuilder};
use crate::method::Pattern;
use crate::middleware::BoxFuture;
use crate::reload::Reloading;
use crate::stats::Counters;
use crate::transport::fetch::Page;
use crate::{ClientTls, Status};

/// The default of [`Jwt::clock_skew`].
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What a token said of its caller, after it was found good.
#[derive(Clone, Default)]
pub struct Claims {
    subject: Option<String>,
    json: String,
    /// When they end, in seconds since 1970, with the clock skew that is allowed.
    ends: f64,
}

impl Claims {
    /// Who calls: the claim `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Those of this caller.
    #[cfg(test)]
    pub(crate) fn of(subject: &str) -> Self {
        Claims { subject: Some(subject.to_owned()), ..Claims::default() }
    }

    /// All claims, as the JSON object that was signed.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// What is said of people stays out of logs.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

/// Which bearer tokens a server accepts; see [`ServerBuilder::jwt`].
///
/// Nothing is read or checked until the server binds; what cannot be used is that call's error.
///
/// ```
/// # use spanwire::Jwt;
/// let jwt = Jwt::from_jwks_file("keys.json").issuers(["https://login.example.com"]).audiences(["orders"]);
/// ```
pub struct Jwt {
    keys: MakeSource,
    remote: RemoteOptions,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Vec<String>,
    clock_skew: Duration,
    required_claims: Vec<String>,
    unauthenticated_methods: Vec<String>,
    plaintext: bool,
}

/// Of keys that come from a URL.
struct RemoteOptions {
    interval: Duration,
    ca_file: Option<PathBuf>,
    plaintext: bool,
}

impl Jwt {
    /// Checks with the keys of this file, a JSON Web Key Set (RFC 7517). When the file changes it is read again within
    /// a second; one that cannot be used then leaves the old keys, with a warning.
    pub fn from_jwks_file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::with_keys(Box::new(move |_| {
            let file = Reloading::file("the keys of jwks_file", path, KeySet::read);
            file.map(|file| Box::new(file) as Box<dyn Source>)
                .map_err(|problem| ServeError::Security { setting: "jwks_file", problem })
        }))
    }

    /// Checks with the keys of this URL, a JSON Web Key Set (RFC 7517): `https`, or `http` on this machine. They are fetched
    /// when the server begins to run, which accepts no connection before it knows how that went; again every
    /// [`jwks_refresh_interval`](Self::jwks_refresh_interval), or sooner if the answer's `Cache-Control` says so; and when a
    /// token names a key that is not known, but never twice within five seconds.
    ///
    /// While they cannot be had the old ones stay, however long it takes, with a warning and a
    /// [count](crate::LimitCounts::jwks_errors). Until the first are there, and for a key that may be in the next, calls are
    /// UNAVAILABLE. An answer has 10 s and 256 KiB, and redirects are not followed.
    ///
    /// ```
    /// # use spanwire::Jwt;
    /// let jwt = Jwt::from_jwks_url("https://login.example.com/keys.json").issuers(["https://login.example.com"]);
    /// ```
    pub fn from_jwks_url(url: impl Into<String>) -> Self {
        let url = url.into();
        Self::with_keys(Box::new(move |options| {
            let wrong = |setting, problem: String| ServeError::Security { setting, problem };
            if options.interval.is_zero() {
                return Err(wrong("jwks_refresh_interval", "it must be above 0".to_owned()));
            }
            let tls = options.ca_file.map_or_else(ClientTls::new, |file| ClientTls::new().with_ca_file(file));
            let page = Page::new(&url, &tls, options.plaintext);
            let page = Arc::new(page.map_err(|problem| wrong("jwks_url", problem))?);
            let fetch = move || {
                let page = page.clone();
                Box::pin(async move { page.fetch().await }) as BoxFuture<'static, _>
            };
            Ok(Box::new(Remote::new(Box::new(fetch), options.interval)))
        }))
    }

    fn with_keys(keys: MakeSource) -> Self {
        Jwt {
            keys,
            remote: RemoteOptions { interval: remote::INTERVAL, ca_file: None, plaintext: false },
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            clock_skew: CLOCK_SKEW,
            required_claims: Vec::new(),
            unauthenticated_methods: Vec::new(),
            plaintext: false,
        }
    }

    /// How long keys of a URL are used without asking for newer ones; 5 minutes by default. Keys that the issuer has
    /// withdrawn are good for so long.
    pub fn jwks_refresh_interval(mut self, interval: Duration) -> Self {
        self.remote.interval = interval;
        self
    }

    /// Trusts the authorities of this file (PEM) for the URL of the keys, instead of the system's.
    pub fn jwks_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.remote.ca_file = Some(path.into());
        self
    }

    /// Takes keys from `http` URLs of other machines too: whoever can change the answer on its way decides whose tokens are
    /// good.
    pub fn danger_jwks_over_plaintext(mut self, accept: bool) -> Self {
        self.remote.plaintext = accept;
        self
    }

    /// Trusts tokens of these issuers (`iss`). At least one is needed; further calls add to them.
    pub fn issuers<T: Into<String>>(mut self, issuers: impl IntoIterator<Item = T>) -> Self {
        self.issuers.extend(issuers.into_iter().map(Into::into));
        self
    }

    /// Accepts tokens for these audiences (`aud`); further calls add to them. Without any, only tokens that name no
    /// audience are accepted.
    pub fn audiences<T: Into<String>>(mut self, audiences: impl IntoIterator<Item = T>) -> Self {
        self.audiences.extend(audiences.into_iter().map(Into::into));
        self
    }

    /// Accepts tokens that are signed with these algorithms; further calls add to them. Without any, all of these are
    /// accepted, each with keys of its kind alone: `ES256`, `ES384`, `EdDSA`, `PS256`, `PS384`, `PS512`, `RS256`,
    /// `RS384`, `RS512`.
    pub fn algorithms<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.algorithms.extend(names.into_iter().map(Into::into));
        self
    }

    /// How far the clocks of issuers may be from ours: tokens are good for so much longer, and so much earlier. 60 s by
    /// default.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Refuses tokens without these claims; further calls add to them. `exp` is required of every token, `iss` and `aud`
    /// as far as they are set here.
    pub fn required_claims<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.required_claims.extend(names.into_iter().map(Into::into));
        self
    }

    /// Calls of these methods need no token, and none that they have is looked at: `/package.Service/Method`, or all of a
    /// service, `/package.Service/*`; further calls add to them. Health and reflection are guarded like all others unless
    /// they are listed: `/grpc.health.v1.Health/*` for probes that have no token.
    pub fn unauthenticated_methods<T: Into<String>>(mut self, methods: impl IntoIterator<Item = T>) -> Self {
        self.unauthenticated_methods.extend(methods.into_iter().map(Into::into));
        self
    }

    /// Takes tokens from connections on which others may read them too: TCP without TLS. For servers behind a proxy that
    /// ends TLS, in a network that nobody else listens in.
    pub fn danger_accept_plaintext(mut self, accept: bool) -> Self {
        self.plaintext = accept;
        self
    }

    fn guard(self) -> Result<Box<dyn Guard>, ServeError> {
        let wrong = |setting, problem: &str| ServeError::Security { setting, problem: problem.to_owned() };
        if self.issuers.is_empty() {
            return Err(wrong("jwt", "whose tokens are good? it needs issuers"));
        }
        let named = |name: &String| {
            Algorithm::named(name).ok_or_else(|| ServeError::Security {
                setting: "jwt",
                problem: format!("{name:?} is no algorithm of public keys that is known here"),
            })
        };
        let mut algorithms = self.algorithms.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            algorithms = ALGORITHMS.iter().collect();
        }
        let policy = Policy {
            issuers: self.issuers,
            audiences: self.audiences,
            algorithms,
            clock_skew: self.clock_skew,
            required_claims: self.required_claims,
        };
        let open = Pattern::all(&self.unauthenticated_methods)
            .map_err(|problem| ServeError::Security { setting: "unauthenticated_methods", problem })?;
        Ok(Box::new(JwtGuard { keys: (self.keys)(self.remote)?, policy, open, plaintext: self.plaintext }))
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Jwt { issuers, audiences, .. } = self;
        f.debug_struct("Jwt").field("issuers", issuers).field("audiences", audiences).finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Refuses calls without a good bearer token (`authorization: Bearer …`) with UNAUTHENTICATED, whatever their method but
    /// [those that need none](Jwt::unauthenticated_methods). Handlers find what the token says in [`Context::claims`](super::Context::claims). Tokens are taken over TLS, Unix
    /// sockets and in-process connections alone, unless [`Jwt::danger_accept_plaintext`] says otherwise.
    pub fn jwt(self, jwt: Jwt) -> Self {
        self.guard(Stage::Authentication, move || jwt.guard())
    }
}

/// The claims of a token of `issuer`, for nobody in particular, or why it is refused. `keys` are a JSON Web Key Set, `now`
/// is in seconds since 1970.
///
/// # Errors
/// What is wrong with the keys or the token.
pub fn check_token(token: &str, keys: &[u8], issuer: &str, now: f64) -> Result<String, String> {
    let policy = Policy {
        issuers: vec![issuer.to_owned()],
        audiences: Vec::new(),
        algorithms: ALGORITHMS.iter().collect(),
        clock_skew: CLOCK_SKEW,
        required_claims: Vec::new(),
    };
    let claims = token::check(token, &KeySet::read(keys)?, &policy, now);
    claims.map(|claims| claims.json).map_err(|refused| refused.message().to_owned())
}

/// Where the keys come from.
trait Source: Send + Sync + 'static {
    /// Those that are good now.
    fn keys(&self) -> arc_swap::Guard<Arc<KeySet>>;

    /// A token was signed with another. Whether that may be among keys that are about to come.
    fn awaits_newer(&self) -> bool {
        false
    }

    /// See [`Guard::start`].
    fn start(&self, _counters: &Arc<Counters>) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

type MakeSource = Box<dyn FnOnce(RemoteOptions) -> Result<Box<dyn Source>, ServeError> + Send>;

impl Source for Reloading<KeySet> {
    fn keys(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.current()
    }
}

struct JwtGuard {
    keys: Box<dyn Source>,
    policy: Policy,
    /// Methods that need no token.
    open: Vec<Pattern>,
    plaintext: bool,
}

impl JwtGuard {
    fn authenticate(&self, head: &Head<'_>) -> Result<Arc<Claims>, Refused> {
        if !self.plaintext && !head.is_private() {
            return Err(Refused::Because("bearer tokens are taken over TLS alone"));
        }
        let token = token::of_request(head.headers)?;
        let keys = self.keys.keys();
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let known = || keys.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = known().get(&digest).filter(|claims| now < claims.ends) {
            return Ok(claims);
        }
        let claims = Arc::new(token::check(token, &keys, &self.policy, now)?);
        known().put(digest, claims.clone());
        Ok(claims)
    }
}

impl Guard for JwtGuard {
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        if self.open.iter().any(|methods| methods.matches(head.method)) {
            return Ok(());
        }
        let claims = self.authenticate(head).map_err(|refused| {
            if refused == Refused::UnknownKey && self.keys.awaits_newer() {
                return Status::unavailable("the keys that bearer tokens are checked with are being fetched");
            }
            Status::unauthenticated(refused.message())
        })?;
        head.extensions.insert(claims);
        Ok(())
    }

    fn start(&self, counters: &Arc<Counters>) -> Option<BoxFuture<'static, ()>> {
        self.keys.start(counters)
    }
}
