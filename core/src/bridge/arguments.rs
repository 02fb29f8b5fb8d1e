//! Channel arguments under the names that gRPC's C core and its bindings give them, as plain data: for programs that come
//! from there. One table says which option of ours each of them is.

use super::{ChannelOptions, OpError};
use crate::Encoding;

/// What a program gives an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentValue {
    /// A number, and a truth as 0 or 1.
    Number(i64),
    /// A text.
    Text(String),
}

/// Puts a value into the options; the error is what is wrong with it.
enum Set {
    Number(fn(&mut ChannelOptions, i64) -> Result<(), &'static str>),
    Text(fn(&mut ChannelOptions, String) -> Result<(), &'static str>),
}

/// What stands for "never" and "without a limit" in gRPC.
const INT_MAX: i64 = i32::MAX as i64;

use Set::{Number, Text};

const ARGUMENTS: [(&str, Set); 25] = [
    (
        "grpc.client_idle_timeout_ms",
        Number(|to, ms| {
            to.idle_timeout_ms = if ms >= INT_MAX { -1 } else { some_time(ms)? };
            Ok(())
        }),
    ),
    ("grpc.default_authority", Text(|to, text| set(&mut to.authority, text))),
    (
        "grpc.default_compression_algorithm",
        Number(|to, number| {
            to.compression = match number {
                0 => None,
                1 => Some(Encoding::Deflate),
                2 => Some(Encoding::Gzip),
                _ => return Err("must be 0 (none), 1 (deflate) or 2 (gzip)"),
            };
            Ok(())
        }),
    ),
    (
        "grpc.enable_http_proxy",
        Number(|to, number| {
            if !truth(number)? {
                to.proxy = Some(String::new());
            }
            Ok(())
        }),
    ),
    (
        "grpc.enable_retries",
        Number(|to, number| {
            to.retries_off = !truth(number)?;
            Ok(())
        }),
    ),
    ("grpc.http2.lookahead_bytes", Number(|to, bytes| put(&mut to.limits.stream_window_bytes, some(bytes)))),
    ("grpc.http2.write_buffer_size", Number(|to, bytes| put(&mut to.limits.send_buffer_bytes, some(bytes)))),
    ("grpc.http_proxy", Text(|to, url| set(&mut to.proxy, url))),
    ("grpc.initial_reconnect_backoff_ms", Number(|to, ms| put(&mut to.backoff_first_ms, some_time(ms)))),
    (
        "grpc.keepalive_permit_without_calls",
        Number(|to, number| {
            to.keepalive_without_calls = truth(number)?;
            Ok(())
        }),
    ),
    (
        "grpc.keepalive_time_ms",
        Number(|to, ms| {
            to.keepalive_interval_ms = if ms >= INT_MAX { -1 } else { some_time(ms)? };
            Ok(())
        }),
    ),
    ("grpc.keepalive_timeout_ms", Number(|to, ms| put(&mut to.keepalive_timeout_ms, some_time(ms)))),
    ("grpc.lb_policy_name", Text(|to, name| set(&mut to.load_balancing, name))),
    ("grpc.max_message_length", Number(|to, bytes| put(&mut to.limits.max_recv_message_bytes, limit(bytes)))),
    ("grpc.max_metadata_size", Number(|to, bytes| put(&mut to.limits.max_metadata_bytes, some(bytes)))),
    (
        "grpc.max_receive_message_length",
        Number(|to, bytes| put(&mut to.limits.max_recv_message_bytes, limit(bytes))),
    ),
    ("grpc.max_reconnect_backoff_ms", Number(|to, ms| put(&mut to.backoff_longest_ms, some_time(ms)))),
    (
        "grpc.max_send_message_length",
        Number(|to, bytes| put(&mut to.limits.max_send_message_bytes, limit(bytes))),
    ),
    ("grpc.min_reconnect_backoff_ms", Number(|to, ms| put(&mut to.connect_timeout_ms, some_time(ms)))),
    ("grpc.primary_user_agent", Text(|to, text| set(&mut to.user_agent, text))),
    (
        "grpc.secondary_user_agent",
        Text(|to, text| {
            let first = to.user_agent.take().map(|first| first + " ").unwrap_or_default();
            set(&mut to.user_agent, first + &text)
        }),
    ),
    ("grpc.service_config", Text(|to, json| set(&mut to.service_config, json))),
    (
        "grpc.service_config_disable_resolution",
        Number(|to, number| {
            to.service_config_from_dns = !truth(number)?;
            Ok(())
        }),
    ),
    (
        "grpc.ssl_target_name_override",
        Text(|to, name| match &mut to.tls {
            Some(tls) => set(&mut tls.server_name, name),
            None => Err("is for channels with TLS, and this one has none"),
        }),
    ),
    (
        "grpc.use_local_subchannel_pool",
        // Channels share no connections here, which is what this asks for.
        Number(|_, number| truth(number).map(drop)),
    ),
];

impl ChannelOptions {
    /// Sets the option that gRPC's other implementations know as the channel argument `name`. Later ones win over earlier
    /// ones, and over what was there.
    ///
    /// # Errors
    /// [`OpError::Argument`]: there is no such argument here, and which one it may have been; or the value is none for it.
    pub fn set_argument(&mut self, name: &str, value: ArgumentValue) -> Result<(), OpError> {
        let Some((_, set)) = ARGUMENTS.iter().find(|(known, _)| *known == name) else {
            return Err(OpError::Argument(format!(
                "there is no channel argument {name:?}; the closest is {:?}",
                closest(name)
            )));
        };
        let shown = match &value {
            ArgumentValue::Number(number) => number.to_string(),
            ArgumentValue::Text(text) => format!("{text:?}"),
        };
        let result = match (set, value) {
            (Number(set), ArgumentValue::Number(number)) => set(self, number),
            (Text(set), ArgumentValue::Text(text)) => set(self, text),
            (Number(_), ArgumentValue::Text(_)) => Err("must be a number"),
            (Text(_), ArgumentValue::Number(_)) => Err("must be a text"),
        };
        result.map_err(|problem| OpError::Argument(format!("{name}: {problem}; it is {shown}")))
    }
}

fn set(field: &mut Option<String>, text: String) -> Result<(), &'static str> {
    *field = Some(text);
    Ok(())
}

fn put(field: &mut i64, value: Result<i64, &'static str>) -> Result<(), &'static str> {
    *field = value?;
    Ok(())
}

fn truth(number: i64) -> Result<bool, &'static str> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("must be 0 or 1"),
    }
}

