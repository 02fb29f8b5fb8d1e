//! `host:port`, as people write it.

use std::net::Ipv6Addr;

/// A host, and a port if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPort<'a> {
    /// A name or an IP address, without brackets.
    pub(crate) host: &'a str,
    /// `None` if none was written.
    pub(crate) port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Takes `name`, `name:port`, `192.0.2.1:port` and `[2001:db8::1]:port`.
    ///
    /// The error is the rest of a sentence that begins with what was parsed: `has no host before the port`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("has no closing bracket")?;
                check_ipv6(host)?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err("has something other than a port behind the bracket".to_owned()),
                };
                (host, port)
            }
            None => {
                let (host, port) = match text.rsplit_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                if host.contains(':') {
                    return Err(
                        "has several colons; an IPv6 address is written in brackets: [::1]:50051".to_owned()
                    );
                }
                check_name(host, port.is_some())?;
                (host, port)
            }
        };
        Ok(Self { host, port: port.map(parse_port).transpose()? })
    }
}

fn check_ipv6(host: &str) -> Result<(), String> {
    // A zone names the interface of a link-local address; only the system can tell whether it exists.
    let address = host.split_once('%').map_or(host, |(address, _zone)| address);
    match address.parse::<Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(_) => Err("has no IPv6 address between the brackets".to_owned()),
    }
}

fn check_name(host: &str, has_port: bool) -> Result<(), String> {
    if host.is_empty() {
        let problem = if has_port { "has no host before the port" } else { "has no host" };
        return Err(problem.to_owned());
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("has {c:?} in the host name")),
        None => Ok(()),
    }
}

fn parse_port(port: &str) -> Result<u16, String> {
    if port.is_empty() {
        return Err("has no port behind the colon".to_owned());
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("has a port that is no number: {port:?}"));
    }
    port.parse().map_err(|_| format!("has a port above 65535: {port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let cases = [
            ("localhost:50051", "localhost", Some(50051)),
            ("a-b_c.test", "a-b_c.test", None),
            ("bücher.test:1", "bücher.test", Some(1)),
            ("192.0.2.1:0", "192.0.2.1", Some(0)),
            ("[::1]:65535", "::1", Some(65535)),
            ("[::]", "::", None),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", Some(1)),
        ];
        for (text, host, port) in cases {
            assert_eq!(HostPort::parse(text), Ok(HostPort { host, port }), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "has no host"),
            (":50051", "has no host before the port"),
            ("a:", "has no port behind the colon"),
            ("a:http", "has a port that is no number: \"http\""),
            ("a:+1", "has a port that is no number: \"+1\""),
            ("a:65536", "has a port above 65535: 65536"),
            ("::1:50051", "has several colons; an IPv6 address is written in brackets: [::1]:50051"),
            ("[::1", "has no closing bracket"),
            ("[::1]50051", "has something other than a port behind the bracket"),
            ("[a.test]:1", "has no IPv6 address between the brackets"),
            ("a b:1", "has ' ' in the host name"),
            ("user@a.test:1", "has '@' in the host name"),
            ("a/b:1", "has '/' in the host name"),
        ];
        for (text, problem) in cases {
            assert_eq!(HostPort::parse(text).unwrap_err(), problem, "{text}");
        }
    }
}
