//! The client's process: it starts the server's, does the rounds, and counts both after each.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::{TryStreamExt, stream};
use spanwire::{Channel, Raw};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::census::Census;
use crate::relay::Relay;
use crate::server::{FLOOD, UNREAD, order};
use crate::verdict::{self, Reading};
use crate::work;

/// How much is done, all rounds together.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many rounds.
    pub rounds: usize,
    /// Calls that are cancelled.
    pub cancelled: usize,
    /// Connections that are made anew.
    pub reconnected: usize,
    /// Streams that are dropped.
    pub dropped: usize,
}

/// Calls in flight on the one connection.
const IN_FLIGHT: usize = 50;

/// How long a process may take to come to rest after a round.
const PATIENCE: Duration = Duration::from_secs(10);

/// Unread streams of a window's measurement: enough to use up the connection's window, small or grown.
const UNREAD_STREAMS: usize = 20;

/// Does the rounds and says how it goes; the faults that were found.
///
/// # Errors
/// When the work itself fails.
pub async fn run(plan: Plan, say: impl Fn(&str)) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let second = format!("unix:{}", folder.path().join("second.sock").display());
    let mut server = Server::start(&second).await?;
    let held = |census: &Census| (census.descriptors, census.tasks, census.handlers);
    let at_rest = |reading: &Reading| (held(&reading.client), held(&reading.server));
    let start = server.standstill(at_rest).await?;
    let mut scene = Scene::new(&server, second).await?;
    let mut number = 0;
    // Everything once: what is made on first use is there.
    let each = Plan { rounds: 1, cancelled: 800, reconnected: 30, dropped: 60 };
    scene.round(&mut server, each, &mut number).await?;
    let rest = server.standstill(at_rest).await?;
    let mut readings = vec![rest];
    let share = |total: usize, round: usize| total * (round + 1) / plan.rounds - total * round / plan.rounds;
    for round in 0..plan.rounds {
        let began = Instant::now();
        let part = Plan {
            rounds: 1,
            cancelled: share(plan.cancelled, round),
            reconnected: share(plan.reconnected, round),
            dropped: share(plan.dropped, round),
        };
        scene.round(&mut server, part, &mut number).await?;
        server.settle(&rest).await?;
        let unread = scene.unread(&mut server, &rest).await?;
        let reading = Reading { unread, ..server.settle(&rest).await? };
        say(&format!("round {:>3}: {:.1} s, {}", round + 1, began.elapsed().as_secs_f64(), shown(&reading)));
        readings.push(reading);
    }
    verdict::numbers(&readings).iter().for_each(|line| say(line));
    let mut faults = verdict::faults(&readings);
    drop(scene);
    let end = server.settle(&start).await?;
    say(&format!("at the start {}, at the end {}", shown(&start), shown(&end)));
    if end.client.tasks > 0 {
        faults.push(format!("the client has {} tasks left", end.client.tasks));
    }
    server.stop().await?;
    Ok(faults)
}

fn shown(reading: &Reading) -> String {
    let Reading { client, server, .. } = reading;
    format!(
        "client {} kB of {} {} fds {} tasks, server {} kB of {} {} fds {} tasks {} handlers",
        client.allocated / 1024,
        client.resident / 1024,
        client.descriptors,
        client.tasks,
        server.allocated / 1024,
        server.resident / 1024,
        server.descriptors,
        server.tasks,
        server.handlers
    )
}

/// The channels that live through all rounds.
struct Scene {
    address: SocketAddr,
    /// Its connection carries everything but the reconnects, from the first round to the last.
    main: Channel,
    relay: Relay,
    relayed: Channel,
    restarted: Channel,
}

impl Scene {
    async fn new(server: &Server, second: String) -> Result<Self, Box<dyn Error>> {
        let relay = Relay::to(server.address).await?;
        let channel = |target: &str| {
            let pause = Duration::from_millis(1);
            Channel::builder(target).backoff(pause, 10 * pause).build()
        };
        Ok(Scene {
            address: server.address,
            main: channel(&server.address.to_string())?,
            relayed: channel(&relay.target())?,
            restarted: channel(&second)?,
            relay,
        })
    }

