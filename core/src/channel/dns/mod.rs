//! Names and service configs that are asked of DNS servers by the channel itself, where the system's own resolver has no
//! word for it: how long a name holds, and text records (gRFC A2).
//!
//! Only the options for it name what is here, so that programs without them are linked without it.

mod lookup;
mod system;
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lookup::{Answer, Kind, Lookup};
use system::System;

use super::config::{Client, ServiceConfigError, choose};
use super::control::NAME_TTL;
use super::resolver::{Naming, Resolution, Resolver, SystemResolver};
use super::target::{Endpoint, Target, name_server};
use super::{ChannelBuilder, ChannelError};
use crate::middleware::BoxFuture;
use crate::{Status, random};

/// Who finds the addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsResolver {
    /// The system: files, DNS and whatever else the machine is set up for. It does not say how long they hold.
    #[default]
    System,
    /// The channel: it asks the DNS servers of `/etc/resolv.conf`, or the one that the target names
    /// (`dns://192.0.2.53/orders:443`), and asks again when what they said does not hold any more.
    Direct,
}

/// The text is the name of no resolver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no resolver; there are system and direct")]
pub struct UnknownDnsResolver(String);

impl std::str::FromStr for DnsResolver {
    type Err = UnknownDnsResolver;

    fn from_str(name: &str) -> Result<Self, UnknownDnsResolver> {
        match name {
            "system" => Ok(DnsResolver::System),
            "direct" => Ok(DnsResolver::Direct),
            _ => Err(UnknownDnsResolver(name.to_owned())),
        }
    }
}

/// What a channel asks of DNS by itself.
pub(super) struct Asking {
    /// A pointer, which only the options for that fill in: other programs are linked without what is below.
    make: Option<fn(Wanted) -> Naming>,
    resolver: DnsResolver,
    service_config: bool,
    language: &'static str,
}

impl Default for Asking {
    fn default() -> Self {
        Asking { make: None, resolver: DnsResolver::default(), service_config: false, language: "rust" }
    }
}

impl ChannelBuilder {
    /// Who finds the addresses of the target's name; the system by default. With [`DnsResolver::Direct`] a name holds as long
    /// as DNS says, and no longer than [`name_ttl`](Self::name_ttl).
    pub fn dns_resolver(mut self, resolver: DnsResolver) -> Self {
        self.dns.make = Some(make);
        self.dns.resolver = resolver;
        self
    }

    /// Whether DNS is asked for the service config of the target's name too: text records of `_grpc_config.<name>` (gRFC A2).
    /// Off by default. A config that is found counts instead of [`service_config`](Self::service_config); see
    /// [`Resolution::service_config`] for one that cannot be used. Targets that are no names, and those that are reached
    /// through a proxy, have none.
    pub fn service_config_from_dns(mut self, look: bool) -> Self {
        self.dns.make = Some(make);
        self.dns.service_config = look;
        self
    }

    /// What the language of the program is called by choices among service configs.
    pub(crate) fn client_language(mut self, language: &'static str) -> Self {
        self.dns.language = language;
        self
    }
}

impl Asking {
    /// How the target's name is asked for; `None`: as if there were no DNS.
    ///
    /// # Errors
    /// The target names a server that cannot be asked.
    pub(super) fn naming(
        &self,
        target: &Target,
        name_ttl: Option<Duration>,
    ) -> Result<Option<Naming>, ChannelError> {
        let wanted = self.resolver != DnsResolver::System || self.service_config;
        let (Some(make), Endpoint::Dns { host, port, server }) = (self.make, &target.endpoint) else {
            return Ok(None);
        };
        if !wanted || host.parse::<IpAddr>().is_ok() {
            return Ok(None);
        }
        let server = server.as_deref().map(|server| {
            name_server(server).ok_or_else(|| ChannelError::Setting {
                setting: "dns_resolver",
                value: server.to_owned(),
                reason: "the name server of the target must be an IP address",
            })
        });
        Ok(Some(make(Wanted {
            host: host.clone(),
            port: *port,
            server: server.transpose()?,
            resolver: self.resolver,
            service_config: self.service_config,
            language: self.language,
            name_ttl,
        })))
    }
}

