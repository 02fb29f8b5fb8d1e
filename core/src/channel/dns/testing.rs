//! For fuzzing: a question to servers that answer whatever they like.

use std::net::IpAddr;
use std::time::Duration;

use super::lookup::{Answer, By, Kind, Lookup, Step};

/// What came of a question.
#[derive(Debug)]
pub struct Asked {
    /// How often a server was asked.
    pub times: usize,
    /// What was found: addresses, texts, and for how long they hold; or why nothing was.
    pub found: Result<Found, String>,
}

/// See [`Asked::found`].
pub type Found = (Vec<IpAddr>, Vec<Vec<u8>>, Option<Duration>);

/// Asks for IPv4 addresses (0), IPv6 addresses (1) or texts (2) of `names`. `answer` is given the query, and whether it comes on
/// a stream; a server that says nothing, or what is no answer, was asked in vain.
pub fn ask_dns(
    kind: usize,
    names: Vec<String>,
    servers: usize,
    rounds: usize,
    mut answer: impl FnMut(&[u8], bool) -> Option<Vec<u8>>,
) -> Asked {
    let kind = [Kind::Ipv4, Kind::Ipv6, Kind::Text][kind % 3];
    let mut lookup = match Lookup::new(kind, names, servers, rounds) {
        Ok(lookup) => lookup,
        Err(error) => return Asked { times: 0, found: Err(error) },
    };
    let (mut step, mut times) = (lookup.begin(), 0);
    loop {
        let by = match step {
            Step::Ask { by, .. } => by,
            Step::Done(found) => {
                let found = found.map(|Answer { addresses, texts, ttl }| (addresses, texts, ttl));
                return Asked { times, found };
            }
        };
        times += 1;
        let bytes = answer(lookup.query(), by == By::Stream);
        let heard = bytes.and_then(|bytes| lookup.heard(&bytes));
        step = heard.unwrap_or_else(|| lookup.failed("no answer"));
    }
}
