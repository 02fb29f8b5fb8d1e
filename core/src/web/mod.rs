//! gRPC-Web: browsers call a server as it is, on the same port as everybody else.
//!
//! ```text
//! HTTP/1.1 ─► hyper ─┐                                        ┌─► CORS's question ─► answered
//!                    ├─► no gRPC ─► what content type, origin ┼─► gRPC-Web ─► translated ─► the dispatcher, as gRPC
//! HTTP/2 ──► h2 ─────┘                                        └─► anything else ─► refused, as without gRPC-Web
//! ```
//!
//! A request is translated by its head alone: body and answer are streams that are translated as they flow, so limits,
//! guards, interceptors, deadlines and telemetry are those of gRPC. What gRPC-Web is on the wire stands in
//! [`spanwire_wire::web`].

mod cors;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use spanwire_wire::call::trailers_only;
use spanwire_wire::content_type;
use spanwire_wire::web::Form;

use self::cors::Cors;
use crate::server::{Admitted, Connection, Dispatcher, Edge};
use crate::transport::http1::{self, Terms};
use crate::transport::io::Io;
use crate::transport::server::{Dispatch as _, Incoming};
use crate::{ServerBuilder, Status};

/// The default of [`Web::max_age`]: as long as any browser keeps it.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(7200);

/// How a server speaks gRPC-Web, and to whose pages; see [`ServerBuilder::web`].
///
/// ```
/// # use spanwire::Web;
/// let web = Web::new().origins(["https://shop.example"]).allow_headers(["authorization"]);
/// ```
#[derive(Clone, Debug)]
pub struct Web {
    origins: Vec<String>,
    allow_credentials: bool,
    allow_headers: Vec<String>,
    expose_headers: Vec<String>,
    max_age: Duration,
}

impl Web {
    /// For no page yet: only for clients that are no browsers, until there are [`origins`](Self::origins).
    #[must_use]
    pub fn new() -> Self {
        Web {
            origins: Vec::new(),
            allow_credentials: false,
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: MAX_AGE,
        }
    }

    /// Whose pages may call, such as `https://shop.example` or `http://localhost:3000`; `*` lets all pages call. Further
    /// calls add to them. Pages of other origins are refused, whatever their browser thinks of it.
    #[must_use]
    pub fn origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Lets pages send cookies and client certificates along; not together with the origin `*`. Off by default.
    #[must_use]
    pub fn allow_credentials(mut self, allow: bool) -> Self {
        self.allow_credentials = allow;
        self
    }

    /// Metadata that pages may send, besides what gRPC-Web needs; further calls add to them.
    #[must_use]
    pub fn allow_headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.allow_headers.extend(names.into_iter().map(Into::into));
        self
    }

    /// Metadata of the response that pages may read, besides gRPC's own; further calls add to them. Trailers can be read
    /// in any case.
    #[must_use]
    pub fn expose_headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.expose_headers.extend(names.into_iter().map(Into::into));
        self
    }

    /// How long a browser may remember that a page may call, so that it does not ask before each call; 2 h by default,
    /// which is the longest that browsers take. Zero: it asks every time.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }
}

impl Default for Web {
    fn default() -> Self {
        Web::new()
    }
}

impl ServerBuilder {
    /// Lets browsers call by gRPC-Web, in binary and in text mode, over HTTP/2 and HTTP/1.1, on the port of this server.
    pub fn web(self, web: Web) -> Self {
        self.edge(Box::new(move || Ok(Arc::new(Gate(Cors::new(&web)?)))))
    }
}

/// Where gRPC-Web comes in.
struct Gate(Cors);

impl Edge for Gate {
    fn serve(&self, io: Io, terms: Terms, dispatcher: Dispatcher) -> Connection {
        let tracker = terms.shutdown.tracker.clone();
        Box::pin(http1::serve(io, terms, move |incoming| {
            if is_grpc(&incoming) {
                return refuse(
                    incoming,
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    &Status::internal("gRPC needs HTTP/2; over HTTP/1.1 this server speaks gRPC-Web"),
                );
            }
            if let Some(call) = dispatcher.dispatch(incoming) {
                tracker.spawn(call);
            }
        }))
    }

    fn admit(&self, mut incoming: Incoming) -> Admitted {
        let head = &mut incoming.head;
        if head.method == Method::OPTIONS
            && let Some(answer) = self.0.preflight(&head.headers)
        {
            let good = answer.status().is_success();
            if incoming.respond.send(answer, true).is_ok() && good {
                incoming.live.succeed();
            }
            return Admitted::Answered;
        }
        let form = head.headers.get(CONTENT_TYPE).filter(|_| head.method == Method::POST).and_then(Form::of);
        let Some(form) = form else { return Admitted::Refused(incoming) };
        let origin = head.headers.get(http::header::ORIGIN);
        let allowed = self.0.allows(origin);
        let headers = self.0.headers(origin.filter(|_| allowed));
        head.headers.insert(CONTENT_TYPE, form.grpc.clone());
        let incoming = stream::translate(incoming, form, headers);
        if allowed {
            return Admitted::Call(incoming);
        }
        let status =
            Status::permission_denied("pages of this origin may not call: it is not among the server's");
        refuse(incoming, StatusCode::FORBIDDEN, &status);
        Admitted::Answered
    }
}

fn is_grpc(incoming: &Incoming) -> bool {
    incoming.head.headers.get(CONTENT_TYPE).is_some_and(content_type::is_grpc)
}

/// Answers with a status of HTTP and one of gRPC.
fn refuse(mut incoming: Incoming, http: StatusCode, status: &Status) {
    let mut answer = trailers_only(status);
    *answer.status_mut() = http;
    // An error means that the client is gone.
    let _ = incoming.respond.send(answer, true);
}

/// A list of names, as a header has it.
fn list(names: impl IntoIterator<Item = String>) -> Option<HeaderValue> {
    HeaderValue::try_from(names.into_iter().collect::<Vec<_>>().join(", ")).ok()
}
