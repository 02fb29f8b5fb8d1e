//! `docs/limits.md` against the code: names, defaults and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::channel::MAX_CONNECTIONS_PER_SUBCHANNEL;
use crate::channel::backoff::BackoffConfig;
use crate::server::{
    HANDSHAKE_TIMEOUT, MAX_CONNECTIONS, MAX_RECV_MESSAGE_BYTES, STALL_TIMEOUT, UNFINISHED_MESSAGES,
};
use crate::stats::LimitCounts;
use crate::transport::watch::PingPolicy;
use crate::transport::{FloodLimits, Http2, Keepalive, Rate};

/// A row of one of the tables.
struct Row {
    option: String,
    on: Vec<String>,
    default: String,
    counter: String,
}

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn rows() -> Vec<Row> {
    let text = file("docs/limits.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [option, on, default, _, _, counter] = cells[..] else { panic!("{line}") };
        Row {
            option: option.trim_matches('`').to_owned(),
            on: on.split(", ").map(str::to_owned).collect(),
            default: default.to_owned(),
            counter: counter.to_owned(),
        }
    })
    .collect()
}

/// With a blank between thousands, from 10 000 on.
fn number(value: usize) -> String {
    let digits = value.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = Some(head.to_owned()).filter(|head| !head.is_empty());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(" ")
}

fn bytes(value: usize) -> String {
    match (value % (1 << 20), value % 1024) {
        (0, _) => format!("{} MiB", value >> 20),
        (_, 0) => format!("{} KiB", value >> 10),
        _ => panic!("{value}"),
    }
}

fn time(value: Duration) -> String {
    match value.as_secs() {
        hours if hours % 3600 == 0 => format!("{} h", hours / 3600),
        minutes if minutes % 60 == 0 && minutes > 60 => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}

fn rate(rate: Rate) -> String {
    format!("{} at once, {} a second", number(rate.burst as usize), number(rate.per_second as usize))
}

/// The defaults as the code has them, by option and by the side that it is on.
fn defaults() -> BTreeMap<(&'static str, &'static str), String> {
    let limits = spanwire_wire::call::Limits::default();
    let (http2, floods, backoff) =
        (Http2::default(), FloodLimits::server_default(), BackoffConfig::default());
    let (pings, keepalive) = (PingPolicy::server_default(), Keepalive::server_default());
    assert_eq!(http2.floods, FloodLimits { resets: None, ..floods.clone() });
    assert_eq!(http2.max_metadata_bytes as usize, limits.max_metadata_bytes);
    assert_eq!(crate::channel::Defaults::default().max_recv_bytes, MAX_RECV_MESSAGE_BYTES);
    let mut defaults = BTreeMap::from([
        (("max_connections", "server"), number(MAX_CONNECTIONS)),
        (("max_concurrent_streams", "server"), number(http2.max_concurrent_streams as usize)),
        (("max_unfinished_request_bytes", "server"), bytes(UNFINISHED_MESSAGES * MAX_RECV_MESSAGE_BYTES)),
        (("stall_timeout", "server"), time(STALL_TIMEOUT)),
        (("handshake_timeout", "server"), time(HANDSHAKE_TIMEOUT)),
        (("connect_timeout", "channel"), time(backoff.min_connect_timeout)),
        (("backoff", "channel"), format!("{}, {} s", time(backoff.initial), backoff.max.as_secs())),
        (("max_running_calls", "server"), "none".to_owned()),
        (("rate_limits", "server"), "none".to_owned()),
        (("max_connection_age", "server"), "none".to_owned()),
        (("max_connection_idle", "server"), "none".to_owned()),
        (("timeout", "call"), "none".to_owned()),
        (("keepalive", "server"), format!("{}, {}", time(keepalive.interval), time(keepalive.timeout))),
        (("keepalive", "channel"), "off".to_owned()),
        (("keepalive_enforcement", "server"), time(pings.min_interval)),
        (("flood_limits.resets", "server"), rate(floods.resets.unwrap())),
        (("flood_limits.max_early_refusals", "server"), number(floods.max_early_refusals as usize)),
        (("max_connections_per_subchannel", "channel"), number(MAX_CONNECTIONS_PER_SUBCHANNEL)),
        (("max_recv_message_bytes", "call"), bytes(MAX_RECV_MESSAGE_BYTES)),
        (("max_send_message_bytes", "call"), "4 GiB".to_owned()),
    ]);
    for side in ["server", "channel"] {
        defaults.extend([
            (("max_recv_message_bytes", side), bytes(MAX_RECV_MESSAGE_BYTES)),
            (("max_send_message_bytes", side), "4 GiB".to_owned()),
            (("max_metadata_bytes", side), bytes(limits.max_metadata_bytes)),
            (("max_metadata_fields", side), number(limits.max_metadata_fields)),
            (("stream_window_bytes", side), bytes(http2.stream_window as usize)),
            (("max_stream_window_bytes", side), bytes(http2.max_stream_window as usize)),
            (("connection_window_bytes", side), bytes(http2.connection_window as usize)),
            (("send_buffer_bytes", side), bytes(http2.send_buffer)),
            (("flood_limits.settings", side), rate(floods.settings)),
            (("flood_limits.max_settings_entries", side), number(floods.max_settings_entries as usize)),
            (("flood_limits.control_frames", side), rate(floods.control_frames)),
            (("flood_limits.max_continuations", side), number(floods.max_continuations as usize)),
            (("flood_limits.max_pending_acks", side), number(floods.max_pending_acks as usize)),
            (("flood_limits.small_data_budget", side), number(floods.small_data_budget)),
        ]);
    }
    defaults
}

#[test]
fn every_limit_is_documented_with_its_default_and_no_other() {
    let defaults = defaults();
    let mut documented = BTreeMap::new();
    let rows = rows();
    for row in &rows {
        documented.extend(row.on.iter().map(|on| ((row.option.as_str(), on.as_str()), row.default.clone())));
    }
    assert_eq!(documented, defaults);
}

#[test]
fn every_documented_option_can_be_set_where_the_page_says() {
    let sources = [
        (
            "server",
            ["mod", "shedding", "rate_limits/mod"]
                .map(|name| file(&format!("core/src/server/{name}.rs")))
                .concat(),
        ),
        ("channel", file("core/src/channel/mod.rs")),
        ("call", file("core/src/channel/options.rs")),
    ];
    for row in rows() {
        let (method, field) = row.option.split_once('.').unwrap_or((&row.option, ""));
        for (side, source) in sources.iter().filter(|(side, _)| row.on.iter().any(|on| on == side)) {
            let setters = [format!("pub fn {method}(mut self"), format!("pub fn {method}(self")];
            assert!(setters.iter().any(|setter| source.contains(setter)), "{side} has no {method}");
        }
        if !field.is_empty() {
            let fields = file("core/src/transport/limits.rs");
            assert!(fields.contains(&format!("pub {field}: ")), "FloodLimits has no {field}");
        }
    }
}

#[test]
fn every_counter_is_documented_and_every_documented_one_exists() {
    let text = file("docs/limits.md");
    let names: BTreeSet<_> = LimitCounts::default().iter().map(|(name, _)| name.to_owned()).collect();
    let in_tables: BTreeSet<_> = rows()
        .iter()
        .flat_map(|row| row.counter.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(in_tables.difference(&names).collect::<Vec<_>>(), Vec::<&String>::new());
    let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, Vec::<&String>::new());
}
