//! The load of a client: many workers, one clock.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;

use crate::{ClientFlags, Error, Latencies, Mode};

/// One of the tasks that load a server: a caller of unary calls, or one stream.
pub trait Worker: Send + 'static {
    /// One call, or one message of a stream.
    fn round(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Rounds until a point in time; returns how many. `batch` of them are too short to look at the clock between.
    fn rounds(&mut self, until: Instant, batch: u64) -> impl Future<Output = Result<u64, Error>> + Send {
        async move {
            let mut rounds = 0;
            while Instant::now() < until {
                for _ in 0..batch {
                    self.round().await?;
                }
                rounds += batch;
            }
            Ok(rounds)
        }
    }

    /// After the last round; returns how many rounds the server has seen in all, if it says so.
    fn finish(self) -> impl Future<Output = Result<Option<u64>, Error>> + Send
    where
        Self: Sized,
    {
        async { Ok(None) }
    }
}

/// What the workers did together.
#[derive(Debug, Default)]
struct Done {
    calls: u64,
    latencies: Latencies,
}

/// Starts a worker for each call that shall be in flight, runs them for the time that the flags say and prints
/// the result as one line of JSON: `calls`, `seconds`, `p50_us`, `p99_us`.
///
/// The latencies are 0 where messages only go one way: there is nothing that a single one waits for.
///
/// # Errors
/// A worker failed: such a run has no result.
pub async fn drive<W, M, F>(flags: &ClientFlags, make: M) -> Result<(), Error>
where
    W: Worker,
    M: Fn() -> F,
    F: Future<Output = Result<W, Error>> + Send + 'static,
{
    let duration = flags.duration()?;
    let all_ready = Arc::new(Barrier::new(flags.in_flight as usize + 1));
    let tasks: Vec<_> = (0..flags.in_flight)
        .map(|_| tokio::spawn(work(make(), all_ready.clone(), duration, flags.mode, flags.size)))
        .collect();
    let mut failed = tokio::spawn(async move {
        let mut done = Done::default();
        for task in tasks {
            let one = task.await??;
            done.calls += one.calls;
            done.latencies.merge(&one.latencies);
        }
        Ok::<Done, Error>(done)
    });
    let began = tokio::select! {
        _ = all_ready.wait() => Instant::now(),
        // Nobody finishes before the start, so this is an error.
        early = &mut failed => return early?.map(drop),
    };
    let done = failed.await??;
    let seconds = began.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        r#"{{"calls": {}, "seconds": {seconds:.6}, "p50_us": {:.1}, "p99_us": {:.1}}}"#,
        done.calls,
        done.latencies.percentile_us(0.5),
        done.latencies.percentile_us(0.99),
    )?;
    Ok(())
}

async fn work<W: Worker>(
    make: impl Future<Output = Result<W, Error>>,
    all_ready: Arc<Barrier>,
    duration: Duration,
    mode: Mode,
    size: usize,
) -> Result<Done, Error> {
    let mut worker = make.await?;
    // Connecting and the start of a stream are no part of what is measured.
    worker.round().await?;
    all_ready.wait().await;

    let mut done = Done::default();
    let began = Instant::now();
    let end = began + duration;
    if mode.is_timed() {
        let mut last = began;
        while last < end {
            worker.round().await?;
            let now = Instant::now();
            done.latencies.add(now - last);
            done.calls += 1;
            last = now;
        }
    } else {
        // Looking at the clock takes as long as a small message does.
        let batch = (64 * 1024 / size.max(256)).max(1) as u64;
        done.calls = worker.rounds(end, batch).await?;
    }
    if let Some(seen) = worker.finish().await?
        && seen != done.calls + 1
    {
        return Err(format!("sent {} messages, the server has seen {seen}", done.calls + 1).into());
    }
    Ok(done)
}
