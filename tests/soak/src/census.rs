//! What a process holds, counted by itself.

use std::alloc::System;
use std::fs;
use std::io;

use cap::Cap;
use serde::{Deserialize, Serialize};

/// Counts what is allocated. What is resident is also what the allocator keeps, and holes between what lives: by
/// megabytes another in each run.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What one process holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Memory that is allocated, in bytes.
    pub allocated: u64,
    /// Memory that is resident, in bytes: shown, but it decides nothing.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Tasks of its runtime.
    pub tasks: usize,
    /// Handlers that run; none in a client.
    pub handlers: usize,
    /// Messages that the handlers have handed over so far; none in a client.
    pub sent: u64,
    /// Time that the process has computed so far, in microseconds.
    pub cpu_micros: u64,
}

impl Census {
    /// Counts this process; `handlers` and `sent` are the caller's to fill in.
    ///
    /// # Errors
    /// Where there is no `/proc` like that of Linux.
    pub fn take() -> io::Result<Self> {
        Ok(Census {
            allocated: MEMORY.allocated() as u64,
            resident: resident()?,
            // The folder that is read is one of them.
            descriptors: fs::read_dir("/proc/self/fd")?.count() - 1,
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            handlers: 0,
            sent: 0,
            cpu_micros: first_number(&fs::read_to_string("/proc/self/schedstat")?)? / 1000,
        })
    }

    /// Whether it holds no more than at `rest`, apart from memory.
    #[must_use]
    pub fn is_at_rest(&self, rest: &Census) -> bool {
        self.descriptors <= rest.descriptors && self.tasks <= rest.tasks && self.handlers <= rest.handlers
    }
}

/// In kilobytes as the kernel adds them up when asked; the faster counters are off by some pages for each thread.
fn resident() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    Ok(first_number(line.unwrap_or_default())? * 1024)
}

fn first_number(text: &str) -> io::Result<u64> {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.parse().map_err(|_| io::Error::other(format!("no number in {text:?}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn what_is_opened_and_spawned_is_counted() {
        let before = Census::take().unwrap();
        let file = fs::File::open("/proc/self/stat").unwrap();
        let task = tokio::spawn(std::future::pending::<()>());
        let memory = vec![7_u8; 8 << 20];
        let after = Census::take().unwrap();
        assert_eq!((after.descriptors, after.tasks), (before.descriptors + 1, before.tasks + 1));
        assert!(after.allocated >= before.allocated + (7 << 20), "{} bytes are not seen", memory.len());
        assert!(after.resident >= before.resident + (7 << 20), "{} bytes are not seen", memory.len());
        assert!(!after.is_at_rest(&before));
        drop(file);
        task.abort();
        tokio::task::yield_now().await;
        assert!(Census::take().unwrap().is_at_rest(&before));
    }
}
