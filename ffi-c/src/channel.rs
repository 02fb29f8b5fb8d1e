//! Channels.

use std::ffi::c_char;
use std::sync::Arc;

use spanwire::bridge;
use spanwire::{Connectivity, LimitCounts};

use crate::boundary::{Refused, find, guard, guard_pointer, guard_value, handle, not_found, text};
use crate::hook::Hooks;
use crate::options::{self, spanwire_channel_options};
use crate::tables::{engine, tables};
use crate::types::*;

/// A channel as its handle knows it.
pub(crate) struct ChannelEntry {
    pub(crate) channel: bridge::Channel,
    pub(crate) hooks: Arc<Hooks>,
}

impl ChannelEntry {}

/// A number of a channel or a server.
#[repr(C)]
pub struct spanwire_stat {
    /// Its name, as in `docs/limits.md`; ends in NUL and lives as long as the process.
    pub name: *const c_char,
    /// Its value.
    pub value: u64,
}

/// Makes a channel to `target`: `host:port`, `dns:///host:port`, `ipv4:1.2.3.4:50051`, `ipv6:[::1]:50051`, `unix:/path`,
/// `unix-abstract:name`, `inprocess:name`. It connects with its first call, and again when a connection is lost. `engine` and
/// `options` may be null. Null on failure; `spanwire_last_error` says which argument is wrong.
///
/// # Safety
/// `target` is a string that ends in NUL; `options` is null or as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_channel_new(
    engine_: *mut spanwire_engine,
    target: *const c_char,
    options_: *const spanwire_channel_options,
) -> *mut spanwire_channel {
    guard_pointer(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { text(target, "target") }?;
        let options = if options_.is_null() {
            bridge::ChannelOptions::default()
        } else {
            // SAFETY: the caller's promise.
            unsafe { options::channel(options_) }?
        };
        let channel = bridge::Channel::new(&engine(engine_)?, target, &options)?;
        let entry = ChannelEntry { channel, hooks: Arc::default() };
        Ok(handle(tables().channels.insert(Arc::new(entry))?))
    })
}

/// Frees a channel. Calls that it made go on. Null and freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_channel_free(channel: *mut spanwire_channel) {
    guard_value((), || {
        if !channel.is_null() {
            tables().channels.remove(channel.addr()).map_err(|lost| not_found(lost, "channel"))?;
        }
        Ok(())
    });
}

/// The state of the channel's connection: `SPANWIRE_CONNECTIVITY_…`; negative: a `spanwire_result`.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_channel_connectivity(channel: *mut spanwire_channel) -> spanwire_connectivity {
    guard(|| {
        let state = find(&tables().channels, channel, "channel")?.channel.connectivity()?;
        Ok(spanwire_connectivity::from(state as u8))
    })
}

const _: () = {
    assert!(Connectivity::Idle as i32 == SPANWIRE_CONNECTIVITY_IDLE);
    assert!(Connectivity::Connecting as i32 == SPANWIRE_CONNECTIVITY_CONNECTING);
    assert!(Connectivity::Ready as i32 == SPANWIRE_CONNECTIVITY_READY);
    assert!(Connectivity::TransientFailure as i32 == SPANWIRE_CONNECTIVITY_TRANSIENT_FAILURE);
};

/// Connects now instead of with the first call. It does not wait for the connection.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_channel_connect(channel: *mut spanwire_channel) -> spanwire_result {
    guard(|| {
        find(&tables().channels, channel, "channel")?.channel.connect()?;
        Ok(SPANWIRE_DONE)
    })
}

/// Says that the machine's network is another one: the target's name is resolved again at once, instead of when a connection
/// is found to be lost.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_channel_network_changed(channel: *mut spanwire_channel) -> spanwire_result {
    guard(|| {
        find(&tables().channels, channel, "channel")?.channel.network_changed()?;
        Ok(SPANWIRE_DONE)
    })
}

/// Writes the channel's numbers to `stats`, at most `capacity` of them, and returns how many there are: connections, calls,
/// and how often each limit was hit. 0 on failure.
///
/// # Safety
/// `stats` is null, or `capacity` of them can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_channel_stats(
    channel: *mut spanwire_channel,
    stats: *mut spanwire_stat,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let read = find(&tables().channels, channel, "channel")?.channel.stats()?;
        let own = [
            ("total_connections", read.total_connections),
            ("failed_connections", read.failed_connections),
            ("calls", read.calls),
        ];
        // SAFETY: the caller's promise.
        unsafe { write_stats(&own, read.limits, stats, capacity) }
    })
}

/// # Safety
/// `stats` is null, or `capacity` of them can be written there.
pub(crate) unsafe fn write_stats(
    own: &[(&'static str, u64)],
    limits: LimitCounts,
    stats: *mut spanwire_stat,
    capacity: usize,
) -> Result<usize, Refused> {
    let mut count = 0;
    for (name, value) in own.iter().copied().chain(limits.iter()) {
        if !stats.is_null() && count < capacity {
            // SAFETY: below `capacity`, and the caller promises the rest.
            unsafe { stats.add(count).write(spanwire_stat { name: permanent(name), value }) };
        }
        count += 1;
    }
    Ok(count)
}

/// A name for C that lives for ever. There are some thirty of them.
fn permanent(name: &'static str) -> *const c_char {
    use std::collections::HashMap;
    use std::ffi::CString;
    use std::sync::{Mutex, PoisonError};
    static NAMES: Mutex<Option<HashMap<&'static str, &'static CString>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names.get_or_insert_default();
    known.entry(name).or_insert_with(|| Box::leak(Box::new(crate::boundary::c_string(name)))).as_ptr()
}
