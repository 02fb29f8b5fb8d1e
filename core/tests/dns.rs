//! Names and service configs from a DNS server of the test's own, on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Rtype, Ttl};
use domain::rdata::{A, Txt};
use spanwire::{Channel, ChannelBuilder, ChannelError, Code, DnsResolver, Server, ServerHandle};
use support::eventually;
use support::who::{Who, who};
use tokio::net::UdpSocket;

/// What a name has: addresses, and a text; and how long that holds.
#[derive(Clone, Default)]
struct Zone {
    addresses: Vec<Ipv4Addr>,
    text: Option<String>,
    seconds: u32,
    fails: bool,
}

#[derive(Clone, Default)]
struct Dns {
    zones: Arc<Mutex<HashMap<String, Zone>>>,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    /// Starts it; where it listens.
    async fn start(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let dns = self.clone();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                socket.send_to(&dns.answer(&query[..length]), from).await.unwrap();
            }
        });
        address
    }

    fn set(&self, name: &str, zone: Zone) {
        self.zones.lock().unwrap().insert(name.to_owned(), zone);
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let query = Message::from_octets(query).unwrap();
        let question = query.first_question().unwrap();
        let zones = self.zones.lock().unwrap();
        let zone = zones.get(&question.qname().to_string());
        let rcode = match zone {
            None => Rcode::NXDOMAIN,
            Some(zone) if zone.fails => Rcode::SERVFAIL,
            Some(_) => Rcode::NOERROR,
        };
        let zone = zone.cloned().unwrap_or_default();
        let (owner, ttl) = (question.qname(), Ttl::from_secs(zone.seconds));
        let mut answer = MessageBuilder::new_vec().start_answer(&query, rcode).unwrap();
        match question.qtype() {
            Rtype::A => {
                zone.addresses
                    .iter()
                    .for_each(|address| answer.push((owner, ttl, A::new(*address))).unwrap());
            }
            Rtype::TXT => zone.text.iter().for_each(|text| {
                let text: Txt<Vec<u8>> = Txt::build_from_slice(text.as_bytes()).unwrap();
                answer.push((owner, ttl, text)).unwrap();
            }),
            _ => {}
        }
        answer.finish()
    }
}

async fn serve(name: &'static str) -> (ServerHandle, u16) {
    let server = Server::builder().service(Who(name)).bind("127.0.0.1:0").await.unwrap();
    let port = server.target().rsplit(':').next().unwrap().parse().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    (handle, port)
}

fn here(seconds: u32) -> Zone {
    Zone { addresses: vec![Ipv4Addr::LOCALHOST], seconds, ..Zone::default() }
}

fn text(text: &str) -> Zone {
    Zone { text: Some(format!("grpc_config={text}")), seconds: 1, ..Zone::default() }
}

fn direct(dns: SocketAddr, port: u16) -> ChannelBuilder {
    Channel::builder(&format!("dns://{dns}/who.test:{port}")).dns_resolver(DnsResolver::Direct)
}

const CONFIG_NAME: &str = "_grpc_config.who.test";

/// Calls may take no time at all, which shows that it is in force.
const NO_TIME: &str = r#"[{"serviceConfig": {"methodConfig": [{"name": [{}], "timeout": "0s"}]}}]"#;

#[tokio::test]
async fn names_are_asked_of_the_server_that_the_target_names() {
    let dns = Dns::default();
    let (_server, port) = serve("dns-a").await;
    dns.set("who.test", here(3600));
    let at = dns.start().await;
    let channel = direct(at, port).build().unwrap();
    assert_eq!(who(&channel).await.unwrap(), "dns-a");
    assert_eq!(dns.asked.load(Ordering::SeqCst), 2, "A and AAAA, and no text");
    let missing = Channel::builder(&format!("dns://{at}/nobody.test:{port}"));
    let missing = missing.dns_resolver(DnsResolver::Direct).build().unwrap();
    let status = who(&missing).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the name has no address"), "{status}");
}

#[tokio::test]
async fn name_is_asked_for_again_when_its_time_is_over() {
    let dns = Dns::default();
    let (_server, port) = serve("dns-ttl").await;
    dns.set("who.test", here(1));
    let channel = direct(dns.start().await, port).build().unwrap();
    who(&channel).await.unwrap();
    eventually("it is asked for again", || dns.asked.load(Ordering::SeqCst) >= 4).await;
}

#[tokio::test]
async fn service_config_is_taken_from_a_text_record_if_that_is_wanted() {
    let dns = Dns::default();
    let (_server, port) = serve("dns-cfg").await;
    dns.set("who.test", here(1));
    dns.set(CONFIG_NAME, text(NO_TIME));
    let at = dns.start().await;
    let without = direct(at, port).build().unwrap();
    who(&without).await.unwrap();
    let channel = direct(at, port).service_config_from_dns(true).build().unwrap();
    let _ = who(&channel).await;
    assert_eq!(who(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
    // Who cannot be asked changes nothing, and who has nothing does.
    dns.set(CONFIG_NAME, Zone { fails: true, ..Zone::default() });
    let before = dns.asked.load(Ordering::SeqCst);
    eventually("it is asked for again", || dns.asked.load(Ordering::SeqCst) > before + 6).await;
    assert_eq!(who(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
    dns.set(CONFIG_NAME, Zone::default());
    while who(&channel).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bad_choices_of_the_beginning_fail_calls_with_their_place() {
    let dns = Dns::default();
    let (_server, port) = serve("dns-bad").await;
    dns.set("who.test", here(1));
    dns.set(CONFIG_NAME, text(r#"[{"percentage": 101, "serviceConfig": {}}]"#));
    let channel = direct(dns.start().await, port).service_config_from_dns(true).build().unwrap();
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("grpc_config[0].percentage: must be a whole number from 0 to 100"),
        "{status}"
    );
    dns.set(CONFIG_NAME, text("[]"));
    while who(&channel).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn service_config_needs_no_addresses_from_dns() {
    let dns = Dns::default();
    let (_server, port) = serve("dns-local").await;
    dns.set("_grpc_config.localhost", text(NO_TIME));
    let at = dns.start().await;
    let channel = Channel::builder(&format!("dns://{at}/localhost:{port}")).service_config_from_dns(true);
    let channel = channel.build().unwrap();
    let _ = who(&channel).await;
    assert_eq!(who(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[test]
fn name_server_of_a_target_must_be_an_address() {
    let made = Channel::builder("dns://ns.test/who.test:1").dns_resolver(DnsResolver::Direct).build();
    let Err(error @ ChannelError::Setting { .. }) = made else { panic!("{made:?}") };
    assert_eq!(
        error.to_string(),
        "dns_resolver: ns.test cannot be used: the name server of the target must be an IP address"
    );
    assert_eq!("direct".parse(), Ok(DnsResolver::Direct));
    assert_eq!(
        "hickory".parse::<DnsResolver>().unwrap_err().to_string(),
        "\"hickory\" is no resolver; there are system and direct"
    );
}
