//! The bytes of the fuzzer, read as a script.

/// Takes choices off the front. When nothing is left every choice is zero, so that each input means something.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// A script from its first byte on.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether all of it is used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `limit`, which is at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Four bytes as a number.
    pub fn number(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// As many bytes as a length byte in front of them says, or what is left.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Cuts `bytes` into pieces whose lengths are those of `cuts`, over and over. A zero is one byte.
pub(crate) fn pieces<'b>(mut bytes: &'b [u8], cuts: &[u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut cuts: Vec<u8> = cuts.to_vec();
    if cuts.is_empty() {
        cuts.push(255);
    }
    let mut at = 0;
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let length = usize::from(cuts[at % cuts.len()]).max(1);
        at += 1;
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}
