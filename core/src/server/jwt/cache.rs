//! Tokens that were found good, so that the next call with the same one costs a hash and not a signature.

use std::collections::HashMap;
use std::sync::Arc;

use super::Claims;

/// Tokens that one generation has room for; there are two.
const GENERATION: usize = 4096;

/// What a token is known by: to keep the hash is no secret.
pub(super) type Digest = [u8; 32];

/// The good tokens that were seen lately. The older generation is forgotten when the younger one is full.
#[derive(Default)]
pub(super) struct Cache {
    young: HashMap<Digest, Arc<Claims>>,
    old: HashMap<Digest, Arc<Claims>>,
}

impl Cache {
    pub(super) fn get(&mut self, digest: &Digest) -> Option<Arc<Claims>> {
        if let Some(claims) = self.young.get(digest) {
            return Some(claims.clone());
        }
        let claims = self.old.remove(digest)?;
        self.put(*digest, claims.clone());
        Some(claims)
    }

    pub(super) fn put(&mut self, digest: Digest, claims: Arc<Claims>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, claims);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn cache_is_bounded_and_keeps_what_is_in_use() {
        let mut cache = Cache::default();
        let claims = Arc::new(Claims::default());
        cache.put(digest(0), claims.clone());
        for number in 1..10 * GENERATION {
            cache.put(digest(number), claims.clone());
            assert!(cache.get(&digest(0)).is_some(), "in use, forgotten at {number}");
            assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION);
        }
        assert!(cache.get(&digest(1)).is_none());
    }
}
