//! One question to DNS servers, without sockets or a clock: whom to ask, how, and which answer counts.
//!
//! ```text
//! Ask a server by datagram ── an answer ──────────────► Done
//!   ▲   ▲        │      └──── it is cut off ──► Ask by stream ── an answer ──► Done
//!   │   │        └─── none, or none of use ──► the next server, each as often as the system says, then Done
//!   │   └──────────── the name does not exist ──► the next name of the search list, if there is one
//! ```

use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::message_builder::PushError;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name, ParseRecordData, Rtype};
use domain::rdata::{A, Aaaa, Txt};

use crate::random;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ipv4,
    Ipv6,
    Text,
}

/// What was found; nothing if there is no such name, or nothing of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    /// Each is one record, whose strings are joined.
    pub(super) texts: Vec<Vec<u8>>,
    /// How long it holds: the shortest time of all records, those of aliases included.
    pub(super) ttl: Option<Duration>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send [`Lookup::query`] to the server of that number.
    Ask {
        server: usize,
        by: By,
    },
    Done(Result<Answer, String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Datagram,
    Stream,
}

/// See the [module](self).
pub(super) struct Lookup {
    kind: Kind,
    /// Those that were not asked for yet, the next one last.
    names: Vec<String>,
    query: Message<Vec<u8>>,
    servers: usize,
    rounds: usize,
    /// How often a server was asked for the name at hand.
    asked: usize,
    by: By,
}

impl Lookup {
    /// A lookup of the first of `names` that exists, at so many servers, of which each is asked up to `rounds` times.
    ///
    /// # Errors
    /// There is nothing to ask for, or nobody to ask.
    pub(super) fn new(
        kind: Kind,
        mut names: Vec<String>,
        servers: usize,
        rounds: usize,
    ) -> Result<Self, String> {
        if servers == 0 {
            return Err("there is no DNS server to ask".to_owned());
        }
        names.reverse();
        let first = names.pop().ok_or("there is no name to ask for")?;
        let query = query(kind, &first)?;
        Ok(Lookup { kind, names, query, servers, rounds, asked: 0, by: By::Datagram })
    }

    pub(super) fn query(&self) -> &[u8] {
        self.query.as_slice()
    }

    pub(super) fn begin(&self) -> Step {
        Step::Ask { server: self.asked % self.servers, by: self.by }
    }

    /// A server has sent something. `None`: it is not the answer, and that may still come.
    pub(super) fn heard(&mut self, bytes: &[u8]) -> Option<Step> {
        let message = Message::from_octets(bytes).ok().filter(|message| message.is_answer(&self.query))?;
        let header = message.header();
        if header.tc() && self.by == By::Datagram {
            self.by = By::Stream;
            return Some(self.begin());
        }
        Some(match header.rcode() {
            Rcode::NOERROR => match read(&message, self.kind) {
                Ok(answer) if answer.addresses.is_empty() && answer.texts.is_empty() => self.not_found(),
                Ok(answer) => Step::Done(Ok(answer)),
                Err(error) => self.failed(&format!("the answer cannot be read: {error}")),
            },
            Rcode::NXDOMAIN => self.not_found(),
            code => self.failed(&format!("the answer is {code}")),
        })
    }

    /// Nothing is to be had from the server that was asked.
    pub(super) fn failed(&mut self, why: &str) -> Step {
        self.asked += 1;
        self.by = By::Datagram;
        if self.asked < self.servers * self.rounds { self.begin() } else { Step::Done(Err(why.to_owned())) }
    }

    fn not_found(&mut self) -> Step {
        let Some(next) = self.names.pop() else { return Step::Done(Ok(Answer::default())) };
        match query(self.kind, &next) {
            Ok(query) => (self.query, self.asked, self.by) = (query, 0, By::Datagram),
            Err(error) => return Step::Done(Err(error)),
        }
        self.begin()
    }
}

fn query(kind: Kind, name: &str) -> Result<Message<Vec<u8>>, String> {
    let wrong = |problem: &dyn std::fmt::Display| format!("{name:?} is no name of DNS: {problem}");
    let name = Name::vec_from_str(name).map_err(|error| wrong(&error))?;
    let kind = match kind {
        Kind::Ipv4 => Rtype::A,
        Kind::Ipv6 => Rtype::AAAA,
        Kind::Text => Rtype::TXT,
    };
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(random::bits() as u16);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, kind)).map_err(|error: PushError| wrong(&error))?;
    Ok(builder.into_message())
}

fn read(message: &Message<&[u8]>, kind: Kind) -> Result<Answer, ParseError> {
    let mut answer = Answer::default();
    for record in message.answer()? {
        let ttl = Duration::from_secs(record?.ttl().as_secs().into());
        answer.ttl = Some(answer.ttl.map_or(ttl, |least| least.min(ttl)));
    }
    match kind {
        Kind::Ipv4 => answer.addresses = each(message, |record: A| record.addr().into())?,
        Kind::Ipv6 => answer.addresses = each(message, |record: Aaaa| record.addr().into())?,
        Kind::Text => answer.texts = each(message, |record: Txt<_>| record.text())?,
    }
    Ok(answer)
}

/// The records of one type that belong to the name that was asked for, or to what that is an alias of.
fn each<'a, D, T>(message: &'a Message<&[u8]>, take: impl Fn(D) -> T) -> Result<Vec<T>, ParseError>
where
    D: ParseRecordData<'a, &'a [u8]>,
{
    let name = message.canonical_name().ok_or(ParseError::form_error("no question, or too many aliases"))?;
    let mut found = Vec::new();
    for record in message.answer()?.limit_to_in::<D>() {
        let record = record?;
        if *record.owner() == name {
            found.push(take(record.into_data()));
        }
    }
    Ok(found)
}
