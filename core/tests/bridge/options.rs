//! Point 10: options are plain data; what they mean is known here alone.

use spanwire::bridge::{
    Channel, ChannelOptions, Engine, EngineOptions, Limits, OpError, Server, ServerOptions, TlsOptions,
};

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn channel_error(options: &ChannelOptions) -> String {
    match Channel::new(&engine(), "127.0.0.1:1", options) {
        Err(OpError::Argument(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zeros_are_the_defaults() {
    let engine = engine();
    assert!(Channel::new(&engine, "127.0.0.1:1", &ChannelOptions::default()).is_ok());
    assert!(Server::new(&engine, &ServerOptions::default()).is_ok());
}

#[test]
fn numbers_that_make_no_sense_name_their_option() {
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        channel_error(&ChannelOptions { limits, ..ChannelOptions::default() })
    };
    assert_eq!(
        limits(|limits| limits.max_recv_message_bytes = -5),
        "max_recv_message_bytes: -5 cannot be used: it cannot be turned off"
    );
    assert_eq!(
        limits(|limits| limits.max_metadata_bytes = 1 << 40),
        "max_metadata_bytes: 1099511627776 cannot be used: it is too large"
    );
    assert!(limits(|limits| limits.stream_window_bytes = 2 << 20).contains("max_stream_window_bytes"));
    let options = ChannelOptions { connect_timeout_ms: -1, ..ChannelOptions::default() };
    assert!(channel_error(&options).starts_with("connect_timeout_ms: -1"));
}

#[test]
fn certificates_that_do_not_belong_together_are_refused() {
    let tls = TlsOptions { certificate_pem: Some(b"x".to_vec()), ..TlsOptions::default() };
    let options = ChannelOptions { tls: Some(tls), ..ChannelOptions::default() };
    assert!(channel_error(&options).contains("certificate and key belong together"));
    let options = ServerOptions { tls: Some(TlsOptions::default()), ..ServerOptions::default() };
    let error = Server::new(&engine(), &options).unwrap_err();
    assert_eq!(error, OpError::Argument("tls: a server needs a certificate and its key".to_owned()));
}

#[test]
fn malformed_targets_say_why() {
    let error = Channel::new(&engine(), "ftp://x", &ChannelOptions::default()).unwrap_err();
    assert!(matches!(error, OpError::Argument(_)), "{error:?}");
}
