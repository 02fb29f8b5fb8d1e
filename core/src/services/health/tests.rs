use std::time::Duration;

use tokio::time::Instant;

use super::super::grpc::health::v1::HealthClient;
use super::*;
use crate::middleware::{Call, Next};
use crate::server::{Handler, Service};
use crate::{Channel, Code, Kind, Method, Raw, Server, ServerHandle, Streaming};

const SECOND: Duration = Duration::from_secs(1);
const STUCK: Method = Method::new("/test.Stuck/Stuck", Kind::Unary);

/// A service whose calls never end by themselves.
struct Stuck;

impl Service for Stuck {
    fn name(&self) -> &'static str {
        "test.Stuck"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let run = |_, _: Raw, _| std::future::pending::<(Result<Raw, Status>, Context)>();
        let handler = Handler::unary(Arc::new(()), run);
        vec![("Stuck", handler)]
    }
}

async fn serve(name: &str, builder: ServerBuilder) -> (ServerHandle, Channel) {
    let address = format!("inprocess:{name}");
    let server = builder.bind(&address).await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    (handle, Channel::new(&address).unwrap())
}

fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn next(statuses: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    statuses.next().await.unwrap().map(|response| response.status())
}

#[tokio::test]
async fn check_tells_what_was_set_and_does_not_know_the_rest() {
    let health = Health::new();
    let (_server, channel) = serve("health-check", Server::builder().health(&health)).await;
    let client = HealthClient::new(channel);
    let status = async |service| client.check(asked(service)).await.map(|response| response.status());
    assert_eq!(status("").await.unwrap(), ServingStatus::Serving);
    let unknown = status("shop.v1.Orders").await.unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.message()),
        (Code::NotFound, "no health was set for \"shop.v1.Orders\"")
    );
    for (serving, told) in [(true, ServingStatus::Serving), (false, ServingStatus::NotServing)] {
        health.set("shop.v1.Orders", serving);
        assert_eq!(status("shop.v1.Orders").await.unwrap(), told);
    }
    health.set("", false);
    assert_eq!(status("").await.unwrap(), ServingStatus::NotServing);
}

#[tokio::test]
async fn list_has_them_all_up_to_a_hundred() {
    let health = Health::new();
    let (_server, channel) = serve("health-list", Server::builder().health(&health)).await;
    let client = HealthClient::new(channel);
    (1..MAX_LISTED).for_each(|number| health.set(&format!("test.Service{number}"), number % 2 == 0));
    let listed = client.list(HealthListRequest {}).await.unwrap().statuses;
    assert_eq!(listed.len(), MAX_LISTED);
    let statuses = ["", "test.Service1", "test.Service2"].map(|name| listed[name].status());
    assert_eq!(statuses, [ServingStatus::Serving, ServingStatus::NotServing, ServingStatus::Serving]);
    health.set("one.More", true);
    let refused = client.list(HealthListRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn watch_tells_the_state_at_once_and_then_each_change() {
    let health = Health::new();
    let (_server, channel) = serve("health-watch", Server::builder().health(&health)).await;
    let client = HealthClient::new(channel);
    let mut whole = client.watch(asked("")).await.unwrap();
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    let mut orders = client.watch(asked("shop.v1.Orders")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(ServingStatus::ServiceUnknown));
    health.set("shop.v1.Stock", true);
    health.set("shop.v1.Orders", false);
    assert_eq!(next(&mut orders).await, Some(ServingStatus::NotServing));
    // The same again is no change, and neither is what is set for another one.
    health.set("shop.v1.Orders", false);
    health.set("shop.v1.Stock", false);
    health.set("shop.v1.Orders", true);
    assert_eq!(next(&mut orders).await, Some(ServingStatus::Serving));
    health.set("", false);
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
}

#[tokio::test]
async fn watcher_that_is_behind_gets_the_newest_alone() {
    let health = Health::new();
    let (_server, channel) = serve("health-slow", Server::builder().health(&health)).await;
    let mut statuses = HealthClient::new(channel).watch(asked("")).await.unwrap();
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::Serving));
    // The handler does not get to run in between.
    (0..10_001).for_each(|number| health.set("", number % 2 == 1));
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::NotServing));
    health.set("", true);
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::Serving));
}

