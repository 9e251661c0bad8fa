//! Chance in pauses, so that calls which fail together don't return together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A source of chance, from a xorshift generator: spreading load needs no better one.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The same chances for the same seed.
    pub fn new(seed: u64) -> Jitter {
        // Zero is the one state that the generator never leaves.
        Jitter(seed | 1)
    }

    /// Chances of its own.
    pub fn unlike_others() -> Jitter {
        // Each state has other keys than the one before it.
        Jitter::new(RandomState::new().build_hasher().finish())
    }

    /// A time below `bound`.
    pub fn below(&mut self, bound: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let steps = u32::try_from(self.0 % u64::from(STEPS)).unwrap_or(0);
        bound / STEPS * steps
    }
}

const STEPS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ten(mut jitter: Jitter) -> Vec<Duration> {
        (0..10).map(|_| jitter.below(Duration::from_secs(1))).collect()
    }

    #[test]
    fn times_stay_below_the_bound_and_differ_from_seed_to_seed() {
        assert!(ten(Jitter::new(0)).iter().all(|time| *time < Duration::from_secs(1)));
        assert_eq!(ten(Jitter::new(99)), ten(Jitter::new(99)));
        assert_ne!(ten(Jitter::new(1_234_567)), ten(Jitter::new(7_654_321)));
        let own: std::collections::BTreeSet<_> = (0..64).map(|_| ten(Jitter::unlike_others())).collect();
        assert!(own.len() > 60, "{}", own.len());
    }
}
