//! Guards: what decides about a request by its head, before any interceptor or handler sees it.
//!
//! ```text
//! HEADERS ─ well-formed ─► load shedding ─► authentication ─► authorization ─► rate limits ─► route ─► interceptors ─► handler
//!                              └───────────────┴── refused: its status ─┴───────────────┘
//! ```
//!
//! What costs least and helps most under load comes first; who is asked for comes before what depends on it, and limits
//! last, because they may count by caller. Every well-formed request is checked, of methods that nobody serves and of the
//! built-in services too: who may not call learns nothing of what is there. What is not well-formed never gets here.
//!
//! A guard runs on the connection's task, so it does not wait. To check allocates nothing by itself.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap};

use super::ServeError;
use crate::middleware::BoxFuture;
use crate::stats::Counters;
use crate::transport::Peer;
use crate::{Metadata, PeerAddr, Status};

/// What is known of a request before its route is looked for.
pub(crate) struct Head<'a> {
    /// The path of the method, without a query: rules for a path hold whatever stands behind it.
    pub(crate) method: &'a str,
    /// The fields of the request as they came, gRPC's own among them.
    pub(crate) headers: &'a HeaderMap,
    /// The client.
    pub(crate) peer: &'a Peer,
    /// What guards leave for later ones, for interceptors and for the handler. It lives as long as the call: a permit in
    /// it is given back when the call is over.
    pub(crate) extensions: &'a mut Extensions,
    /// Where a guard that holds a limit counts how often it was hit.
    pub(crate) limits: &'a Counters,
}

impl Head<'_> {
    /// Whether nobody between client and server can listen in: secrets may be taken from such requests.
    pub(crate) fn is_private(&self) -> bool {
        self.peer.is_tls() || matches!(self.peer.addr(), PeerAddr::Unix(_) | PeerAddr::InProcess)
    }
}

/// One check. See the [module](self).
pub(crate) trait Guard: Send + Sync + 'static {
    /// Lets the request pass, or says why not. The status's metadata go out as trailers.
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status>;

    /// The server is about to accept connections, here: begins what runs beside it. What this gives is waited for; it ends
    /// soon. Each lane says so.
    fn start(&self, _counters: &Arc<Counters>) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// A refusal that says when to try again, which retries of every gRPC client keep to (gRFC A6).
pub(crate) fn come_back_in(pause: Duration, status: Status) -> Status {
    let mut trailers = Metadata::new();
    let millis = pause.as_millis().max(1).to_string();
    match trailers.insert("grpc-retry-pushback-ms", millis.as_str()) {
        Ok(()) => status.with_metadata(trailers),
        Err(_) => status,
    }
}

/// When a guard's turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Whether there is room for any call.
    LoadShedding,
    /// Who calls.
    Authentication,
    /// Whether they may.
    Authorization,
    /// Whether they have called too often.
    RateLimits,
}

/// Makes a guard when the server binds: what it reads, and what is wrong with it, belongs there.
pub(crate) type MakeGuard = Box<dyn FnOnce() -> Result<Box<dyn Guard>, ServeError> + Send>;

/// The guards of a server, in the order of their turns; those of one stage as they were added.
#[derive(Default)]
pub(crate) struct Guards(Box<[Box<dyn Guard>]>);

impl Guards {
    /// # Errors
    /// That of the first guard that cannot be made.
    pub(crate) fn new(mut makers: Vec<(Stage, MakeGuard)>) -> Result<Self, ServeError> {
        makers.sort_by_key(|(stage, _)| *stage);
        makers.into_iter().map(|(_, make)| make()).collect::<Result<_, _>>().map(Guards)
    }