    async fn round(
        &mut self,
        server: &mut Server,
        plan: Plan,
        number: &mut usize,
    ) -> Result<(), Box<dyn Error>> {
        let begin = *number;
        *number += plan.cancelled.max(plan.reconnected).max(plan.dropped);
        let numbers = |count: usize| stream::iter((begin..begin + count).map(Ok));
        numbers(plan.cancelled)
            .try_for_each_concurrent(IN_FLIGHT, |number| work::cancelled(&self.main, number))
            .await?;
        numbers(plan.dropped)
            .try_for_each_concurrent(IN_FLIGHT, |number| work::dropped(&self.main, number))
            .await?;
        for number in begin..begin + plan.reconnected {
            match number % 4 {
                0 | 1 => work::channel_of_its_own(&self.address.to_string(), number).await?,
                2 => work::connection_cut(&self.relayed, || self.relay.cut()).await?,
                _ => {
                    work::answered(&self.restarted).await?;
                    server.say(order::RESTART).await?;
                    work::answered(&self.restarted).await?;
                }
            }
        }
        Ok(())
    }

    /// What the main connection takes in either direction, by streams that nobody reads.
    async fn unread(&self, server: &mut Server, rest: &Reading) -> Result<[u64; 2], Box<dyn Error>> {
        const SIZE: usize = 10_000;
        let mut streams = Vec::new();
        let before = server.say(order::COUNT).await?.sent;
        for _ in 0..UNREAD_STREAMS {
            streams.push(self.main.server_streaming::<Raw, Raw>(&FLOOD, work::number(SIZE)).await?);
        }
        // Headers need no window: with them, every handler has begun.
        for stream in &mut streams {
            stream.headers().await?;
        }
        let down = server.standstill(|reading| reading.server.sent).await?.server.sent - before;
        drop(streams);
        server.settle(rest).await?;

        let taken = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..UNREAD_STREAMS {
            let mut call = self.main.client_streaming::<Raw, Raw>(&UNREAD).await?;
            let taken = taken.clone();
            senders.spawn(async move {
                while call.send(work::bytes(SIZE)).await.is_ok() {
                    taken.fetch_add(1, Relaxed);
                }
            });
        }
        server.standstill(|_| taken.load(Relaxed)).await?;
        let up = taken.load(Relaxed);
        senders.shutdown().await;
        server.settle(rest).await?;
        Ok([down * SIZE as u64, up * SIZE as u64])
    }
}

/// The server's process.
struct Server {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    async fn start(second: &str) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", second])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the server has no pipes".into());
        };
        let mut answers = BufReader::new(answers).lines();
        let port: u16 = answers.next_line().await?.ok_or("the server did not start")?.parse()?;
        Ok(Server { child, orders, answers, address: ([127, 0, 0, 1], port).into() })
    }

    /// Says an order; what the server holds afterwards.
    async fn say(&mut self, order: &str) -> io::Result<Census> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        let line = self.answers.next_line().await?.ok_or_else(|| io::Error::other("the server ended"))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// What both processes hold.
    async fn reading(&mut self) -> io::Result<Reading> {
        let server = self.say(order::COUNT).await?;
        Ok(Reading { server, client: Census::take()?, unread: [0; 2] })
    }

    /// Waits until both processes hold no more than at `rest`, memory apart.
    async fn settle(&mut self, rest: &Reading) -> Result<Reading, Box<dyn Error>> {
        let began = Instant::now();
        loop {
            let reading = self.reading().await?;
            if reading.client.is_at_rest(&rest.client) && reading.server.is_at_rest(&rest.server) {
                return Ok(reading);
            }
            if began.elapsed() > PATIENCE {
                return Err(
                    format!("not all is given back: {}, it was {}", shown(&reading), shown(rest)).into()
                );
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What both processes hold once `of` that changes no more.
    async fn standstill<T: PartialEq>(&mut self, of: impl Fn(&Reading) -> T) -> io::Result<Reading> {
        let (mut before, mut same) = (self.reading().await?, 0);
        while same < 10 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let now = self.reading().await?;
            same = if of(&before) == of(&now) { same + 1 } else { 0 };
            before = now;
        }
        Ok(before)
    }

    /// Ends it; it must end well.
    async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        drop(self.orders);
        let status = self.child.wait().await?;
        if status.success() { Ok(()) } else { Err(format!("the server: {status}").into()) }
    }
}
