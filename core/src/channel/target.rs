//! Targets: what a channel is connected to, as text (gRPC's name syntax).
//!
//! ```text
//! host[:port]                      dns:[///]host[:port]            dns://nameserver/host[:port]
//! ipv4:address[:port][,...]        ipv6:address|[address]:port[,...]
//! unix:path  unix:///path          unix-abstract:name              inprocess:name
//! ```
//!
//! Without a port it is 443. Paths are taken as they are written, without percent decoding.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::transport::listen::host::HostPort;

/// The port of a target without one.
const DEFAULT_PORT: u16 = 443;

/// What a target names; names are not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A host name or one IP address, without brackets. `server` is the name server to ask, if one was named.
    Dns { host: String, port: u16, server: Option<String> },
    /// Addresses of one service, never none.
    Addresses(Vec<SocketAddr>),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A name in Linux's abstract namespace, without the NUL.
    UnixAbstract(String),
    /// A server in this process.
    InProcess(String),
}

/// A parsed target. `Display` writes it as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    text: String,
    pub(crate) endpoint: Endpoint,
    authority: String,
    host: String,
}

/// Text that is no target. Says what is wrong, and what to write instead where that is clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    target: String,
    problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the target {:?} {}", self.target, self.problem)
    }
}

impl std::error::Error for TargetError {}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The authority of an endpoint that has no host.
const LOCAL: &str = "localhost";

impl Target {
    /// Parses `text`.
    ///
    /// # Errors
    /// It is no target, or of a kind that is not supported.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetError> {
        let parts = parse(text).map_err(|problem| TargetError { target: text.to_owned(), problem })?;
        let (endpoint, authority, host) = parts;
        Ok(Self { text: text.to_owned(), endpoint, authority, host })
    }

    /// The default `:authority` of calls: host and port as they were written, the first of several addresses, and
    /// `localhost` where there is no host.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The form with a scheme, as gRPC's own implementations write it where targets are shown.
    pub(crate) fn canonical(&self) -> String {
        let named = ["dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "inprocess:"];
        if named.iter().any(|scheme| self.text.starts_with(scheme)) {
            self.text.clone()
        } else {
            format!("dns:///{}", self.text)
        }
    }

    /// Whether nobody outside of this machine can listen in.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Unix(_) | Endpoint::UnixAbstract(_) | Endpoint::InProcess(_))
    }

    /// The host alone, without port and brackets: the name a server's certificate must be for.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Endpoint, authority and host.
type Parts = (Endpoint, String, String);

fn parse(text: &str) -> Result<Parts, String> {
    if text.is_empty() {
        return Err("is empty; write \"host:port\"".to_owned());
    }
    let Some((scheme, rest)) = text.split_once(':') else { return dns(text, None) };
    match scheme {
        "dns" => dns_uri(rest),
        "ipv4" => addresses(rest, parse_ipv4),
        "ipv6" => addresses(rest, parse_ipv6),
        "unix" => unix(rest),
        "unix-abstract" => match rest {
            "" => Err("has no name behind unix-abstract:".to_owned()),
            name => Ok(local(Endpoint::UnixAbstract(name.to_owned()))),
        },
        "inprocess" => Ok(local(Endpoint::InProcess(rest.to_owned()))),
        "http" | "https" if rest.starts_with("//") => Err(not_a_url(scheme, rest)),
        _ if rest.starts_with("//") => Err(format!(
            "has a scheme that is not supported: {scheme}; there are dns, ipv4, ipv6, unix, unix-abstract and inprocess"
        )),
        _ => dns(text, None),
    }
}

fn local(endpoint: Endpoint) -> Parts {
    (endpoint, LOCAL.to_owned(), LOCAL.to_owned())
}

/// The address of a name server, as `dns://` has it; port 53 where it says none.
pub(crate) fn name_server(text: &str) -> Option<SocketAddr> {
    let HostPort { host, port } = HostPort::parse(text).ok()?;
    Some(SocketAddr::new(host.parse().ok()?, port.unwrap_or(53)))
}

fn dns(authority: &str, server: Option<&str>) -> Result<Parts, String> {
    let HostPort { host, port } = HostPort::parse(authority)?;
    let port = port.unwrap_or(DEFAULT_PORT);
    let endpoint = Endpoint::Dns { host: host.to_owned(), port, server: server.map(str::to_owned) };
    Ok((endpoint, authority.to_owned(), host.to_owned()))
}

