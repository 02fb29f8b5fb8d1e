//! Answers of DNS servers, to whoever asks for a name.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use spanwire::testing::{Asked, ask_dns};

use crate::Input;

const HEADER_BYTES: usize = 12;
/// The name that was asked for, as a pointer to where the question has it.
const OWNER: [u8; 2] = [0xc0, HEADER_BYTES as u8];
const NAMES: usize = 2;
const SERVERS: usize = 2;
const ROUNDS: usize = 2;

/// Servers that answer good addresses, or anything.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.below(4) == 0 { addresses(&mut input) } else { anything(&mut input) }
}

fn names() -> Vec<String> {
    ["a.test", "a.search.test"][..NAMES].iter().map(|name| (*name).to_owned()).collect()
}

/// A query's own header and question, as an answer to it with so many records.
fn answer_to(query: &[u8], flags: [u8; 2], records: u16) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2..4].copy_from_slice(&flags);
    answer[6..8].copy_from_slice(&records.to_be_bytes());
    answer
}

/// All addresses that are sent are found, and they hold as long as the first of them to end.
fn addresses(input: &mut Input<'_>) {
    let sent: Vec<(Ipv4Addr, u32)> =
        (0..input.below(30)).map(|_| (input.number().into(), input.number() >> 1)).collect();
    let Asked { times, found } = ask_dns(0, names(), SERVERS, ROUNDS, |query, _| {
        let mut answer = answer_to(query, [0x81, 0x80], sent.len() as u16);
        for (address, ttl) in &sent {
            answer.extend(OWNER);
            answer.extend([0, 1, 0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
    });
    let (addresses, texts, ttl) = found.expect("a good answer");
    assert_eq!(addresses, sent.iter().map(|(address, _)| IpAddr::from(*address)).collect::<Vec<_>>());
    assert!(texts.is_empty());
    let shortest = sent.iter().map(|(_, ttl)| Duration::from_secs((*ttl).into())).min();
    assert_eq!(ttl, shortest);
    // Who has nothing is asked for the next name.
    assert_eq!(times, if sent.is_empty() { NAMES } else { 1 });
}

/// It comes to an end, and finds no more than was sent.
fn anything(input: &mut Input<'_>) {
    let kind = input.below(3);
    let mut longest = 0;
    let Asked { times, found } = ask_dns(kind, names(), SERVERS, ROUNDS, |query, _| {
        let answer = match input.below(4) {
            0 => input.bytes().to_vec(),
            1 => return None,
            more => {
                let (flags, records) = ([0x80 | input.byte(), input.byte()], input.byte().into());
                let mut answer = answer_to(query, flags, records);
                if more == 3 {
                    answer.extend(OWNER);
                }
                answer.extend(input.bytes());
                answer
            }
        };
        longest = longest.max(answer.len());
        Some(answer)
    });
    // By datagram, and by stream when that is cut off.
    assert!((1..=2 * NAMES * SERVERS * ROUNDS).contains(&times), "{times}");
    if let Ok((addresses, texts, ttl)) = found {
        // A record has an owner, eight bytes about itself, a length, and what it says.
        let least = if kind == 1 { 27 } else { 15 };
        assert!(addresses.len() * least <= longest, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.is_ipv6() == (kind == 1)));
        assert!(addresses.is_empty() || texts.is_empty());
        assert!(texts.iter().map(Vec::len).sum::<usize>() <= longest, "{texts:?}");
        assert!(ttl.is_some() || addresses.is_empty() && texts.is_empty());
    }
}
