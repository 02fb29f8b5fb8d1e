//! From a target to addresses, as often as that is wanted.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, Endpoint};
use super::config::ServiceConfigError;
use super::target::{self, Target};
use crate::Status;
use crate::middleware::BoxFuture;

/// What a name was resolved to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Resolution {
    /// Where the service is, the best first. None at all is a failure.
    pub endpoints: Vec<Endpoint>,
    /// How long this holds; then the name is resolved again, so that servers that were added are found. Without, the name
    /// is resolved again only when a connection is lost or cannot be made.
    pub ttl: Option<Duration>,
    /// The service config, as [`ChannelBuilder::service_config`](crate::ChannelBuilder::service_config) takes it. Without,
    /// that one counts. If this one cannot be used the last good one stays in force; if there was none, calls fail with
    /// UNAVAILABLE until there is.
    pub service_config: Option<String>,
    /// There is a service config, and it cannot be used.
    pub(crate) config_error: Option<ServiceConfigError>,
}

impl Resolution {
    /// Addresses, or [`Endpoint`]s, that hold until one of them fails.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<Endpoint>>) -> Self {
        Resolution { endpoints: endpoints.into_iter().map(Into::into).collect(), ..Resolution::default() }
    }

    /// Sets how long they hold.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the service config.
    #[must_use]
    pub fn service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(json.into());
        self
    }
}

/// Finds the addresses of a service. A function that returns a future of a [`Resolution`] is one:
///
/// ```
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use spanwire::{Channel, Resolution, Status};
///
/// let channel = Channel::builder("orders")
///     .resolver(|| async {
///         let addresses = ["192.0.2.1:50051", "192.0.2.2:50051"].map(|text| text.parse::<std::net::SocketAddr>());
///         let addresses = addresses.into_iter().collect::<Result<Vec<_>, _>>();
///         let addresses = addresses.map_err(|error| Status::unavailable(error.to_string()))?;
///         Ok(Resolution::new(addresses).ttl(Duration::from_secs(30)))
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// Resolves once. It is asked again when what it said does not hold any more, with pauses that grow while it fails.
    ///
    /// # Errors
    /// The status is that of calls while there are no addresses; UNAVAILABLE unless there is a reason for another.
    fn resolve(&self) -> BoxFuture<'static, Result<Resolution, Status>>;
}

impl<F, Fut> Resolver for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Resolution, Status>> + Send + 'static,
{
    fn resolve(&self) -> BoxFuture<'static, Result<Resolution, Status>> {
        Box::pin(self())
    }
}

/// How a channel gets its addresses.
#[derive(Clone)]
pub(crate) enum Naming {
    /// They are what the target says.
    Fixed(Vec<Endpoint>),
    /// They are asked for.
    Asked(Arc<dyn Resolver>),
    /// The system is asked, which does not say how long they hold.
    Named(Arc<dyn Resolver>),
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Naming::Fixed(endpoints) => f.debug_tuple("Fixed").field(endpoints).finish(),
            Naming::Asked(_) => f.write_str("Asked"),
            Naming::Named(_) => f.write_str("Named"),
        }
    }
}

impl Naming {
    /// What `target` itself asks for.
    pub(crate) fn of(target: &Target) -> Self {
        match &target.endpoint {
            target::Endpoint::Dns { host, port, .. } => match host.parse::<IpAddr>() {
                Ok(address) => Naming::Fixed(vec![Endpoint::new(SocketAddr::new(address, *port))]),
                Err(_) => Naming::Named(Arc::new(SystemResolver { host: host.clone(), port: *port })),
            },
            target::Endpoint::Addresses(addresses) => {
                Naming::Fixed(addresses.iter().copied().map(Into::into).collect())
            }
            target::Endpoint::Unix(path) => Naming::Fixed(vec![Address::Unix(path.clone()).into()]),
            target::Endpoint::UnixAbstract(name) => {
                Naming::Fixed(vec![Address::UnixAbstract(name.clone()).into()])
            }
            target::Endpoint::InProcess(name) => Naming::Fixed(vec![Address::InProcess(name.clone()).into()]),
        }
    }
}

/// The system's own resolver: files, DNS and whatever else the machine is set up for.
pub(crate) struct SystemResolver {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Resolver for SystemResolver {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolution, Status>> {
        let (host, port) = (self.host.clone(), self.port);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            let found = found.map_err(|error| Status::unavailable(error.to_string()))?;
            Ok(Resolution::new(found))
        })
    }
}
