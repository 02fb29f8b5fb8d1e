//! HTTP CONNECT proxies (gRFC A1): which one a channel goes through, and how it asks for its tunnel.
//!
//! The target's name is not resolved here but given to the proxy as it is, because many networks that have a proxy do not
//! resolve names of the outside.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ChannelError;
use super::resolver::{Resolution, Resolver, SystemResolver};
use crate::Status;
use crate::middleware::BoxFuture;
use crate::transport::io::RawIo;
use crate::transport::listen::host::HostPort;

/// Whether a channel connects through an HTTP proxy (CONNECT). Only targets with a host name or `dns:` do, because what
/// else there is names addresses that are reached as they are; and so does nothing with a resolver or a connector of the
/// program's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// What the environment says: the first of `grpc_proxy`, `https_proxy`, `HTTPS_PROXY` and `http_proxy` that is not
    /// empty, unless the first of `no_grpc_proxy`, `no_proxy` and `NO_PROXY` names the host. This machine itself
    /// (`localhost`, `127.0.0.0/8`, `::1`) is never reached through a proxy of the environment.
    #[default]
    Environment,
    /// No proxy, whatever the environment says.
    Off,
    /// This one, for every host: `http://user:password@host:port`, or `host:port`.
    Url(String),
}

/// Where a proxy is looked for, the first one first.
const VARIABLES: [&str; 4] = ["grpc_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy"];

/// Where exceptions from it are.
const EXCEPTIONS: [&str; 3] = ["no_grpc_proxy", "no_proxy", "NO_PROXY"];

/// The name of the setting, for errors.
const SETTING: &str = "proxy";

/// What a proxy may send before the tunnel begins, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// A proxy, and what it is to connect to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tunnel {
    host: String,
    port: u16,
    /// The setting or variable that it is from.
    setting: &'static str,
    /// What stands behind `Proxy-Authorization: Basic`.
    credentials: Option<String>,
    /// Host and port of the target.
    to: String,
}

/// Without the password.
impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} (set by {})", authority(&self.host, self.port), self.setting)
    }
}

impl Proxy {
    /// The tunnel to `host`, if there is to be one. `variable` reads the environment.
    ///
    /// # Errors
    /// What names the proxy is not the URL of one.
    pub(crate) fn tunnel(
        &self,
        host: &str,
        port: u16,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Tunnel>, ChannelError> {
        let first = |names: &[&'static str]| {
            let filled = |name: &&'static str| Some((*name, variable(name).filter(|text| !text.is_empty())?));
            names.iter().find_map(filled)
        };
        let (setting, url) = match self {
            Proxy::Off => return Ok(None),
            Proxy::Url(url) => (SETTING, url.clone()),
            Proxy::Environment => match first(&VARIABLES) {
                Some(found) if !is_this_machine(host) => found,
                _ => return Ok(None),
            },
        };
        let excepted = |(_, list): (_, String)| list.split(',').any(|entry| covers(entry.trim(), host, port));
        if *self == Proxy::Environment && first(&EXCEPTIONS).is_some_and(excepted) {
            return Ok(None);
        }
        let to = authority(host, port);
        let tunnel =
            parse(&url).map(|(host, port, credentials)| Tunnel { host, port, setting, credentials, to });
        tunnel.map(Some).map_err(|reason| ChannelError::Setting { setting, value: redacted(&url), reason })
    }
}

impl Tunnel {
    /// The addresses of the proxy itself.
    pub(crate) fn resolver(&self) -> Arc<dyn Resolver> {
        let system = SystemResolver { host: self.host.clone(), port: self.port };
        Arc::new(ProxyResolver { system, proxy: self.to_string() })
    }

    /// Asks for the tunnel on a fresh connection to the proxy.
    ///
    /// # Errors
    /// Begins with the proxy, and the setting that it is from.
    pub(crate) async fn open(&self, io: &mut RawIo) -> Result<(), String> {
        let lost = |error: std::io::Error| format!("{self} hung up: {error}");
        let authorization = match &self.credentials {
            Some(credentials) => format!("Proxy-Authorization: Basic {credentials}\r\n"),
            None => String::new(),
        };
        let request = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{authorization}\r\n", self.to);
        io.write_all(request.as_bytes()).await.map_err(lost)?;
        io.flush().await.map_err(lost)?;
        let mut head = Vec::with_capacity(256);
        // Byte by byte, because what follows the head is the server's.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_BYTES {
                return Err(format!("{self} answered CONNECT with a head of more than {HEAD_BYTES} bytes"));
            }
            head.push(io.read_u8().await.map_err(lost)?);
        }
        let head = String::from_utf8_lossy(&head);
        let line = head.lines().next().unwrap_or_default();
        let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        match code.and_then(|code| code.parse::<u16>().ok()) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(format!(
                "{self} wants a user and a password, or others than those in its URL: it answered CONNECT {} with {line:?}",
                self.to
            )),
            Some(_) => Err(format!("{self} refused CONNECT {}: {line:?}", self.to)),
            None => Err(format!("{self} does not speak HTTP: it answered CONNECT with {line:?}")),
        }
    }
}

/// Asks for the proxy's name.
struct ProxyResolver {
    system: SystemResolver,
    proxy: String,
}

impl Resolver for ProxyResolver {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolution, Status>> {
        let (found, proxy) = (self.system.resolve(), self.proxy.clone());
        let named = move |status: Status| Status::unavailable(format!("{proxy}: {}", status.message()));
        Box::pin(async move { found.await.map_err(named) })
    }
}