fn dns_uri(rest: &str) -> Result<Parts, String> {
    let Some(rest) = rest.strip_prefix("//") else { return dns(rest, None) };
    match rest.split_once('/') {
        Some(("", name)) => dns(name, None),
        Some((server, name)) => dns(name, Some(server)),
        None => Err(format!("names a name server and no host; write \"dns:///{rest}\"")),
    }
}

/// A list of addresses, separated by commas.
fn addresses(list: &str, parse: impl Fn(&str) -> Result<SocketAddr, String>) -> Result<Parts, String> {
    let addresses = list.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
    let first = list.split(',').next().unwrap_or(list);
    let host = addresses.first().map_or_else(String::new, |address| address.ip().to_string());
    // An IPv6 address in an authority has brackets, also where it was written without.
    let authority =
        if first.starts_with('[') || !host.contains(':') { first.to_owned() } else { format!("[{first}]") };
    Ok((Endpoint::Addresses(addresses), authority, host))
}

fn parse_ipv4(text: &str) -> Result<SocketAddr, String> {
    let HostPort { host, port } = HostPort::parse(text)?;
    let address: Ipv4Addr =
        host.parse().map_err(|_| format!("has something that is no IPv4 address: {text:?}"))?;
    Ok(SocketAddr::new(IpAddr::V4(address), port.unwrap_or(DEFAULT_PORT)))
}

fn parse_ipv6(text: &str) -> Result<SocketAddr, String> {
    let no_address = || format!("has something that is no IPv6 address: {text:?}");
    // Without brackets all of it is the address: there is no telling where a port would begin.
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(SocketAddr::new(IpAddr::V6(address), DEFAULT_PORT));
    }
    if !text.starts_with('[') {
        return Err(no_address());
    }
    let HostPort { host, port } = HostPort::parse(text)?;
    let port = port.unwrap_or(DEFAULT_PORT);
    // The standard library reads numbered zones here, which are all that an address without a name can have.
    format!("[{host}]:{port}").parse().map_err(|_| no_address())
}

fn unix(rest: &str) -> Result<Parts, String> {
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(path) => {
            return Err(format!("has no absolute path; write \"unix:///{path}\" or \"unix:{path}\""));
        }
        None => rest,
    };
    match path {
        "" => Err("has no path behind unix:".to_owned()),
        path if path.contains('\0') => {
            Err("has a NUL byte in the path; is it unix-abstract:name?".to_owned())
        }
        path => Ok(local(Endpoint::Unix(path.into()))),
    }
}

