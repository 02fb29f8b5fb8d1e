//! Load shedding: calls beyond what a server can run at once are turned away at once, and told when to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::ServerBuilder;
use super::guard::{Guard, Head, Stage, come_back_in};
use crate::{Status, random};

/// When those that were turned away may come back, on average: ±50 %, so that they do not come together again.
const PAUSE: Duration = Duration::from_secs(1);

/// The service that says whether a server is well. One that has much to do still is, and must be able to say so.
const HEALTH: &str = "/grpc.health.v1.Health/";

impl ServerBuilder {
    /// Calls that may run at once, over all connections; no limit by default, but that of each connection
    /// (`max_concurrent_streams`). Those beyond are UNAVAILABLE at once instead of waiting for calls that take ever longer,
    /// with a `grpc-retry-pushback-ms` of about a second, which a client's retries keep to (gRFC A6). Calls of
    /// `grpc.health.v1.Health` are not counted.
    pub fn max_running_calls(self, calls: usize) -> Self {
        self.guard(Stage::LoadShedding, move || {
            Ok(Box::new(Shedding { most: calls, running: Arc::default() }))
        })
    }
}

struct Shedding {
    most: usize,
    running: Arc<AtomicUsize>,
}

/// The place of a running call.
#[derive(Clone)]
struct Place(#[expect(dead_code, reason = "it counts as long as it lives")] Arc<Running>);

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard for Shedding {
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        if head.method.starts_with(HEALTH) {
            return Ok(());
        }
        let running = Running(self.running.clone());
        if self.running.fetch_add(1, Ordering::Relaxed) < self.most {
            head.extensions.insert(Place(Arc::new(running)));
            return Ok(());
        }
        head.limits.running_calls.hit();
        let why =
            format!("the server has as many calls as it may run at once (max_running_calls: {})", self.most);
        Err(come_back_in(PAUSE.mul_f64(0.5 + random::unit()), Status::unavailable(why)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use crate::server::{Context, Handler, Service};
    use crate::{Channel, Code, Kind, Method, Raw, Server};

    /// Answers when there is a permit.
    struct Slow(Arc<Semaphore>);

    impl Service for Slow {
        fn name(&self) -> &'static str {
            "test.Slow"
        }

        fn methods(&self) -> Vec<(&'static str, Handler)> {
            let wait = |permits: Arc<Semaphore>, message: Raw, context: Context| async move {
                permits.acquire().await.unwrap().forget();
                (Ok(message), context)
            };
            vec![("Wait", Handler::unary(self.0.clone(), wait))]
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_limit_are_told_when_to_come_back() {
        let permits = Arc::new(Semaphore::new(0));
        let builder = Server::builder().service(Slow(permits.clone())).max_running_calls(2);
        let server = builder.bind("inprocess:shedding").await.unwrap();
        let (channel, handle) = (Channel::new(&server.target()).unwrap(), server.handle());
        tokio::spawn(server.run());
        let method = Method::new("/test.Slow/Wait", Kind::Unary);
        let call = || tokio::spawn(channel.unary::<Raw, Raw>(&method, Raw::default()).into_future());
        let running = [call(), call()];
        let wait_for = async |calls: u64| {
            while handle.stats().calls != calls {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        wait_for(2).await;

        let turned_away = call().await.unwrap().unwrap_err();
        assert_eq!(turned_away.code(), Code::Unavailable);
        assert!(turned_away.message().contains("max_running_calls: 2"), "{turned_away}");
        let pause: u64 = turned_away.metadata().get("grpc-retry-pushback-ms").unwrap().parse().unwrap();
        assert!((500..=1500).contains(&pause), "{pause} ms");
        assert_eq!(handle.stats().limits.running_calls, 1);
        // Whether it is well can be asked in any case; this one has no such service.
        let health = Method::new("/grpc.health.v1.Health/Check", Kind::Unary);
        let status = channel.unary::<Raw, Raw>(&health, Raw::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);

        // A call that ends, however it does, makes room.
        let [first, second] = running;
        first.abort();
        wait_for(1).await;
        permits.add_permits(1);
        second.await.unwrap().unwrap();
        permits.add_permits(2);
        for call in [call(), call()] {
            call.await.unwrap().unwrap();
        }
    }
}