/// Host, port and credentials of a proxy's URL.
fn parse(url: &str) -> Result<(String, u16, Option<String>), &'static str> {
    const WANTED: &str = "it is not of the form http://user:password@host:port";
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) => return Err("only proxies whose URL begins with http:// are supported"),
        None => url,
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let HostPort { host, port } = HostPort::parse(place).map_err(|_| WANTED)?;
    let credentials = user.map(|user| decoded(user).map(|user| STANDARD.encode(user)).ok_or(WANTED));
    Ok((host.to_owned(), port.unwrap_or(80), credentials.transpose()?))
}

/// Takes percent-encoding off.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(16 * digit()? + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(plain)
}

/// A URL without its password.
fn redacted(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, place)) => format!("…@{place}"),
        None => url.to_owned(),
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an entry of a list of exceptions means `host`: `*`, a name with all that is below it, an address or a range of
/// addresses, each but the first with a port if it is to be only that.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>()
        && let Some((base, bits)) = entry.split_once('/')
    {
        return in_range(address, base, bits).unwrap_or(false);
    }
    let plain = entry.parse::<IpAddr>().is_ok();
    let (name, only_port) = match HostPort::parse(entry) {
        Ok(HostPort { host, port }) if !plain => (host, port),
        _ => (entry, None),
    };
    if name.is_empty() || only_port.is_some_and(|only| only != port) {
        return false;
    }
    if let (Ok(address), Ok(name)) = (host.parse::<IpAddr>(), name.parse::<IpAddr>()) {
        return address == name;
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(&name).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

fn in_range(address: IpAddr, base: &str, bits: &str) -> Option<bool> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let (base, bits) = (base.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
    let ((address, width), (base, base_width)) = (number(address), number(base));
    let differ = (address ^ base).checked_shr(128_u32.checked_sub(bits)?).unwrap_or(0);
    Some(width == base_width && bits <= width && differ == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)], host: &str) -> Option<Tunnel> {
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxy::Environment.tunnel(host, 443, read).unwrap()
    }

    #[test]
    fn variables_are_looked_at_in_their_order() {
        let all = [
            ("http_proxy", "d:1"),
            ("HTTPS_PROXY", "http://c:1"),
            ("https_proxy", "b:1"),
            ("grpc_proxy", "a:1"),
        ];
        for (count, proxy, setting) in
            [(4, "a", "grpc_proxy"), (3, "b", "https_proxy"), (2, "c", "HTTPS_PROXY"), (1, "d", "http_proxy")]
        {
            let found = from(&all[..count], "orders.test").unwrap();
            assert_eq!((found.host.as_str(), found.setting), (proxy, setting));
        }
        assert_eq!(from(&[("grpc_proxy", ""), ("https_proxy", "b:1")], "x").unwrap().host, "b");
        assert_eq!(from(&[("HTTP_PROXY", "x:1"), ("all_proxy", "x:1")], "orders.test"), None);
    }

    #[test]
    fn exceptions_are_hosts_with_all_below_addresses_and_ranges() {
        let skips =
            |list: &str, host: &str| from(&[("grpc_proxy", "a:1"), ("no_proxy", list)], host).is_none();
        for (list, host, expected) in [
            ("orders.test", "orders.test", true),
            ("a.test, ORDERS.test", "Orders.Test", true),
            ("test", "orders.test", true),
            (".test", "orders.test", true),
            ("*.test", "orders.test", true),
            ("ders.test", "orders.test", false),
            ("orders.test", "other.test", false),
            ("orders.test:443", "orders.test", true),
            ("orders.test:444", "orders.test", false),
            ("*", "orders.test", true),
            ("", "orders.test", false),
            (",", "orders.test", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7:443", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/29", "192.0.2.8", false),
            ("0.0.0.0/0", "192.0.2.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("192.0.2.0/x,192.0.2.0/99", "192.0.2.7", false),
            ("10.0.0.0/8", "orders.test", false),
        ] {
            assert_eq!(skips(list, host), expected, "{list} for {host}");
        }
        let both = [("grpc_proxy", "a:1"), ("no_grpc_proxy", "x"), ("NO_PROXY", "*")];
        assert!(from(&both, "orders.test").is_some(), "the first list alone counts");
        for here in ["localhost", "127.0.0.3", "::1"] {
            assert_eq!(from(&[("grpc_proxy", "a:1")], here), None, "{here}");
        }
    }

    #[test]
    fn url_has_host_port_and_credentials() {
        let of = |url: &str| Proxy::Url(url.to_owned()).tunnel("::1", 5, |_| Some("*".to_owned()));
        let full = of("HTTP://me:p%40ss@proxy.test:3128/").unwrap().unwrap();
        assert_eq!((full.host.as_str(), full.port, full.to.as_str()), ("proxy.test", 3128, "[::1]:5"));
        assert_eq!(full.credentials.as_deref(), Some(STANDARD.encode("me:p@ss").as_str()));
        assert_eq!(format!("{full:?}"), "the proxy proxy.test:3128 (set by proxy)");
        let plain = of("[::2]").unwrap().unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.credentials), ("::2", 80, None));
        let wrong = |url: &str| of(url).unwrap_err().to_string();
        assert_eq!(
            wrong("socks5://me:secret@proxy.test:1"),
            "proxy: …@proxy.test:1 cannot be used: only proxies whose URL begins with http:// are supported"
        );
        for url in ["", "http://", "http://a:x", "http://%zz@a:1"] {
            assert!(wrong(url).ends_with("it is not of the form http://user:password@host:port"), "{url}");
        }
        assert_eq!(Proxy::Off.tunnel("a", 1, |_| Some("a:1".to_owned())).unwrap(), None);
    }
}
