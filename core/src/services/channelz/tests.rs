use std::time::Duration;

use super::super::grpc::channelz::v1::ChannelzClient;
use super::*;
use crate::server::{Handler, Service};
use crate::{Channel as Calls, Code, Kind, Method, Raw, Server as Servers};

/// A service whose calls end as the request says: `ok`, `fails`, or never.
struct Ends;

impl Service for Ends {
    fn name(&self) -> &'static str {
        "test.Ends"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let end = |(), request: Raw, context| async move {
            match &*request.0 {
                b"ok" => (Ok(request), context),
                b"fails" => (Err(Status::internal("as asked")), context),
                _ => std::future::pending().await,
            }
        };
        vec![("End", Handler::unary(Arc::new(()), move |_, request, context| end((), request, context)))]
    }
}

const END: Method = Method::new("/test.Ends/End", Kind::Unary);

/// Waits until what happens on other tasks has been counted.
async fn counted<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "it never is so");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn channels_servers_and_sockets_are_told_with_their_numbers() {
    let server = Servers::builder().service(Ends).channelz().bind("127.0.0.1:0").await.unwrap();
    let (port, target) = (server.port().unwrap(), server.target());
    tokio::spawn(server.run());
    let client = ChannelzClient::new(Calls::new(&target).unwrap());
    let calls = Calls::new(&format!("ipv4:{target}")).unwrap();
    for request in ["ok", "ok", "fails"] {
        let _ = calls.unary::<Raw, Raw>(&END, Raw::from(request)).await;
    }
    let stuck = tokio::spawn({
        let calls = calls.clone();
        async move { calls.unary::<Raw, Raw>(&END, Raw::from("never")).timeout(Duration::from_secs(60)).await }
    });

    // From the top of the channels down to their sockets.
    let top = counted(async || {
        let told = client.get_top_channels(GetTopChannelsRequest::default()).await.unwrap();
        let mut named = told.channel.into_iter();
        let found = named.find(|one| one.r#ref.as_ref().unwrap().name == format!("ipv4:{target}"))?;
        (found.data.as_ref().unwrap().calls_started == 4).then_some(found)
    })
    .await;
    let data = top.data.unwrap();
    assert_eq!((data.calls_succeeded, data.calls_failed), (2, 1));
    assert_eq!((data.state.unwrap().state(), data.target), (State::Ready, format!("ipv4:{target}")));
    let channel_id = top.r#ref.unwrap().channel_id;
    let again = client.get_channel(GetChannelRequest { channel_id }).await.unwrap().channel.unwrap();
    assert_eq!(again.subchannel_ref, top.subchannel_ref);
    let [subchannel_ref] = &top.subchannel_ref[..] else { panic!("{top:?}", top = top.subchannel_ref) };
    let subchannel_id = subchannel_ref.subchannel_id;
    let told = client.get_subchannel(GetSubchannelRequest { subchannel_id }).await.unwrap();
    let subchannel = told.subchannel.unwrap();
    let data = subchannel.data.unwrap();
    assert_eq!((data.calls_started, data.calls_succeeded, data.calls_failed), (4, 2, 1));
    assert_eq!(data.state.unwrap().state(), State::Ready);
    let [socket_ref] = &subchannel.socket_ref[..] else { panic!("{:?}", subchannel.socket_ref) };
    let summary = false;
    let told =
        client.get_socket(GetSocketRequest { socket_id: socket_ref.socket_id, summary }).await.unwrap();
    let socket = told.socket.unwrap();
    let data = socket.data.unwrap();
    assert_eq!((data.streams_started, data.streams_succeeded, data.streams_failed), (4, 3, 0));
    let addresses::Address::TcpipAddress(remote) = socket.remote.unwrap().address.unwrap() else { panic!() };
    assert_eq!((remote.ip_address, remote.port), (vec![127, 0, 0, 1], i32::from(port)));

    // And the same seen from the server, which has the channel of the questions beside it.
    let told = client.get_servers(GetServersRequest::default()).await.unwrap();
    let name = format!("ipv4:{target}");
    let server = told.server.into_iter().find(|one| one.r#ref.as_ref().unwrap().name == name).unwrap();
    let server_id = server.r#ref.unwrap().server_id;
    let data = server.data.unwrap();
    assert_eq!(data.calls_failed, 1);
    assert!(data.calls_started > data.calls_succeeded + 1, "{data:?}");
    let socket_id = server.listen_socket[0].socket_id;
    let listens = client.get_socket(GetSocketRequest { socket_id, summary }).await.unwrap().socket.unwrap();
    assert_eq!((listens.r#ref.unwrap().name, listens.remote), (name, None));
    let asked = GetServerSocketsRequest { server_id, start_socket_id: 0, max_results: 1 };
    let first = client.get_server_sockets(asked).await.unwrap();
    assert_eq!((first.socket_ref.len(), first.end), (1, false));
    let start_socket_id = first.socket_ref[0].socket_id + 1;
    let rest = client.get_server_sockets(GetServerSocketsRequest { start_socket_id, ..asked }).await.unwrap();
    assert_eq!((rest.socket_ref.len(), rest.end), (1, true));
    for socket_id in [first.socket_ref[0].socket_id, rest.socket_ref[0].socket_id] {
        let told = client.get_socket(GetSocketRequest { socket_id, summary }).await.unwrap().socket.unwrap();
        assert!(told.data.unwrap().streams_started >= 4);
        assert!(told.remote.is_some() && told.local.is_some());
    }

    // What is gone is not told any more, but was counted.
    stuck.abort();
    let _ = stuck.await;
    counted(async || {
        let told = client.get_subchannel(GetSubchannelRequest { subchannel_id }).await.unwrap();
        let data = told.subchannel.unwrap().data.unwrap();
        (data.calls_failed == 2 && data.calls_succeeded == 2).then_some(())
    })
    .await;
    drop(calls);
    counted(async || {
        let asked = client.get_channel(GetChannelRequest { channel_id }).await;
        asked.err().map(|status| assert_eq!(status.code(), Code::NotFound))
    })
    .await;
}

#[tokio::test]
async fn numbers_of_nothing_are_not_found() {
    let server = Servers::builder().channelz().bind("inprocess:channelz-unknown").await.unwrap();
    tokio::spawn(server.run());
    let client = ChannelzClient::new(Calls::new("inprocess:channelz-unknown").unwrap());
    for id in [-1, 0, i64::MAX] {
        let text = |what| format!("there is no {what} {id}");
        let refused = [
            (client.get_channel(GetChannelRequest { channel_id: id }).await.unwrap_err(), text("channel")),
            (client.get_server(GetServerRequest { server_id: id }).await.unwrap_err(), text("server")),
            (
                client.get_subchannel(GetSubchannelRequest { subchannel_id: id }).await.unwrap_err(),
                text("subchannel"),
            ),
            (
                client.get_socket(GetSocketRequest { socket_id: id, summary: true }).await.unwrap_err(),
                text("socket"),
            ),
        ];
        for (status, text) in refused {
            assert_eq!((status.code(), status.message()), (Code::NotFound, text.as_str()));
        }
    }
}

#[test]
fn pages_begin_at_a_number_and_end_at_the_most_that_is_wanted() {
    let all = || (1..=250_u64).map(|id| (id * 2, ()));
    let ids = |start, max| {
        let (found, end) = page(all(), start, max);
        (found.first().map(|one| one.0), found.len(), end)
    };
    assert_eq!(ids(0, 0), (Some(2), MOST, false));
    assert_eq!(ids(0, 1000), (Some(2), MOST, false));
    assert_eq!(ids(-5, 3), (Some(2), 3, false));
    assert_eq!(ids(5, 3), (Some(6), 3, false));
    assert_eq!(ids(302, 0), (Some(302), 100, true));
    assert_eq!(ids(300, 0), (Some(300), 100, false));
    assert_eq!(ids(501, 1), (None, 0, true));
}