#[tokio::test]
async fn calls_go_through_the_interceptors_of_the_server() {
    let deny = |_: Call, _: Next| async { Err(Status::permission_denied("nobody")) };
    let builder = Server::builder().interceptor(deny).health(&Health::new());
    let (_server, channel) = serve("health-intercepted", builder).await;
    let refused = HealthClient::new(channel).check(asked("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn server_that_was_not_asked_for_it_has_none() {
    let (_server, channel) = serve("health-none", Server::builder().service(Stuck)).await;
    let refused = HealthClient::new(channel).check(asked("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn drain_says_so_goes_on_for_the_delay_and_then_ends_the_watchers() {
    let health = Health::new();
    let builder = Server::builder().health(&health).drain_delay(5 * SECOND);
    let (server, channel) = serve("drain-delay", builder).await;
    let client = HealthClient::new(channel);
    let mut statuses = client.watch(asked("")).await.unwrap();
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::Serving));
    let began = Instant::now();
    let shutdown = tokio::spawn(async move { server.shutdown(60 * SECOND).await });
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::NotServing));
    assert_eq!(began.elapsed(), Duration::ZERO);
    // For good, and calls are still taken.
    health.set("", false);
    health.set("", true);
    assert_eq!(client.check(asked("")).await.unwrap().status(), ServingStatus::NotServing);
    let ended = statuses.next().await.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "the server shuts down"));
    assert_eq!(began.elapsed().as_secs(), 5);
    shutdown.await.unwrap();
    // What it takes to find that nothing is left.
    assert!(began.elapsed() < 6 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn watcher_learns_of_a_drain_without_delay_before_its_stream_ends() {
    let (server, channel) = serve("drain-now", Server::builder().health(&Health::new())).await;
    let client = HealthClient::new(channel);
    let mut statuses = client.watch(asked("")).await.unwrap();
    let mut unknown = client.watch(asked("nobody")).await.unwrap();
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::Serving));
    assert_eq!(next(&mut unknown).await, Some(ServingStatus::ServiceUnknown));
    let shutdown = tokio::spawn(async move { server.shutdown(60 * SECOND).await });
    assert_eq!(next(&mut statuses).await, Some(ServingStatus::NotServing));
    assert_eq!(statuses.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(unknown.next().await.unwrap_err().code(), Code::Unavailable);
    shutdown.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn server_that_waits_for_a_signal_accepts_for_the_delay() {
    let (terminate, terminated) = tokio::sync::oneshot::channel::<()>();
    let builder = Server::builder().health(&Health::new()).drain_delay(5 * SECOND);
    let serving = tokio::spawn(async move {
        builder.serve_until("inprocess:drain-signal", async { drop(terminated.await) }, 60 * SECOND).await
    });
    let status = async || {
        // A connection of its own.
        let client = HealthClient::new(Channel::new("inprocess:drain-signal").unwrap());
        client.check(asked("")).wait_for_ready(true).await.unwrap().status()
    };
    assert_eq!(status().await, ServingStatus::Serving);
    terminate.send(()).unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(status().await, ServingStatus::NotServing);
    let began = Instant::now();
    serving.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 4);
}

/// How long a shutdown takes while a call is stuck.
async fn time_to_shut_down(name: &str, delay: Duration, graces: &[Duration]) -> Duration {
    let builder = Server::builder().service(Stuck).drain_delay(delay);
    let (server, channel) = serve(name, builder).await;
    let call = tokio::spawn(async move { channel.unary::<Raw, Raw>(&STUCK, Raw::default()).await });
    while server.stats().calls == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let (last, others) = graces.split_last().unwrap();
    for grace in others {
        let (server, grace) = (server.clone(), *grace);
        tokio::spawn(async move { server.shutdown(grace).await });
        tokio::time::sleep(SECOND).await;
    }
    server.shutdown(*last).await;
    let took = began.elapsed();
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    took
}

#[tokio::test(start_paused = true)]
async fn grace_bounds_the_shutdown_with_its_delay() {
    for (number, (delay, graces, bound)) in [
        (0, vec![10 * SECOND], 10),
        (4, vec![10 * SECOND], 10),
        (30, vec![10 * SECOND], 10),
        (30, vec![Duration::ZERO], 0),
        // The second is in more of a hurry than the first, and begins a second later.
        (30, vec![60 * SECOND, 5 * SECOND], 6),
        (30, vec![60 * SECOND, Duration::ZERO], 1),
        (4, vec![60 * SECOND, 60 * SECOND], 60),
    ]
    .into_iter()
    .enumerate()
    {
        let took = time_to_shut_down(&format!("drain-{number}"), delay * SECOND, &graces).await;
        let bound = bound * SECOND;
        assert!(took >= bound && took < bound + SECOND, "{number}: {took:?}");
    }
}
