//! An honest client beside the attack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spanwire::{Channel, Kind, Method, Raw};

use crate::process::{Scheduled, THIS_THREAD, scheduled};

const ECHO: Method = Method::new("/attack.Target/Echo", Kind::Unary);

/// Calls before the attack, which show what a call takes in peace.
const CALM_CALLS: usize = 100;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(2);

/// What so many of a hundred took at most.
fn share(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
}

/// Makes one call after the other on a thread and a connection of its own.
#[derive(Debug)]
pub struct Victim {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Suffered>,
}

/// How the victim fared.
#[derive(Clone, Debug, Default)]
pub struct Suffered {
    /// Calls made during the attack.
    pub calls: usize,
    /// How much longer than in peace the slowest call took. Time for which the machine gave the victim's or the
    /// server's thread no processor is not counted: that is nobody's fault here.
    pub latest: Duration,
    /// What 99 of 100 calls took at most in peace, counted in the same way.
    pub calm_p99: Duration,
    /// What 99 of 100 calls took at most during the attack.
    pub p99: Duration,
    /// The share of the withheld time in the whole attack.
    pub disturbed: f64,
    /// The statuses of calls that failed.
    pub failed: Vec<String>,
}

impl Victim {
    /// Learns on `channel` how long a call takes in peace, then goes on until [`Victim::stop`].
    ///
    /// # Panics
    /// When it cannot make calls before the attack has begun.
    pub fn start(channel: impl FnOnce() -> Channel + Send + 'static, server_schedule: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (calm, ready) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let watch = Watch { channel: channel(), server_schedule };
                let mut times = Vec::new();
                for _ in 0..CALM_CALLS {
                    times.push(
                        watch.call().await.unwrap_or_else(|status| panic!("before the attack: {status}")),
                    );
                    tokio::time::sleep(PAUSE).await;
                }
                calm.send(()).ok();
                watch.suffer(&mut times, &stopped).await
            })
        });
        assert!(ready.recv().is_ok(), "the victim gave up before the attack");
        Self { stop, thread }
    }

    /// Ends the calls, and tells how they went.
    ///
    /// # Panics
    /// When the victim did.
    pub fn stop(self) -> Suffered {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| panic!("the victim panicked"))
    }
}

struct Watch {
    channel: Channel,
    server_schedule: String,
}

impl Watch {
    async fn suffer(&self, calm: &mut [Duration], stop: &AtomicBool) -> Suffered {
        let median = share(calm, 50);
        let mut suffered = Suffered { calm_p99: share(calm, 99), ..Suffered::default() };
        let mut times = Vec::new();
        let (began, waited) = (Instant::now(), self.waited());
        while !stop.load(Ordering::Relaxed) {
            suffered.calls += 1;
            match self.call().await {
                Ok(time) => times.push(time),
                Err(status) => suffered.failed.push(status.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
        suffered.p99 = share(&mut times, 99);
        suffered.latest = share(&mut times, 100).saturating_sub(median);
        suffered.disturbed = (self.waited() - waited).as_secs_f64() / began.elapsed().as_secs_f64();
        suffered
    }

    /// One call: how long it took, less what the machine withheld.
    async fn call(&self) -> Result<Duration, spanwire::Status> {
        let (began, waited) = (Instant::now(), self.waited());
        let call = self.channel.unary::<Raw, Raw>(&ECHO, Raw("hello".into()));
        call.timeout(Duration::from_secs(10)).await?;
        Ok(began.elapsed().saturating_sub(self.waited() - waited))
    }

    /// How long the server's thread and this one have waited for a processor so far.
    fn waited(&self) -> Duration {
        let waited = |schedule: Scheduled| schedule.waited;
        waited(scheduled(&self.server_schedule)) + waited(scheduled(THIS_THREAD))
    }
}
