//! Servers.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use spanwire::bridge::{self, Destination, Event, flush_batch};

use crate::boundary::{Refused, copy_text, find, guard, guard_pointer, guard_value, handle, not_found, text};
use crate::call::kind_of;
use crate::channel::{spanwire_stat, write_stats};
use crate::hook::Hooks;
use crate::options::{self, spanwire_server_options};
use crate::tables::{engine, tables};
use crate::types::*;

/// A server as its handle knows it.
pub(crate) struct ServerEntry {
    server: bridge::Server,
    pub(crate) hooks: Arc<Hooks>,
}

/// Makes a server that does not listen yet. `engine` and `options` may be null. Null on failure; `spanwire_last_error` says
/// which option is wrong.
///
/// # Safety
/// `options` is null or as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_new(
    engine_: *mut spanwire_engine,
    options_: *const spanwire_server_options,
) -> *mut spanwire_server {
    guard_pointer(|| {
        let options = if options_.is_null() {
            bridge::ServerOptions::default()
        } else {
            // SAFETY: the caller's promise.
            unsafe { options::server(options_) }?
        };
        let server = bridge::Server::new(&engine(engine_)?, &options)?;
        let entry = ServerEntry { server, hooks: Arc::default() };
        Ok(handle(tables().servers.insert(Arc::new(entry))?))
    })
}

/// Has calls of `method` (`/package.Service/Method`) told to `queue`: a REQUEST each, with `tag` in all of their events.
/// `credit` messages of a stream may arrive before `spanwire_server_call_grant`. To be said before `spanwire_server_listen`.
///
/// # Safety
/// `method` is a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_method(
    server: *mut spanwire_server,
    method: *const c_char,
    kind: spanwire_kind,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
    credit: u32,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        // SAFETY: the caller's promise.
        let method = unsafe { text(method, "method") }?;
        entry.server.method(method, kind_of(kind)?, &entry.to(queue, tag, credit)?)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Has calls of all other methods told to `queue`, as bidirectional ones: for proxies. Without it they are UNIMPLEMENTED.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_fallback(
    server: *mut spanwire_server,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
    credit: u32,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        entry.server.fallback(&entry.to(queue, tag, credit)?)?;
        Ok(SPANWIRE_DONE)
    })
}

impl ServerEntry {
    fn to(&self, queue: *mut spanwire_queue, tag: *mut c_void, credit: u32) -> Result<Destination, Refused> {
        let queue = find(&tables().queues, queue, "queue")?.queue.clone();
        Ok(Destination { queue, tag: tag.addr(), credit, attachment: Some(self.hooks.clone()) })
    }
}

/// Listens on `address` (`host:port`, `[::]:port`, `unix:/path`, `inprocess:name`) and serves from then on. Port 0 takes a
/// free one; `spanwire_server_port` says which. It waits for the address, which takes time only if that is a name.
///
/// Answers `SPANWIRE_SYSTEM` if the address cannot be had, `SPANWIRE_INVALID_ARGUMENT` if an option or a certificate cannot
/// be used, `SPANWIRE_OVER` if it listens already. After a failure it may be tried again with another address.
///
/// # Safety
/// `address` is a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_listen(
    server: *mut spanwire_server,
    address: *const c_char,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        // SAFETY: the caller's promise.
        let address = unsafe { text(address, "address") }?;
        flush_batch();
        entry.server.listen(address)?;
        Ok(SPANWIRE_DONE)
    })
}

/// The port that the server listens on; 0 if it does not, or not on TCP. Negative: a `spanwire_result`.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_port(server: *mut spanwire_server) -> i32 {
    guard(|| Ok(find(&tables().servers, server, "server")?.server.port().map_or(0, i32::from)))
}

/// Writes a target for channels on this machine into `text`, as `snprintf` would: at most `capacity` bytes with the NUL.
/// Returns the length of the whole; 0 if the server does not listen.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_target(
    server: *mut spanwire_server,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().servers, server, "server")?;
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(entry.server.target(), text, capacity) })
    })
}

/// Says whether a service can be called: SERVING, or NOT_SERVING. For servers with the option `health`. The empty name is the
/// server as a whole, which serves until it is said that it does not; of the others nothing is known before. While the
/// server shuts down none serves, whatever is said.
///
/// # Safety
/// `service` is a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_set_health(
    server: *mut spanwire_server,
    service: *const c_char,
    serving: bool,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        // SAFETY: the caller's promise.
        entry.server.set_health(unsafe { text(service, "service") }?, serving)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Lets `requests` more requests through, if the server was made with `manual_accept`; else it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_accept(server: *mut spanwire_server, requests: u32) -> spanwire_result {
    guard(|| {
        find(&tables().servers, server, "server")?.server.accept(requests)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Shuts the server down: its health service says NOT_SERVING; after `drain_delay_ms` it accepts no more, tells clients to go
/// elsewhere, lets running calls finish, and ends those that are left after `grace_ms` (negative is 0). Then SERVER_CLOSED
/// comes to `queue` with `tag`, half a second after that at the latest. The server is still to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_shutdown(
    server: *mut spanwire_server,
    grace_ms: i64,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        let queue = find(&tables().queues, queue, "queue")?.queue.clone();
        entry.server.shutdown(grace(grace_ms), &queue, tag.addr())?;
        Ok(SPANWIRE_DONE)
    })
}

/// Like `spanwire_server_shutdown`, and waits for it. Calls have to be answered meanwhile on other threads, or they last until
/// the grace is over.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_shutdown_blocking(
    server: *mut spanwire_server,
    grace_ms: i64,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        let queue = bridge::Queue::new();
        entry.server.shutdown(grace(grace_ms), &queue, 0)?;
        let mut events: Vec<Event> = Vec::new();
        queue.next(1, &mut events, None)?;
        Ok(SPANWIRE_DONE)
    })
}

fn grace(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Writes the server's numbers to `stats`, at most `capacity` of them, and returns how many there are: connections, calls,
/// and how often each limit was hit. 0 on failure, and while it does not listen.
///
/// # Safety
/// `stats` is null, or `capacity` of them can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_stats(
    server: *mut spanwire_server,
    stats: *mut spanwire_stat,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let read = find(&tables().servers, server, "server")?.server.stats()?;
        let own = [
            ("connections", read.connections),
            ("total_connections", read.total_connections),
            ("calls", read.calls),
            ("total_calls", read.total_calls),
        ];
        // SAFETY: the caller's promise.
        unsafe { write_stats(&own, read.limits, stats, capacity) }
    })
}

/// Frees a server. If it still runs it ends at once: its calls get their CANCELLED. It does not wait for that: to use the
/// address again at once, shut it down by `spanwire_server_shutdown_blocking` before. Null and freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_free(server: *mut spanwire_server) {
    guard_value((), || {
        if !server.is_null() {
            tables().servers.remove(server.addr()).map_err(|lost| not_found(lost, "server"))?;
        }
        Ok(())
    });
}
