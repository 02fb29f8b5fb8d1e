//! Servers, and what their handlers ask of a call beside its records.

use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Buffer, Object, Result};
use napi::{Env, Task};
use napi_derive::napi;
use spanwire::TraceContext;
use spanwire::bridge::{Destination, OpError, Server};

use crate::convert::error::{argument, op_error};
use crate::convert::options::server_options;
use crate::environment::{Environment, State, kind_of};
use crate::submit::milliseconds;

/// A server of this environment.
pub(crate) struct Served {
    server: Arc<Server>,
    /// It listens, and keeps the process alive.
    serving: bool,
}

impl State {
    /// A shutdown is complete; only of the first one is anything left to let go.
    pub(crate) fn closed(&mut self, server: u32) -> bool {
        let served = self.servers.get_mut(server as usize).and_then(Option::take);
        if served.as_ref().is_some_and(|served| served.serving) {
            self.live -= 1;
        }
        served.is_some()
    }
}

/// Where a server listens.
#[napi(object)]
pub struct Listening {
    /// The port, if it listens on TCP.
    pub port: Option<u32>,
    /// A target for channels on this machine.
    pub target: String,
}

/// Waits for an address on a thread of Node's pool.
pub struct Listen {
    server: Arc<Server>,
    address: String,
}

impl Task for Listen {
    type Output = Listening;
    type JsValue = Listening;

    fn compute(&mut self) -> Result<Listening> {
        self.server.listen(&self.address).map_err(|error| op_error(&error))?;
        Ok(Listening { port: self.server.port().map(u32::from), target: self.server.target().to_owned() })
    }

    fn resolve(&mut self, _: Env, listening: Listening) -> Result<Listening> {
        Ok(listening)
    }
}

#[napi]
impl Environment {
    /// Makes a server that does not listen yet.
    ///
    /// # Errors
    /// Which option cannot be used, and why.
    #[napi(catch_unwind)]
    pub fn server(&self, options: Object<'_>) -> Result<u32> {
        let mut state = self.state()?;
        let options = server_options(&options)?;
        let server = Server::new(state.lease.engine(), &options).map_err(|error| op_error(&error))?;
        // Their numbers are not used again: what is told of one may come late.
        state.servers.push(Some(Served { server: Arc::new(server), serving: false }));
        Ok((state.servers.len() - 1) as u32)
    }

    /// Has calls of a method told with the number of its handler; without a path, those of all others.
    ///
    /// # Errors
    /// The path is none or was told before, or the server listens already.
    #[napi(catch_unwind)]
    pub fn serve_method(
        &self,
        server: u32,
        path: Option<String>,
        kind: u32,
        handler: u32,
        credit: u32,
    ) -> Result<()> {
        let queue = self.state()?.queue.clone();
        let to = Destination { queue, tag: handler as usize, credit, attachment: None };
        self.with_server(server, |server| match path {
            Some(path) => server.method(&path, kind_of(kind), &to),
            None => server.fallback(&to),
        })
    }

    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// The promise's: the address cannot be had, or is malformed; options or certificates cannot be used.
    #[napi(catch_unwind)]
    pub fn listen(&self, server: u32, address: String) -> Result<AsyncTask<Listen>> {
        let state = self.state()?;
        let served = state.servers.get(server as usize).and_then(Option::as_ref).ok_or_else(gone)?;
        let server = served.server.clone();
        Ok(AsyncTask::new(Listen { server, address }))
    }

