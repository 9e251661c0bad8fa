//! Pauses between attempts: they double from one failure to the next, and chance spreads them.
//!
//! Pure: whoever waits counts the failures, brings the random numbers, and does the waiting.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How long the pauses of one kind are.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

/// Random parts of pauses, so that calls which fail together do not return together. From a xorshift generator:
/// spreading load needs no better one.
#[derive(Debug)]
pub struct Jitter(u64);

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest }
    }

    /// The pause after that many failures in a row; none after none.
    pub fn pause(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// A random pause from half of that one to all of it.
    pub fn jittered(self, failures: u32, jitter: &mut Jitter) -> Duration {
        let half = self.pause(failures) / 2;
        half + jitter.below(half)
    }
}

impl Jitter {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Jitter {
        // Zero is the one state that the generator never leaves.
        Jitter(seed | 1)
    }

    /// Numbers that no other process has.
    pub fn from_entropy() -> Jitter {
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
    use std::collections::BTreeSet;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

    #[test]
    fn pauses_begin_with_none_and_double_up_to_the_longest_one() {
        let seconds: Vec<_> = (0..9).map(|failures| BACKOFF.pause(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        for failures in [32, 33, 34, u32::MAX] {
            assert_eq!(BACKOFF.pause(failures), Duration::from_secs(60), "{failures}");
        }
        assert_eq!(Backoff::new(Duration::MAX, Duration::MAX).pause(2), Duration::MAX);
    }

    #[test]
    fn jitter_shortens_a_pause_by_half_of_it_at_most() {
        let mut jitter = Jitter::new(42);
        for failures in 0..100 {
            let (whole, jittered) = (BACKOFF.pause(failures), BACKOFF.jittered(failures, &mut jitter));
            assert!(jittered >= whole / 2 && jittered <= whole, "{failures}: {jittered:?} of {whole:?}");
        }
        let pauses: BTreeSet<_> = (0..64).map(|_| BACKOFF.jittered(1, &mut jitter)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    fn ten(mut jitter: Jitter) -> Vec<Duration> {
        (0..10).map(|_| jitter.below(Duration::from_secs(1))).collect()
    }

    #[test]
    fn times_stay_below_the_bound_and_differ_from_seed_to_seed() {
        assert!(ten(Jitter::new(0)).iter().all(|time| *time < Duration::from_secs(1)));
        assert_eq!(ten(Jitter::new(99)), ten(Jitter::new(99)));
        assert_ne!(ten(Jitter::new(1_234_567)), ten(Jitter::new(7_654_321)));
        let own: BTreeSet<_> = (0..64).map(|_| ten(Jitter::from_entropy())).collect();
        assert!(own.len() > 60, "{}", own.len());
    }
}
