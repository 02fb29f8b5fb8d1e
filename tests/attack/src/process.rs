//! The server under attack, in a process of its own, and what the system says of it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::judge::LATE;

/// What is freed goes back to the system at once, as far as it can, instead of being kept for the next allocation: what
/// is resident at most is then near to what the server held.
const TUNABLES: &str = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.malloc.mmap_threshold=16384:\
                        glibc.malloc.trim_threshold=65536";

/// A server that can be attacked. It takes the flags of `spanwire-attack-server`, prints its port, and for each line that
/// it reads how many bytes it holds.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its command line.
    pub command: Vec<String>,
    /// What its language's own memory management may take and keep beyond what is allowed to the engine, in bytes.
    pub slack: u64,
    /// How much later than in peace an honest call may end: the handlers of some languages share one thread.
    pub late: Duration,
    /// Its handlers are in another language.
    pub is_host: bool,
}

impl From<&str> for Program {
    fn from(path: &str) -> Self {
        Self { command: vec![path.to_owned()], slack: 0, late: LATE, is_host: false }
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct TargetProcess {
    child: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What is allocated now.
    pub held: u64,
    /// What is resident now: with what the allocator keeps, and the program itself.
    pub resident: u64,
    /// The most that was resident, since the start or [`TargetProcess::forget_peak`].
    pub peak: u64,
}

/// What the scheduler gave a thread, and how long it kept it waiting for a processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduled {
    /// Time on a processor.
    pub ran: Duration,
    /// Time in which it could have run, and something else did.
    pub waited: Duration,
}

impl TargetProcess {
    /// Starts `program`, the attack server, and waits until it listens.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(program: &Program, flags: &[String]) -> Self {
        let mut command = Command::new(&program.command[0]);
        command.args(&program.command[1..]).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("GLIBC_TUNABLES", TUNABLES);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", program.command));
        let mut output =
            BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("its output is a pipe")));
        let mut line = String::new();
        output.read_line(&mut line).ok();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server says {line:?} for its port"));
        Self { child, output, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its memory; zero where the system does not tell.
    pub fn memory(&mut self) -> Memory {
        let status = std::fs::read_to_string(self.file("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() * 1024
        };
        Memory { held: self.held(), resident: field("VmRSS:"), peak: field("VmHWM:") }
    }

    fn held(&mut self) -> u64 {
        let mut line = String::new();
        if let Some(input) = &mut self.child.stdin {
            input.write_all(b"\n").ok();
        }
        self.output.read_line(&mut line).ok();
        line.trim().parse().unwrap_or_default()
    }

    /// From here on [`Memory::peak`] begins anew.
    pub fn forget_peak(&self) {
        std::fs::write(self.file("clear_refs"), "5").ok();
    }

    /// Its memory as soon as it holds no more than `bytes`, or when `patience` ends.
    pub async fn memory_below(&mut self, bytes: u64, patience: Duration) -> Memory {
        let limit = Instant::now() + patience;
        loop {
            let memory = self.memory();
            if memory.held <= bytes || Instant::now() >= limit {
                return memory;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where the system tells how its threads were scheduled, for [`scheduled`].
    pub fn schedule(&self) -> String {
        self.file("task")
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }
}

impl Drop for TargetProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How this thread was scheduled, for [`scheduled`].
pub const THIS_THREAD: &str = "/proc/thread-self/schedstat";

/// How a thread of a `schedstat` file, or all threads of a `task` folder, were scheduled; zero where the system does not
/// tell.
pub fn scheduled(place: &str) -> Scheduled {
    let Ok(threads) = std::fs::read_dir(place) else { return scheduled_one(place.as_ref()) };
    let mut all = Scheduled::default();
    for thread in threads.flatten() {
        let one = scheduled_one(&thread.path().join("schedstat"));
        all.ran += one.ran;
        all.waited += one.waited;
    }
    all
}

fn scheduled_one(file: &Path) -> Scheduled {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|word| Duration::from_nanos(word.parse().unwrap_or(0)));
    Scheduled { ran: numbers.next().unwrap_or_default(), waited: numbers.next().unwrap_or_default() }
}
