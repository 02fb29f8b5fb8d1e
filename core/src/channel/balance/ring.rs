//! The ring of ring_hash (gRFC A42): every endpoint has points on it, as many as its weight says, and a hash belongs to the
//! endpoint of the next point.

use twox_hash::XxHash64;

/// No ring has more points than these, whatever a config says.
pub(crate) const RING_SIZE_CAP: usize = 4096;

/// The hash function of both endpoints and calls: XXH64 with seed 0.
pub(super) fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

/// See the [module](self).
pub(super) struct Ring {
    /// The points in their order, with the index of their member.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// A ring of `members`, each with what is hashed for it and its weight. It is the smallest one of at least `min_size`
    /// points on which the lightest member has a whole number of them, and never larger than `max_size`.
    pub(super) fn new(members: &[(String, u32)], min_size: usize, max_size: usize) -> Self {
        let sum: u128 = members.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let lightest = members.iter().map(|(_, weight)| u128::from(*weight)).min().unwrap_or(1).max(1);
        let (min_size, max_size) = (min_size as u128, max_size as u128);
        // `of` out of `size` points are the lightest one's share, `points` of them are.
        let points = (lightest * min_size).div_ceil(sum.max(1));
        let fits = points * sum <= max_size * lightest;
        let (points, of) = if fits { (points, lightest) } else { (max_size, sum.max(1)) };
        let mut ring = Vec::new();
        let (mut until, mut weights, mut key) = (0, 0, String::new());
        for (index, (name, weight)) in members.iter().enumerate() {
            weights += u128::from(*weight);
            let end = (points * weights).div_ceil(of);
            for number in 0..end - until {
                key.clear();
                key.extend([name, "_", &number.to_string()]);
                ring.push((hash(key.as_bytes()), index as u32));
            }
            until = end;
        }
        ring.sort_unstable();
        Ring { points: ring }
    }

    /// The members of all points, from the one that `hash` belongs to and once around.
    pub(super) fn from(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.points.partition_point(|(point, _)| *point < hash);
        let (before, behind) = self.points.split_at(first);
        behind.iter().chain(before).map(|(_, member)| *member as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(weights: &[u32], min_size: usize, max_size: usize) -> Vec<usize> {
        let members: Vec<_> =
            weights.iter().enumerate().map(|(at, weight)| (format!("192.0.2.{at}:1"), *weight)).collect();
        let mut points = vec![0; weights.len()];
        Ring::new(&members, min_size, max_size).from(0).for_each(|member| points[member] += 1);
        points
    }

    // gRFC A42, "Ring Construction"
    #[test]
    fn lightest_has_a_whole_number_of_points() {
        assert_eq!(ring(&[1], 1024, 4096), [1024]);
        assert_eq!(ring(&[1, 1, 1], 1024, 4096), [342, 342, 342]);
        assert_eq!(ring(&[1, 2, 3], 1024, 4096), [171, 342, 513]);
        assert_eq!(ring(&[3, 7], 10, 4096), [3, 7]);
        assert_eq!(ring(&[2, 7], 10, 4096).iter().sum::<usize>(), 14, "3 / (2/9) = 13.5");
    }

    #[test]
    fn ring_is_never_larger_than_its_bound() {
        assert_eq!(ring(&[1, 1, 1], 1024, 1024).iter().sum::<usize>(), 1024);
        assert_eq!(ring(&[1, 4095], 1024, 4096), [1, 4095]);
        assert_eq!(ring(&[1, 100_000], 1024, 4096).iter().sum::<usize>(), 4096);
        assert_eq!(ring(&[1; 10_000], 4096, 4096).iter().sum::<usize>(), 4096);
        assert_eq!(ring(&[u32::MAX; 3], 1, 1), [1, 0, 0]);
    }

    // The values that the reference implementation of xxHash gives.
    #[test]
    fn hash_is_xxh64_with_seed_0() {
        assert_eq!(hash(b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(hash(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn hash_belongs_to_the_next_point() {
        let ring = Ring { points: vec![(10, 0), (20, 1), (30, 2)] };
        let from = |hash| ring.from(hash).collect::<Vec<_>>();
        assert_eq!(from(0), [0, 1, 2]);
        assert_eq!(from(10), [0, 1, 2]);
        assert_eq!(from(11), [1, 2, 0]);
        assert_eq!(from(30), [2, 0, 1]);
        assert_eq!(from(31), [0, 1, 2]);
    }
}