    pub(crate) fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        self.0.iter().try_for_each(|guard| guard.check(head))
    }

    /// Resolves when the guards are ready for the first request.
    pub(crate) async fn start(&self, counters: &Arc<Counters>) {
        for ready in self.0.iter().filter_map(|guard| guard.start(counters)) {
            ready.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::HeaderValue;

    use super::*;
    use crate::middleware::{Call, Next};
    use crate::{Channel, Code, Kind, Metadata, Method, Raw, Server, ServerBuilder};

    /// Puts down who was asked for what, and refuses if told to.
    struct Named {
        name: &'static str,
        log: Arc<Mutex<Vec<String>>>,
    }

    #[derive(Clone, Debug, PartialEq)]
    struct Left(&'static str);

    impl Guard for Named {
        fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
            self.log.lock().unwrap().push(format!("{} {}", self.name, head.method));
            if head.headers.get("refused-by").map(HeaderValue::as_bytes) == Some(self.name.as_bytes()) {
                let mut trailers = Metadata::new();
                trailers.insert("refused", self.name).unwrap();
                return Err(Status::permission_denied("no").with_metadata(trailers));
            }
            head.extensions.insert(Left(self.name));
            Ok(())
        }
    }

    fn guarded(log: &Arc<Mutex<Vec<String>>>) -> ServerBuilder {
        let stages = [
            ("limit", Stage::RateLimits),
            ("who", Stage::Authentication),
            ("may", Stage::Authorization),
            ("who-else", Stage::Authentication),
            ("room", Stage::LoadShedding),
        ];
        stages.into_iter().fold(Server::builder(), |builder, (name, stage)| {
            let log = log.clone();
            builder.guard(stage, move || Ok(Box::new(Named { name, log })))
        })
    }

    async fn call(channel: &Channel, method: &str, refused_by: Option<&str>) -> Status {
        let method = Method::dynamic(method, Kind::Unary);
        let mut call = channel.unary::<Raw, Raw>(&method, Raw::default());
        if let Some(name) = refused_by {
            call = call.metadata("refused-by", name);
        }
        call.await.err().unwrap_or_default()
    }

    async fn serve(name: &str, builder: ServerBuilder) -> Channel {
        let server = builder.bind(&format!("inprocess:{name}")).await.unwrap();
        let channel = Channel::new(&server.target()).unwrap();
        tokio::spawn(server.run());
        channel
    }

    #[tokio::test]
    async fn guards_run_by_stage_and_the_first_that_refuses_answers() {
        let log = Arc::default();
        let channel = serve("guards", guarded(&log)).await;
        let all = ["room", "who", "who-else", "may", "limit"];
        let status = call(&channel, "/no.Service/Method", None).await;
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(*log.lock().unwrap(), all.map(|name| format!("{name} /no.Service/Method")));
        log.lock().unwrap().clear();
        let _ = call(&channel, "/no.Service/Method?with=query", None).await;
        assert_eq!(*log.lock().unwrap(), all.map(|name| format!("{name} /no.Service/Method")));
        for (index, name) in all.iter().enumerate() {
            log.lock().unwrap().clear();
            let status = call(&channel, "/no.Service/Method", Some(name)).await;
            assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "no"));
            assert_eq!(status.metadata().get("refused"), Some(*name));
            assert_eq!(log.lock().unwrap().len(), index + 1, "nobody is asked behind {name}");
        }
    }

    #[tokio::test]
    async fn what_a_guard_left_is_there_for_interceptors() {
        let seen = Arc::new(Mutex::new(None));
        let keep = seen.clone();
        let look = move |call: Call, next: Next| {
            *keep.lock().unwrap() = call.extensions.get::<Left>().cloned();
            next.run(call)
        };
        let fallback = |_: Call| async { Err::<crate::middleware::Reply, _>(Status::aborted("reached")) };
        let builder = guarded(&Arc::default()).interceptor(look).fallback(fallback);
        let channel = serve("guards-left", builder).await;
        assert_eq!(call(&channel, "/any.Service/Method", None).await.message(), "reached");
        assert_eq!(*seen.lock().unwrap(), Some(Left("limit")));
    }

    #[tokio::test]
    async fn a_guard_that_cannot_be_made_is_an_error_of_bind() {
        let make = || Err(ServeError::Security { setting: "lock", problem: "no key".to_owned() });
        let bound = Server::builder().guard(Stage::Authentication, make).bind("inprocess:guard-error").await;
        assert_eq!(bound.unwrap_err().to_string(), "lock: no key");
    }
}
