//! Lookups against servers of the test's own: most without a socket, some on loopback.

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::{A, Aaaa, Cname, Txt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::lookup::{Answer, By, Kind, Lookup, Step};
use super::*;

fn name(text: &str) -> Name<Vec<u8>> {
    Name::vec_from_str(text).unwrap()
}

fn txt(text: &[u8]) -> Txt<Vec<u8>> {
    Txt::build_from_slice(text).unwrap()
}

/// What a server answers to a query: it says `rcode`, and `records`, each with its seconds.
enum Record<'a> {
    Ipv4(&'a str, u32, [u8; 4]),
    Ipv6(&'a str, u32, std::net::Ipv6Addr),
    Alias(&'a str, u32, &'a str),
    Text(&'a str, u32, &'a [u8]),
}

fn answer(query: &[u8], rcode: Rcode, records: &[Record<'_>]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(&query, rcode).unwrap();
    for record in records {
        let ttl = |seconds: &u32| Ttl::from_secs(*seconds);
        match record {
            Record::Ipv4(owner, seconds, [a, b, c, d]) => {
                answer.push((name(owner), ttl(seconds), A::from_octets(*a, *b, *c, *d)))
            }
            Record::Ipv6(owner, seconds, address) => {
                answer.push((name(owner), ttl(seconds), Aaaa::new(*address)))
            }
            Record::Alias(owner, seconds, to) => {
                answer.push((name(owner), ttl(seconds), Cname::new(name(to))))
            }
            Record::Text(owner, seconds, text) => answer.push((name(owner), ttl(seconds), txt(text))),
        }
        .unwrap();
    }
    answer.finish()
}

fn truncated(mut answer: Vec<u8>) -> Vec<u8> {
    answer[2] |= 2;
    answer
}

/// A lookup of names at two servers, each of which is asked twice.
fn lookup(kind: Kind, names: &[&str]) -> Lookup {
    Lookup::new(kind, names.iter().map(|name| (*name).to_owned()).collect(), 2, 2).unwrap()
}

fn ask(server: usize, by: By) -> Step {
    Step::Ask { server, by }
}

fn question(lookup: &Lookup) -> String {
    Message::from_octets(lookup.query()).unwrap().first_question().unwrap().to_string()
}

fn texts(step: Option<Step>) -> Vec<Vec<u8>> {
    match step {
        Some(Step::Done(Ok(answer))) => answer.texts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answer_is_read_with_its_shortest_time() {
    let mut lookup = lookup(Kind::Text, &["x.test"]);
    assert_eq!(lookup.begin(), ask(0, By::Datagram));
    let records = [Record::Text("X.test", 30, b"one"), Record::Text("x.test", 20, b"two")];
    let answer = answer(lookup.query(), Rcode::NOERROR, &records);
    let found = Answer {
        texts: vec![b"one".to_vec(), b"two".to_vec()],
        ttl: Some(Duration::from_secs(20)),
        ..Answer::default()
    };
    assert_eq!(lookup.heard(&answer), Some(Step::Done(Ok(found))));
}

#[test]
fn addresses_of_both_families_are_read() {
    for (kind, record, found) in [
        (Kind::Ipv4, Record::Ipv4("x.test", 9, [192, 0, 2, 1]), "192.0.2.1"),
        (Kind::Ipv6, Record::Ipv6("x.test", 9, "2001:db8::1".parse().unwrap()), "2001:db8::1"),
    ] {
        let mut lookup = lookup(kind, &["x.test"]);
        let answer = answer(lookup.query(), Rcode::NOERROR, &[record]);
        let Some(Step::Done(Ok(answer))) = lookup.heard(&answer) else { panic!("no answer") };
        assert_eq!(answer.addresses, [found.parse::<IpAddr>().unwrap()]);
    }
}

#[test]
fn strings_of_a_record_are_joined_however_long() {
    let mut lookup = lookup(Kind::Text, &["x.test"]);
    let long = vec![b'x'; 40_000];
    let answer = answer(lookup.query(), Rcode::NOERROR, &[Record::Text("x.test", 1, &long)]);
    assert_eq!(texts(lookup.heard(&answer)), [long]);
}

#[test]
fn aliases_are_followed_and_strangers_are_not_heard() {
    let mut lookup = lookup(Kind::Text, &["x.test"]);
    let records = [
        Record::Text("stranger.test", 1, b"no"),
        Record::Alias("y.test", 40, "z.test"),
        Record::Alias("x.test", 50, "y.test"),
        Record::Text("z.test", 60, b"yes"),
    ];
    let reply = answer(lookup.query(), Rcode::NOERROR, &records);
    assert_eq!(texts(lookup.heard(&reply)), [b"yes"]);
    // A circle is no answer: the next server is asked.
    let circle = [Record::Alias("x.test", 1, "y.test"), Record::Alias("y.test", 1, "x.test")];
    let reply = answer(lookup.query(), Rcode::NOERROR, &circle);
    assert_eq!(lookup.heard(&reply), Some(ask(1, By::Datagram)));
}

#[test]
fn what_does_not_answer_the_question_is_not_heard() {
    let mut asked = lookup(Kind::Text, &["x.test"]);
    let records = [Record::Text("x.test", 1, b"yes")];
    let right = answer(asked.query(), Rcode::NOERROR, &records);
    let mut other_id = right.clone();
    other_id[0] ^= 1;
    let mut no_answer = right.clone();
    no_answer[2] &= 0x7f;
    let mut other = lookup(Kind::Text, &["y.test"]).query().to_vec();
    other[..2].copy_from_slice(&right[..2]);
    let other_name = answer(&other, Rcode::NOERROR, &[Record::Text("y.test", 1, b"no")]);
    for wrong in [&other_id, &no_answer, &other_name, &b"garbage".to_vec(), &Vec::new()] {
        assert_eq!(asked.heard(wrong), None);
    }
    assert_eq!(texts(asked.heard(&right)), [b"yes"]);
}

#[test]
fn cut_off_answer_is_asked_for_by_stream() {
    let mut lookup = lookup(Kind::Text, &["x.test"]);
    let short = truncated(answer(lookup.query(), Rcode::NOERROR, &[]));
    assert_eq!(lookup.heard(&short), Some(ask(0, By::Stream)));
    let whole = answer(lookup.query(), Rcode::NOERROR, &[Record::Text("x.test", 1, b"yes")]);
    assert_eq!(texts(lookup.heard(&whole)), [b"yes"]);
}

#[test]
fn failing_servers_are_asked_in_turn_and_the_last_one_says_why() {
    let mut lookup = lookup(Kind::Text, &["x.test"]);
    let fails = answer(lookup.query(), Rcode::SERVFAIL, &[]);
    assert_eq!(lookup.heard(&fails), Some(ask(1, By::Datagram)));
    assert_eq!(lookup.failed("silence"), ask(0, By::Datagram));
    // A stream that fails is not asked for again at the next server.
    let short = truncated(answer(lookup.query(), Rcode::NOERROR, &[]));
    assert_eq!(lookup.heard(&short), Some(ask(0, By::Stream)));
    assert_eq!(lookup.failed("closed"), ask(1, By::Datagram));
    let refused = answer(lookup.query(), Rcode::REFUSED, &[]);
    assert_eq!(lookup.heard(&refused), Some(Step::Done(Err("the answer is REFUSED".to_owned()))));
}

#[test]
fn names_are_asked_for_until_one_exists() {
    let mut lookup = lookup(Kind::Text, &["x.a.test", "x.b.test", "x"]);
    assert!(question(&lookup).starts_with("x.a.test"));
    // Nobody knows it.
    let unknown = answer(lookup.query(), Rcode::NXDOMAIN, &[]);
    assert_eq!(lookup.heard(&unknown), Some(ask(0, By::Datagram)));
    assert!(question(&lookup).starts_with("x.b.test"));
    // It exists, and has nothing of the kind.
    let nothing = answer(lookup.query(), Rcode::NOERROR, &[]);
    assert_eq!(lookup.heard(&nothing), Some(ask(0, By::Datagram)));
    let unknown = answer(lookup.query(), Rcode::NXDOMAIN, &[]);
    assert_eq!(lookup.heard(&unknown), Some(Step::Done(Ok(Answer::default()))));
}

#[test]
fn cut_messages_never_panic() {
    let mut asked = lookup(Kind::Text, &["x.test"]);
    let records = [Record::Alias("x.test", 1, "y.test"), Record::Text("y.test", 1, b"yes")];
    let whole = answer(asked.query(), Rcode::NOERROR, &records);
    for end in 0..whole.len() {
        let _ = asked.heard(&whole[..end]);
    }
}

#[test]
fn mistakes_are_told() {
    let new = |names: &[&str], servers| {
        Lookup::new(Kind::Text, names.iter().map(|name| (*name).to_owned()).collect(), servers, 1).err()
    };
    assert_eq!(new(&["x"], 0).unwrap(), "there is no DNS server to ask");
    assert!(new(&["x..y"], 1).unwrap().starts_with("\"x..y\" is no name of DNS: "));
    assert!(new(&[&"x".repeat(64)], 1).is_some());
}

/// A server for one lookup by datagrams and one by streams, which answers a text to the latter alone.
#[tokio::test]
async fn answers_come_by_datagram_and_by_stream() {
    let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stream.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).await.unwrap();
    let server = tokio::spawn(async move {
        let mut query = [0; 512];
        let (length, from) = datagrams.recv_from(&mut query).await.unwrap();
        datagrams.send_to(b"garbage", from).await.unwrap();
        let short = truncated(answer(&query[..length], Rcode::NOERROR, &[]));
        datagrams.send_to(&short, from).await.unwrap();
        let (mut stream, _) = stream.accept().await.unwrap();
        let mut query = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut query).await.unwrap();
        let whole = answer(&query, Rcode::NOERROR, &[Record::Text("x.test", 7, &[b'x'; 9000])]);
        stream.write_u16(whole.len() as u16).await.unwrap();
        stream.write_all(&whole).await.unwrap();
    });
    let lookup = Lookup::new(Kind::Text, vec!["x.test".to_owned()], 1, 1).unwrap();
    let found = wire::run(lookup, &[address], Duration::from_secs(10)).await.unwrap();
    assert_eq!(found.texts, [[b'x'; 9000]]);
    server.await.unwrap();
}

#[tokio::test]
async fn silent_and_absent_servers_are_passed_over() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let absent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = [silent.local_addr().unwrap(), absent.local_addr().unwrap()];
    drop(absent);
    let lookup = Lookup::new(Kind::Text, vec!["x.test".to_owned()], 2, 1).unwrap();
    let error = wire::run(lookup, &servers, Duration::from_millis(20)).await.unwrap_err();
    assert!(error.starts_with(&format!("the DNS server {}: ", servers[1])), "{error}");
    let lookup = Lookup::new(Kind::Text, vec!["x.test".to_owned()], 1, 2).unwrap();
    let error = wire::run(lookup, &servers, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error, format!("the DNS server {} did not answer within 20ms", servers[0]));
}