fn some(bytes: i64) -> Result<i64, &'static str> {
    if bytes > 0 { Ok(bytes) } else { Err("must be a number of bytes above 0") }
}

fn some_time(ms: i64) -> Result<i64, &'static str> {
    if ms > 0 { Ok(ms) } else { Err("must be a number of milliseconds above 0") }
}

/// The length of a message: -1 is no limit but that of the protocol.
fn limit(bytes: i64) -> Result<i64, &'static str> {
    match bytes {
        -1 => Ok(u32::MAX.into()),
        1.. => Ok(bytes),
        _ => Err("must be a number of bytes above 0, or -1 for any length"),
    }
}

/// The name that is the fewest changes away.
fn closest(name: &str) -> &'static str {
    let names = ARGUMENTS.iter().map(|(known, _)| *known);
    names.min_by_key(|known| distance(name.as_bytes(), known.as_bytes())).unwrap_or_default()
}

/// How many bytes have to be changed, put in or taken out (Levenshtein).
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, byte) in from.iter().enumerate() {
        let mut corner = index;
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = corner + usize::from(byte != other);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::TlsOptions;

    fn set(name: &str, value: ArgumentValue) -> Result<ChannelOptions, String> {
        let mut options = ChannelOptions { tls: Some(TlsOptions::default()), ..ChannelOptions::default() };
        options.set_argument(name, value).map(|()| options).map_err(|error| error.to_string())
    }

    fn number(name: &str, number: i64) -> ChannelOptions {
        set(name, ArgumentValue::Number(number)).unwrap()
    }

    fn text(name: &str, text: &str) -> ChannelOptions {
        set(name, ArgumentValue::Text(text.to_owned())).unwrap()
    }

    #[test]
    fn names_are_sorted_and_there_once() {
        assert!(ARGUMENTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn numbers_go_to_their_options() {
        let limits = |name, value| number(name, value).limits;
        assert_eq!(limits("grpc.max_receive_message_length", 7).max_recv_message_bytes, 7);
        assert_eq!(limits("grpc.max_message_length", 7).max_recv_message_bytes, 7);
        assert_eq!(limits("grpc.max_receive_message_length", -1).max_recv_message_bytes, 0xffff_ffff);
        assert_eq!(limits("grpc.max_send_message_length", 7).max_send_message_bytes, 7);
        assert_eq!(limits("grpc.max_metadata_size", 7).max_metadata_bytes, 7);
        assert_eq!(limits("grpc.http2.lookahead_bytes", 7).stream_window_bytes, 7);
        assert_eq!(limits("grpc.http2.write_buffer_size", 7).send_buffer_bytes, 7);
        assert_eq!(number("grpc.keepalive_time_ms", 7).keepalive_interval_ms, 7);
        assert_eq!(number("grpc.keepalive_time_ms", INT_MAX).keepalive_interval_ms, -1);
        assert_eq!(number("grpc.keepalive_timeout_ms", 7).keepalive_timeout_ms, 7);
        assert!(number("grpc.keepalive_permit_without_calls", 1).keepalive_without_calls);
        assert_eq!(number("grpc.initial_reconnect_backoff_ms", 7).backoff_first_ms, 7);
        assert_eq!(number("grpc.max_reconnect_backoff_ms", 7).backoff_longest_ms, 7);
        assert_eq!(number("grpc.min_reconnect_backoff_ms", 7).connect_timeout_ms, 7);
        assert_eq!(number("grpc.client_idle_timeout_ms", 7).idle_timeout_ms, 7);
        assert_eq!(number("grpc.client_idle_timeout_ms", INT_MAX).idle_timeout_ms, -1);
        assert!(
            number("grpc.enable_retries", 0).retries_off && !number("grpc.enable_retries", 1).retries_off
        );
        assert_eq!(number("grpc.enable_http_proxy", 0).proxy.as_deref(), Some(""));
        assert_eq!(number("grpc.enable_http_proxy", 1).proxy, None);
        assert_eq!(number("grpc.default_compression_algorithm", 2).compression, Some(Encoding::Gzip));
        assert!(number("grpc.service_config_disable_resolution", 0).service_config_from_dns);
        assert!(!number("grpc.service_config_disable_resolution", 1).service_config_from_dns);
        assert_eq!(number("grpc.use_local_subchannel_pool", 1).compression, None);
    }

    #[test]
    fn texts_go_to_their_options() {
        assert_eq!(text("grpc.default_authority", "a").authority.as_deref(), Some("a"));
        assert_eq!(text("grpc.primary_user_agent", "a").user_agent.as_deref(), Some("a"));
        assert_eq!(text("grpc.service_config", "{}").service_config.as_deref(), Some("{}"));
        assert_eq!(text("grpc.lb_policy_name", "a").load_balancing.as_deref(), Some("a"));
        assert_eq!(text("grpc.http_proxy", "a:1").proxy.as_deref(), Some("a:1"));
        let tls = text("grpc.ssl_target_name_override", "a").tls.unwrap();
        assert_eq!(tls.server_name.as_deref(), Some("a"));
        let mut both = text("grpc.primary_user_agent", "a");
        both.set_argument("grpc.secondary_user_agent", ArgumentValue::Text("b".to_owned())).unwrap();
        assert_eq!(both.user_agent.as_deref(), Some("a b"));
    }

    #[test]
    fn mistakes_name_the_argument_and_the_closest_one() {
        let wrong = |name: &str, value| set(name, value).unwrap_err();
        let text = || ArgumentValue::Text("x".to_owned());
        for (name, value, problem) in [
            (
                "grpc.keepalive_time",
                ArgumentValue::Number(1),
                r#"there is no channel argument "grpc.keepalive_time"; the closest is "grpc.keepalive_time_ms""#,
            ),
            (
                "grpc.max_recieve_message_length",
                ArgumentValue::Number(1),
                r#"there is no channel argument "grpc.max_recieve_message_length"; the closest is "grpc.max_receive_message_length""#,
            ),
            ("grpc.keepalive_time_ms", text(), r#"grpc.keepalive_time_ms: must be a number; it is "x""#),
            ("grpc.service_config", ArgumentValue::Number(1), "grpc.service_config: must be a text; it is 1"),
            ("grpc.enable_retries", ArgumentValue::Number(2), "grpc.enable_retries: must be 0 or 1; it is 2"),
            (
                "grpc.max_send_message_length",
                ArgumentValue::Number(-2),
                "grpc.max_send_message_length: must be a number of bytes above 0, or -1 for any length; it is -2",
            ),
        ] {
            assert_eq!(wrong(name, value), problem);
        }
        let plain =
            ChannelOptions::default().set_argument("grpc.ssl_target_name_override", text()).unwrap_err();
        assert!(plain.to_string().contains("is for channels with TLS"), "{plain}");
    }
}