/// What is asked of DNS, as plain data.
struct Wanted {
    host: String,
    port: u16,
    /// The one to ask, if the target names it.
    server: Option<SocketAddr>,
    resolver: DnsResolver,
    service_config: bool,
    language: &'static str,
    /// The longest that a name holds.
    name_ttl: Option<Duration>,
}

/// Before the name whose service config is asked for.
const PREFIX: &str = "_grpc_config.";

/// How long a service config is waited for: addresses without one are better than none.
const CONFIG_PATIENCE: Duration = Duration::from_secs(5);

/// What a channel that wants this is named by.
fn make(wanted: Wanted) -> Naming {
    let system = wanted.resolver == DnsResolver::System;
    let client = Client { language: wanted.language, hostname: hostname(), lot: random::below(100) as u8 };
    let names = Arc::new(Names(Arc::new(Known { wanted, client, last: Mutex::new(Ok(None)) })));
    if system { Naming::Named(names) } else { Naming::Asked(names) }
}

#[cfg(unix)]
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn hostname() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

struct Names(Arc<Known>);

struct Known {
    wanted: Wanted,
    client: Client,
    /// What DNS said last of the service config.
    last: Mutex<Config>,
}

type Config = Result<Option<String>, ServiceConfigError>;

impl Resolver for Names {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolution, Status>> {
        let known = self.0.clone();
        Box::pin(async move {
            let (found, config_ttl) = tokio::join!(known.addresses(), known.config());
            let mut found = found?;
            found.ttl = found.ttl.into_iter().chain(config_ttl).min();
            match known.last().clone() {
                Ok(json) => found.service_config = json,
                Err(error) => found.config_error = Some(error),
            }
            Ok(found)
        })
    }
}

impl Known {
    fn last(&self) -> std::sync::MutexGuard<'_, Config> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn addresses(&self) -> Result<Resolution, Status> {
        let Wanted { host, port, .. } = &self.wanted;
        // No server knows what this machine is to itself (RFC 6761 section 6.3).
        let local = host == "localhost" || host.ends_with(".localhost");
        if local || self.wanted.resolver == DnsResolver::System {
            return SystemResolver { host: host.clone(), port: *port }.resolve().await;
        }
        let (ipv4, ipv6) = tokio::join!(self.ask(Kind::Ipv4, ""), self.ask(Kind::Ipv6, ""));
        let mut answers = Vec::new();
        let mut failure = None;
        for result in [ipv6, ipv4] {
            match result {
                Ok(answer) => answers.push(answer),
                Err(error) => failure = Some(error),
            }
        }
        let found: Vec<IpAddr> = answers.iter().flat_map(|answer| answer.addresses.clone()).collect();
        if let Some(failure) = failure.filter(|_| found.is_empty()) {
            return Err(Status::unavailable(failure));
        }
        let told = answers.iter().filter_map(|answer| answer.ttl);
        let ttl = told.chain(self.wanted.name_ttl).min();
        let endpoints = found.into_iter().map(|address| SocketAddr::new(address, *port));
        Ok(ttl.into_iter().fold(Resolution::new(endpoints), Resolution::ttl))
    }

    /// Asks for the service config and keeps what is said. How long that holds, which for nothing at all nobody says.
    async fn config(&self) -> Option<Duration> {
        if !self.wanted.service_config {
            return None;
        }
        let asked = tokio::time::timeout(CONFIG_PATIENCE, self.ask(Kind::Text, PREFIX)).await;
        match asked.unwrap_or_else(|_| Err(format!("no answer within {CONFIG_PATIENCE:?}"))) {
            Ok(Answer { texts, ttl, .. }) => {
                *self.last() = choose(&texts, &self.client);
                ttl.or(Some(NAME_TTL))
            }
            // What was said before may still be true.
            Err(error) => {
                tracing::debug!(error, host = self.wanted.host, "there is no word of a service config");
                Some(NAME_TTL)
            }
        }
    }

    async fn ask(&self, kind: Kind, prefix: &str) -> Result<Answer, String> {
        let system = self.wanted.server.map_or_else(System::read, |server| Ok(System::only(server)))?;
        let names = system.names(prefix, &self.wanted.host);
        let lookup = Lookup::new(kind, names, system.servers.len(), system.rounds)?;
        wire::run(lookup, &system.servers, system.patience).await
    }
}
