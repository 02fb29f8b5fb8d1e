//! Runs a scenario once for each seed, and checks what must hold after every one of them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use spanwire::{Channel, ChannelBuilder, Server, ServerBuilder, ServerHandle};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::{Ledger, Network, Random, Trace, Work};

/// Longer than any scenario takes, in virtual time: who waits until then hangs.
const HANGS: Duration = Duration::from_secs(3600);

/// Longer than any timer that an idle engine may still have: the longest pause between attempts to connect.
const QUIET: Duration = Duration::from_secs(200);

/// One run of a scenario.
#[derive(Debug)]
pub struct Sim {
    /// The seed of this run.
    pub seed: u64,
    /// The scenario's own numbers.
    pub random: Random,
    /// The network between clients and servers.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// What clients and handlers say happened.
    pub ledger: Ledger,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    servers: RefCell<Vec<ServerHandle>>,
}

impl Sim {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let network = Network::new(random.fork(), trace.clone());
        let ledger = Ledger::new(trace.clone());
        Sim { seed, random, network, trace, ledger, tasks: RefCell::default(), servers: RefCell::default() }
    }

    /// A server with the service; give it to [`Sim::serve`].
    pub fn server(&self) -> ServerBuilder {
        Server::builder().service(Work(self.ledger.clone()))
    }

    /// Starts a server, which takes the place of the one before.
    pub fn serve(&self, builder: ServerBuilder) -> ServerHandle {
        let server = builder.bind_incoming(self.network.listen()).unwrap();
        let handle = server.handle();
        self.servers.borrow_mut().push(handle.clone());
        tokio::spawn(server.run());
        handle
    }

    /// A channel of the client `name`.
    pub fn channel(&self, name: &str) -> ChannelBuilder {
        Channel::builder(name).connector(self.network.connector(name))
    }

    /// Runs a task beside the scenario; the run ends when all of them have.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.borrow_mut().push(tokio::spawn(task));
    }

    /// Waits for all tasks of [`Sim::spawn`].
    pub async fn join(&self) {
        loop {
            let task = self.tasks.borrow_mut().pop();
            let Some(task) = task else { return };
            if let Err(error) = task.await {
                resume_unwind(error.into_panic());
            }
        }
    }

    /// Ends the servers, and looks whether anything is left of anyone.
    async fn finish(&self) {
        let servers = self.servers.take();
        for server in servers {
            server.shutdown(Duration::ZERO).await;
        }
        self.join().await;
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.ledger.running(), 0, "handlers are left");
        assert_eq!(self.network.open(), 0, "connections are left");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
        self.ledger.check();
    }
}

/// One run. Its trace tells what happened, also after a panic.
fn run(seed: u64, trace: &Trace, scenario: &impl AsyncFn(&mut Sim)) {
    spanwire::testing::seed_this_thread(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut sim = Sim::new(seed, trace.clone());
        sim.trace.note(format_args!("seed {seed}"));
        let network = sim.network.clone();
        let run = async {
            scenario(&mut sim).await;
            sim.finish().await;
        };
        if tokio::time::timeout(HANGS, run).await.is_err() {
            network.note_state();
            panic!("the run hangs: an hour of virtual time is over");
        }
    });
}

/// Runs `scenario` with the seeds from 1 to `count`, or with `SIM_SEED` alone.
///
/// # Panics
/// With the first seed that fails, after having said which it is.
pub fn seeds(name: &str, count: u64, scenario: impl AsyncFn(&mut Sim)) {
    let only = std::env::var("SIM_SEED").ok().map(|seed| seed.parse().expect("SIM_SEED is a number"));
    let seeds = only.map_or(1..=count, |seed| seed..=seed);
    for seed in seeds {
        let trace = Trace::default();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed, &trace, &scenario))) {
            eprintln!("{}", trace.tail());
            eprintln!("seed {seed} fails; alone: SIM_SEED={seed} cargo test -p spanwire-sim -- {name}");
            resume_unwind(panic);
        }
    }
}

/// Runs `scenario` twice with one seed. With `SIM_TRACE=file` all that happened is written to `file.1` and `file.2`.
///
/// # Panics
/// If the two runs differ.
pub fn replay(seed: u64, scenario: impl AsyncFn(&mut Sim)) {
    let file = std::env::var("SIM_TRACE").ok();
    let traces = [(); 2].map(|()| {
        let trace = if file.is_some() { Trace::verbose() } else { Trace::default() };
        run(seed, &trace, &scenario);
        trace
    });
    if let Some(file) = file {
        for (trace, run) in traces.iter().zip(1..) {
            std::fs::write(format!("{file}.{run}"), trace.tail()).unwrap();
        }
    }
    let [first, second] = traces.each_ref().map(Trace::hash);
    assert_eq!(first, second, "two runs of the seed {seed} differ");
    assert!(first.0 > 100, "hardly anything happened: {first:?}");
}