    /// From here on the server keeps the process alive, until it is closed. To be said once, when it listens.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn serving(&self, env: Env, server: u32) -> Result<()> {
        let mut state = self.state()?;
        let served = state.servers.get_mut(server as usize).and_then(Option::as_mut).ok_or_else(gone)?;
        if !std::mem::replace(&mut served.serving, true) {
            state.live += 1;
        }
        state.settle(&env);
        Ok(())
    }

    /// Says whether a service can be called.
    ///
    /// # Errors
    /// The server was made without `health`.
    #[napi(catch_unwind)]
    pub fn set_health(&self, server: u32, service: String, serving: bool) -> Result<()> {
        self.with_server(server, |it| it.set_health(&service, serving))
    }

    /// Stops accepting, and ends when all calls have, or after `grace_ms`. A record tells.
    ///
    /// # Errors
    /// The server does not listen.
    #[napi(catch_unwind)]
    pub fn shutdown(&self, server: u32, grace_ms: f64) -> Result<()> {
        let queue = self.state()?.queue.clone();
        self.with_server(server, |it| it.shutdown(milliseconds(grace_ms), &queue, server as usize))
    }

    /// Lets the server go, at once if it listens.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn drop_server(&self, server: u32) -> Result<()> {
        let dropped = self.state()?.servers.get_mut(server as usize).and_then(Option::take);
        drop(dropped);
        Ok(())
    }

    /// The path of a call's method, for handlers of any.
    ///
    /// # Errors
    /// The call is over.
    #[napi(catch_unwind)]
    pub fn request_path(&self, call: u32) -> Result<String> {
        let mut state = self.state()?;
        state.served.get(call).map(|served| served.call.method().to_owned()).ok_or_else(over)
    }

    /// Where in a trace a call is; empty without telemetry.
    ///
    /// # Errors
    /// The call is over.
    #[napi(catch_unwind)]
    pub fn traceparent(&self, call: u32) -> Result<String> {
        let mut state = self.state()?;
        let served = state.served.get(call).ok_or_else(over)?;
        Ok(served.call.traceparent().unwrap_or_default())
    }

    /// What goes with it, of other systems; empty if there is nothing.
    ///
    /// # Errors
    /// The call is over.
    #[napi(catch_unwind)]
    pub fn tracestate(&self, call: u32) -> Result<String> {
        let mut state = self.state()?;
        let served = state.served.get(call).ok_or_else(over)?;
        Ok(served.call.trace().and_then(TraceContext::state).unwrap_or_default().to_owned())
    }

    /// Whom the client proved to be by a certificate.
    ///
    /// # Errors
    /// The call is over.
    #[napi(catch_unwind)]
    pub fn tls_identity(&self, call: u32) -> Result<Option<TlsIdentity>> {
        let mut state = self.state()?;
        let served = state.served.get(call).ok_or_else(over)?;
        Ok(served.call.tls_identity().map(TlsIdentity::from))
    }

    /// What the caller's token says, as JSON.
    ///
    /// # Errors
    /// The call is over.
    #[napi(catch_unwind)]
    pub fn claims(&self, call: u32) -> Result<Option<String>> {
        let mut state = self.state()?;
        let served = state.served.get(call).ok_or_else(over)?;
        Ok(served.call.claims().map(|claims| claims.json().to_owned()))
    }

    fn with_server<T>(
        &self,
        server: u32,
        work: impl FnOnce(&Server) -> std::result::Result<T, OpError>,
    ) -> Result<T> {
        let state = self.state()?;
        let served = state.servers.get(server as usize).and_then(Option::as_ref).ok_or_else(gone)?;
        work(&served.server).map_err(|error| op_error(&error))
    }
}

/// See `TlsIdentity` in `ts/context.ts`.
#[napi(object)]
pub struct TlsIdentity {
    pub certificates: Vec<Buffer>,
    pub dns_names: Vec<String>,
    pub uris: Vec<String>,
    pub ip_addresses: Vec<String>,
    pub emails: Vec<String>,
    pub subject: String,
    pub spiffe_id: Option<String>,
}

impl From<&spanwire::TlsIdentity> for TlsIdentity {
    fn from(identity: &spanwire::TlsIdentity) -> Self {
        TlsIdentity {
            certificates: identity.certificates().iter().map(|der| der.to_vec().into()).collect(),
            dns_names: identity.dns_names().to_vec(),
            uris: identity.uris().to_vec(),
            ip_addresses: identity.ip_addresses().iter().map(ToString::to_string).collect(),
            emails: identity.emails().to_vec(),
            subject: identity.subject().to_owned(),
            spiffe_id: identity.spiffe_id().map(str::to_owned),
        }
    }
}

fn gone() -> napi::Error {
    argument("the server is closed")
}

fn over() -> napi::Error {
    argument("the call is over")
}
