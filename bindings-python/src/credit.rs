//! How many messages a stream may bring before someone takes them.
//!
//! Many small ones, so that a turn of an event loop finds a batch; few large ones, so that a slow reader holds little. What
//! goes beyond stays with the engine, and HTTP/2's windows stop its sender.

/// What the messages that wait for their reader may add up to.
const TARGET_BYTES: usize = 512 * 1024;

/// What a message costs beside its bytes.
const OVERHEAD_BYTES: usize = 64;

/// The account of one stream.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Messages that were granted and not taken yet.
    out: u32,
    average_bytes: usize,
}

impl Credit {
    /// What a call is begun with.
    pub(crate) const FIRST: u32 = 16;

    pub(crate) fn new() -> Self {
        Credit { out: Self::FIRST, average_bytes: 1024 }
    }

    /// A message was taken by its reader; says how many to grant now, which is 0 as a rule.
    pub(crate) fn taken(&mut self, bytes: usize) -> u32 {
        self.out = self.out.saturating_sub(1);
        self.average_bytes = (self.average_bytes * 7 + bytes) / 8;
        let limit = (TARGET_BYTES / (self.average_bytes + OVERHEAD_BYTES)).clamp(4, 1024) as u32;
        if self.out > limit / 2 {
            return 0;
        }
        let grant = limit - self.out;
        self.out = limit;
        grant
    }
}
