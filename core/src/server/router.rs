//! Which handler a path leads to.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use spanwire_wire::call::Limits;

use super::guard::Guards;
use super::handler::{Fallback, Handler, Run, Service};
use super::pace::Pace;
use crate::middleware::Interceptors;
use crate::observe::{RouteWatch, ServerWatch};
use crate::{Kind, Method, Status};

/// Limits of every call of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    pub(crate) metadata: Limits,
    pub(crate) max_recv_bytes: usize,
    pub(crate) max_unfinished_bytes: Option<usize>,
    pub(crate) max_send_bytes: usize,
    pub(crate) stall_timeout: Option<Duration>,
}

/// The default of [`ServerBuilder::max_unfinished_request_bytes`](super::ServerBuilder), in messages of the largest size.
pub(crate) const UNFINISHED_MESSAGES: usize = 64;

impl CallLimits {
    /// What one connection may hold of request messages that are not whole.
    pub(crate) fn max_unfinished_bytes(&self) -> usize {
        self.max_unfinished_bytes.unwrap_or_else(|| self.max_recv_bytes.saturating_mul(UNFINISHED_MESSAGES))
    }
}

pub(crate) struct Router {
    methods: HashMap<String, Arc<Route>, BuildHasherDefault<PathHasher>>,
    services: Vec<String>,
    fallback: Option<Arc<Route>>,
    pub(crate) guards: Guards,
    /// Who is told of calls that lead nowhere.
    pub(crate) unknown_watch: Option<Arc<dyn RouteWatch>>,
    pub(crate) limits: CallLimits,
}

/// FNV-1a: paths are short, and which of them are in the map is not for clients to choose.
struct PathHasher(u64);

impl Default for PathHasher {
    fn default() -> Self {
        PathHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What to do with a call.
pub(crate) struct Route {
    pub(crate) kind: Kind,
    method: Option<Method>,
    pub(crate) run: Option<Run>,
    pub(crate) fallback: Option<Arc<dyn Fallback>>,
    pub(crate) intercepted: bool,
    pub(crate) interceptors: Interceptors,
    pub(crate) pace: Pace,
    /// See [`Handler::waits`].
    pub(crate) waits: bool,
    /// Who is told of its calls.
    pub(crate) watch: Option<Arc<dyn RouteWatch>>,
}

impl Route {
    pub(crate) fn method_for(&self, path: &str) -> Method {
        self.method.clone().unwrap_or_else(|| Method::dynamic(path, self.kind))
    }
}

/// What a server was told to serve.
pub(crate) struct Routes<'a> {
    pub(crate) services: &'a [Box<dyn Service>],
    pub(crate) methods: Vec<(Method, Handler)>,
    pub(crate) fallback: Option<Arc<dyn Fallback>>,
    pub(crate) other_methods: Option<Handler>,
    pub(crate) watch: Option<&'a Arc<dyn ServerWatch>>,
}

impl Router {
    pub(crate) fn new(
        routes: Routes<'_>,
        guards: Guards,
        interceptors: Interceptors,
        limits: CallLimits,
    ) -> Self {
        let mut services: Vec<_> = routes.services.iter().map(|service| service.name().to_owned()).collect();
        let watch = |method: Option<&Method>| routes.watch.map(|watch| watch.route(method));
        let route = |kind, method: Option<Method>, run, fallback, waits| {
            Arc::new(Route {
                kind,
                watch: watch(method.as_ref()),
                method,
                run,
                fallback,
                intercepted: !interceptors.is_empty(),
                interceptors: interceptors.clone(),
                pace: Pace::default(),
                waits,
            })
        };
        let mut methods = HashMap::default();
        for service in routes.services {
            for (name, handler) in service.methods() {
                let path = format!("/{}/{name}", service.name());
                let method = Method::dynamic(path.as_str(), handler.kind());
                let (run, waits) = (handler.run().clone(), handler.waits());
                methods.insert(path, route(handler.kind(), Some(method), Some(run), None, waits));
            }
        }
        for (method, handler) in routes.methods {
            services.push(method.service().to_owned());
            let (run, waits) = (handler.run().clone(), handler.waits());
            methods.insert(
                method.path().to_owned(),
                route(handler.kind(), Some(method), Some(run), None, waits),
            );
        }
        let waits = routes.other_methods.as_ref().is_some_and(Handler::waits);
        let other = routes.other_methods.map(|handler| (Some(handler.run().clone()), None));
        let other = other.or(routes.fallback.map(|fallback| (None, Some(fallback))));
        let fallback = other.map(|(run, fallback)| route(Kind::Bidi, None, run, fallback, waits));
        Router { methods, services, fallback, guards, unknown_watch: watch(None), limits }
    }

    /// The full names of the services that it knows.
    pub(crate) fn services(&self) -> &[String] {
        &self.services
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.methods.get(path).or(self.fallback.as_ref())
    }

    /// Why there is no handler.
    pub(crate) fn unknown(&self, path: &str) -> Status {
        let method = Method::dynamic(path, Kind::Unary);
        let (service, name) = (method.service(), method.name());
        if self.services.iter().any(|known| known == service) {
            Status::unimplemented(format!("service {service} has no method {name}"))
        } else {
            Status::unimplemented(format!("this server has no service {service}"))
        }
    }
}