/// What to write instead of a URL.
fn not_a_url(scheme: &str, rest: &str) -> String {
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    let port = if scheme == "https" { 443 } else { 80 };
    let target = match HostPort::parse(authority) {
        Ok(HostPort { port: None, .. }) => format!("{authority}:{port}"),
        Ok(_) => authority.to_owned(),
        Err(_) => "host:port".to_owned(),
    };
    let tls = if scheme == "https" { " and give the channel a ClientTls" } else { "" };
    format!("is a URL; write {target:?}{tls}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(host: &str, port: u16, server: Option<&str>) -> Endpoint {
        Endpoint::Dns { host: host.to_owned(), port, server: server.map(str::to_owned) }
    }

    fn addresses(list: &[&str]) -> Endpoint {
        Endpoint::Addresses(list.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn targets_are_parsed() {
        let cases = [
            ("a.test:50051", dns("a.test", 50051, None), "a.test:50051", "a.test"),
            ("a.test", dns("a.test", 443, None), "a.test", "a.test"),
            ("localhost:1", dns("localhost", 1, None), "localhost:1", "localhost"),
            ("192.0.2.1:5", dns("192.0.2.1", 5, None), "192.0.2.1:5", "192.0.2.1"),
            ("[::1]:5", dns("::1", 5, None), "[::1]:5", "::1"),
            ("[::1]", dns("::1", 443, None), "[::1]", "::1"),
            ("dns:a.test:5", dns("a.test", 5, None), "a.test:5", "a.test"),
            ("dns:///a.test:5", dns("a.test", 5, None), "a.test:5", "a.test"),
            ("dns:///[::1]:5", dns("::1", 5, None), "[::1]:5", "::1"),
            ("dns://8.8.8.8/a.test:5", dns("a.test", 5, Some("8.8.8.8")), "a.test:5", "a.test"),
            ("dns://[::1]:53/a.test", dns("a.test", 443, Some("[::1]:53")), "a.test", "a.test"),
            ("ipv4:192.0.2.1", addresses(&["192.0.2.1:443"]), "192.0.2.1", "192.0.2.1"),
            (
                "ipv4:192.0.2.1:5,192.0.2.2:6",
                addresses(&["192.0.2.1:5", "192.0.2.2:6"]),
                "192.0.2.1:5",
                "192.0.2.1",
            ),
            ("ipv6:[::1]:5,[::2]", addresses(&["[::1]:5", "[::2]:443"]), "[::1]:5", "::1"),
            ("ipv6:2001:db8::1", addresses(&["[2001:db8::1]:443"]), "[2001:db8::1]", "2001:db8::1"),
            ("ipv6:[fe80::1%2]:5", addresses(&["[fe80::1%2]:5"]), "[fe80::1%2]:5", "fe80::1"),
            ("unix:/run/a.sock", Endpoint::Unix("/run/a.sock".into()), "localhost", "localhost"),
            ("unix:///run/a.sock", Endpoint::Unix("/run/a.sock".into()), "localhost", "localhost"),
            ("unix:a.sock", Endpoint::Unix("a.sock".into()), "localhost", "localhost"),
            ("unix-abstract:a", Endpoint::UnixAbstract("a".to_owned()), "localhost", "localhost"),
            ("inprocess:", Endpoint::InProcess(String::new()), "localhost", "localhost"),
            ("inprocess:a", Endpoint::InProcess("a".to_owned()), "localhost", "localhost"),
        ];
        for (text, endpoint, authority, host) in cases {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.endpoint, endpoint, "{text}");
            assert_eq!((target.authority(), target.host()), (authority, host), "{text}");
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn mistakes_are_answered_with_advice() {
        let cases = [
            ("", "is empty; write \"host:port\""),
            ("http://a.test:50051", "is a URL; write \"a.test:50051\""),
            ("http://a.test/x", "is a URL; write \"a.test:80\""),
            ("https://a.test", "is a URL; write \"a.test:443\" and give the channel a ClientTls"),
            ("https://[::1]:5?q", "is a URL; write \"[::1]:5\" and give the channel a ClientTls"),
            ("http://", "is a URL; write \"host:port\""),
            (
                "xds:///a",
                "has a scheme that is not supported: xds; there are dns, ipv4, ipv6, unix, unix-abstract and inprocess",
            ),
            ("a.test:", "has no port behind the colon"),
            ("a.test:http", "has a port that is no number: \"http\""),
            ("a.test:70000", "has a port above 65535: 70000"),
            (":50051", "has no host before the port"),
            ("::1", "has several colons; an IPv6 address is written in brackets: [::1]:50051"),
            ("a.test:5/x", "has a port that is no number: \"5/x\""),
            ("dns:", "has no host"),
            ("dns://a.test:5", "names a name server and no host; write \"dns:///a.test:5\""),
            ("dns:///a/b:5", "has '/' in the host name"),
            ("ipv4:", "has no host"),
            ("ipv4:a.test:5", "has something that is no IPv4 address: \"a.test:5\""),
            ("ipv4:192.0.2.1:5,", "has no host"),
            ("ipv6:[::1]:5,192.0.2.1:5", "has something that is no IPv6 address: \"192.0.2.1:5\""),
            ("ipv6:[fe80::1%eth0]:5", "has something that is no IPv6 address: \"[fe80::1%eth0]:5\""),
            ("unix:", "has no path behind unix:"),
            (
                "unix://run/a.sock",
                "has no absolute path; write \"unix:///run/a.sock\" or \"unix:run/a.sock\"",
            ),
            ("unix:\0a", "has a NUL byte in the path; is it unix-abstract:name?"),
            ("unix-abstract:", "has no name behind unix-abstract:"),
        ];
        for (text, problem) in cases {
            let error = Target::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("the target {text:?} {problem}"));
        }
    }
}
