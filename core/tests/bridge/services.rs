//! The services that come with the engine, as hosts have them: options, and the health that they set.

use spanwire::bridge::{
    CallOptions, ChannelOptions, EngineOptions, EventKind, OpError, Outcome, ServerOptions,
};
use spanwire::{Code, bridge};

use crate::host::Host;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const CHANNELZ: &str = "/grpc.channelz.v1.Channelz/GetServers";

/// The outcome of a call with a request of bytes.
fn call(host: &Host, method: &str, request: &'static [u8]) -> Outcome {
    const TAG: usize = 7;
    host.channel.unary(method, request.into(), CallOptions::default(), host.report(TAG), None, None).unwrap();
    match host.next(TAG).kind {
        EventKind::Done(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts_set_the_health_that_is_told() {
    let options = ServerOptions { health: true, ..ServerOptions::default() };
    let host = Host::with(&options, &ChannelOptions::default(), 0);
    // The status is field 1: 1 is SERVING, 2 is NOT_SERVING. A service is asked for by the string in field 1.
    let check = |request| call(&host, CHECK, request).message.map(|message| message.bytes.to_vec());
    assert_eq!(check(b""), Some(vec![8, 1]));
    assert_eq!(call(&host, CHECK, b"\x0a\x01a").status.code(), Code::NotFound);
    host.server.set_health("a", true).unwrap();
    assert_eq!(check(b"\x0a\x01a"), Some(vec![8, 1]));
    host.server.set_health("a", false).unwrap();
    host.server.set_health("", false).unwrap();
    assert_eq!((check(b"\x0a\x01a"), check(b"")), (Some(vec![8, 2]), Some(vec![8, 2])));
}

#[test]
fn services_are_there_only_if_they_are_asked_for() {
    let host = Host::new();
    for method in [CHECK, REFLECTION, CHANNELZ] {
        assert_eq!(call(&host, method, b"").status.code(), Code::Unimplemented, "{method}");
    }
    let refused = host.server.set_health("", true).unwrap_err();
    assert_eq!(refused, OpError::Argument("health: the server was made without this option".to_owned()));
    let options = ServerOptions { channelz: true, reflection: Some(Vec::new()), ..ServerOptions::default() };
    let host = Host::with(&options, &ChannelOptions::default(), 0);
    assert_eq!(call(&host, CHANNELZ, b"").status.code(), Code::Ok);
    // One question, which asks nothing, and one answer, which says so.
    assert_eq!(call(&host, REFLECTION, b"").status.code(), Code::Ok);
}

#[test]
fn descriptors_that_are_none_are_told_when_it_listens() {
    let engine = bridge::Engine::new(&EngineOptions::default()).unwrap();
    let options = ServerOptions { reflection: Some(vec![255]), ..ServerOptions::default() };
    let server = bridge::Server::new(&engine, &options).unwrap();
    let Err(OpError::Argument(text)) = server.listen("127.0.0.1:0") else { panic!() };
    assert!(text.starts_with("reflection: "), "{text}");
    let options = ServerOptions { drain_delay_ms: -1, ..ServerOptions::default() };
    let Err(OpError::Argument(text)) = bridge::Server::new(&engine, &options) else { panic!() };
    assert_eq!(text, "drain_delay_ms: -1 cannot be used: it cannot be turned off");
}
