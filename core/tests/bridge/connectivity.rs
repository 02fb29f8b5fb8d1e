//! Waiting for another state of a channel: one operation and one event, and no thread.

use spanwire::bridge::{Channel, Outcome};
use spanwire::{Code, Connectivity};

use super::host::Host;

/// Begins to wait for another state than `known`, by this tag.
fn watch(host: &Host, channel: &Channel, known: Connectivity, timeout_ms: i64, tag: usize) {
    channel.connectivity_changed(known, timeout_ms, host.report(tag), None).unwrap();
}

fn state(outcome: &Outcome) -> Connectivity {
    assert!(outcome.status.is_ok(), "{}", outcome.status);
    let message = &outcome.message.as_ref().unwrap().bytes;
    assert_eq!(message.len(), 1);
    Connectivity::from_u8(message[0]).unwrap()
}

#[test]
fn change_is_told_to_everybody_who_waits_for_it() {
    let host = Host::new();
    watch(&host, &host.channel, Connectivity::Idle, 0, 1);
    watch(&host, &host.channel, Connectivity::Idle, 0, 2);
    // It is in another state already.
    watch(&host, &host.channel, Connectivity::Ready, 0, 3);
    assert_eq!(state(&host.done(3)), Connectivity::Idle);
    host.channel.connect().unwrap();
    for tag in [1, 2] {
        let mut known = state(&host.done(tag));
        while known != Connectivity::Ready {
            watch(&host, &host.channel, known, 0, tag);
            known = state(&host.done(tag));
        }
    }
}

#[test]
fn wait_ends_when_its_time_is_over() {
    let host = Host::new();
    for timeout_ms in [1, -1] {
        watch(&host, &host.channel, Connectivity::Idle, timeout_ms, 1);
        let status = host.done(1).status;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.message(), "the call's deadline passed while the channel stayed in its state");
    }
}

#[test]
fn wait_can_be_cancelled() {
    let host = Host::new();
    let call = host.channel.unary_call();
    host.channel.connectivity_changed(Connectivity::Idle, 0, host.report(1), Some(&call)).unwrap();
    call.cancel().unwrap();
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    let call = host.channel.unary_call();
    host.channel.connectivity_changed(Connectivity::Idle, 0, host.report(2), Some(&call)).unwrap();
    drop(call);
    assert_eq!(host.done(2).status.code(), Code::Cancelled);
}

#[test]
fn wait_ends_with_its_channel_or_its_engine() {
    let host = Host::new();
    let channel = Channel::new(&host.engine, host.server.target(), &Default::default()).unwrap();
    watch(&host, &channel, Connectivity::Idle, 0, 1);
    let clone = channel.clone();
    drop(channel);
    assert!(host.is_quiet(1), "there is a clone");
    drop(clone);
    let status = host.done(1).status;
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "the channel was closed"));
    watch(&host, &host.channel, host.channel.connectivity().unwrap(), 0, 2);
    host.engine.shutdown();
    assert_eq!(host.done(2).status.code(), Code::Cancelled);
}
