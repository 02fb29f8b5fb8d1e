//! Where a service is: what names are resolved to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address that a connection can be made to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Address and port of a TCP server.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A name in Linux's abstract namespace, without the NUL.
    UnixAbstract(String),
    /// A server in this process.
    InProcess(String),
    /// Whatever the channel's connector connects to.
    Connector,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::UnixAbstract(name) => write!(f, "unix-abstract:{name}"),
            Address::InProcess(name) => write!(f, "inprocess:{name}"),
            Address::Connector => f.write_str("connector"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Tcp(address)
    }
}

/// One server of a service: where it is, and what balancing may know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// How many of the calls it is to get, beside the others: 1 unless it is set. Only `ring_hash` looks at it.
    pub weight: u32,
    /// What `ring_hash` knows it by, instead of its address: a name that stays when the address changes (gRFC A76).
    pub hash_key: Option<String>,
}

impl Endpoint {
    /// An endpoint like any other.
    pub fn new(address: impl Into<Address>) -> Self {
        Endpoint { address: address.into(), weight: 1, hash_key: None }
    }

    /// Sets how many of the calls it is to get; 0 counts as 1.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets what `ring_hash` knows it by.
    #[must_use]
    pub fn hash_key(mut self, key: impl Into<String>) -> Self {
        self.hash_key = Some(key.into());
        self
    }
}

impl<T: Into<Address>> From<T> for Endpoint {
    fn from(address: T) -> Self {
        Endpoint::new(address)
    }
}

/// Puts addresses of both families in turns, the family of the first one first (RFC 8305 section 4): when one of them does
/// not work here, every other attempt still has a chance. The order within a family stays.
pub(crate) fn interleave(addresses: &[Address]) -> Vec<Address> {
    let is_v6 = |address: &Address| matches!(address, Address::Tcp(SocketAddr::V6(_)));
    let Some(first) = addresses.first().map(is_v6) else { return Vec::new() };
    let mut families = [Vec::new(), Vec::new()];
    for address in addresses {
        families[usize::from(is_v6(address) != first)].push(address.clone());
    }
    let [preferred, other] = families.map(Vec::into_iter);
    let (mut preferred, mut other) = (preferred.fuse(), other.fuse());
    let mut mixed = Vec::with_capacity(addresses.len());
    loop {
        let pair = [preferred.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<Address> {
        text.split_whitespace().map(|address| Address::Tcp(address.parse().unwrap())).collect()
    }

    // gRFC A61, "Interleaving addresses"
    #[test]
    fn families_take_turns() {
        let mixed = interleave(&list("[::1]:1 [::2]:1 [::3]:1 192.0.2.1:1 192.0.2.2:1"));
        assert_eq!(mixed, list("[::1]:1 192.0.2.1:1 [::2]:1 192.0.2.2:1 [::3]:1"));
        let mixed = interleave(&list("192.0.2.1:1 [::1]:1 [::2]:1 [::3]:1"));
        assert_eq!(mixed, list("192.0.2.1:1 [::1]:1 [::2]:1 [::3]:1"));
        assert_eq!(interleave(&list("192.0.2.1:1 192.0.2.2:1")), list("192.0.2.1:1 192.0.2.2:1"));
        assert!(interleave(&[]).is_empty());
    }
}
