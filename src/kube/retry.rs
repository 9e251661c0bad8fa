//! Decides whether a failed request is tried again, and after what pause. No clock, no sleep.
//!
//! Pauses double from [`FIRST_PAUSE`] and carry jitter, so that a cluster's nodes do not come back in step
//! after an outage. A server that names its own pause (Retry-After) is obeyed up to [`LONGEST_ASKED_PAUSE`];
//! beyond that the failure is reported, because whoever waits above this module has a deadline of their own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The retries of one call.
pub struct Retry {
    failures: u32,
    noise: u64,
}

impl Retry {
    /// No failure so far, and a jitter of its own: the calls of one node fail together, and must not return together.
    pub fn unlike_others() -> Retry {
        // Each state has other keys than the one before it.
        Retry::new(RandomState::new().build_hasher().finish())
    }

    /// No failure so far; `seed` feeds the jitter.
    pub fn new(seed: u64) -> Retry {
        // Zero is the one state that the generator below never leaves.
        Retry { failures: 0, noise: seed | 1 }
    }

    /// The pause before the next attempt, or `None` when it is time to give up: too many attempts, a pause
    /// asked for that is too long, or one that `remaining` does not cover.
    pub fn pause(&mut self, asked: Option<Duration>, remaining: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let asked = asked.unwrap_or(Duration::ZERO);
        if self.failures >= MOST_ATTEMPTS || asked > LONGEST_ASKED_PAUSE {
            return None;
        }
        let doublings = 1u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = FIRST_PAUSE.saturating_mul(doublings).min(LONGEST_PAUSE);
        let jittered = full / 2 + (full / 2 / JITTER_STEPS) * self.noise(JITTER_STEPS);
        // On top of what was asked for, not instead of it: coming early would only be refused again.
        let pause = asked.saturating_add(jittered);
        (pause < remaining).then_some(pause)
    }

    /// A number below `bound`, from a xorshift generator: spreading load needs no better one.
    fn noise(&mut self, bound: u32) -> u32 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        u32::try_from(self.noise % u64::from(bound)).unwrap_or(0)
    }
}

/// Attempts of one call, the first included: with the pauses below this bridges about three seconds, which
/// covers an API server that restarts behind a load balancer.
pub const MOST_ATTEMPTS: u32 = 6;
/// Pause after the first failure, before jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause of our own choosing is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// No pause of the server's choosing is waited for if it is longer.
pub const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(10);
/// Granularity of the jitter.
const JITTER_STEPS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Duration = Duration::from_secs(600);

    #[test]
    fn pauses_grow_with_jitter_and_end() {
        let mut retry = Retry::new(42);
        for full_millis in [100, 200, 400, 800, 1600] {
            let pause = retry.pause(None, PLENTY).unwrap();
            assert!(pause >= Duration::from_millis(full_millis / 2), "{pause:?} of {full_millis}");
            assert!(pause <= Duration::from_millis(full_millis), "{pause:?} of {full_millis}");
        }
        assert_eq!(retry.pause(None, PLENTY), None);
    }

    #[test]
    fn calls_that_fail_together_do_not_return_together() {
        let pause = || Retry::unlike_others().pause(None, PLENTY).unwrap();
        let pauses: std::collections::BTreeSet<_> = (0..64).map(|_| pause()).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    #[test]
    fn two_seeds_pause_differently() {
        let pauses = |seed| {
            let mut retry = Retry::new(seed);
            [retry.pause(None, PLENTY), retry.pause(None, PLENTY), retry.pause(None, PLENTY)]
        };
        assert_ne!(pauses(1_234_567), pauses(7_654_321));
        assert_eq!(pauses(99), pauses(99));
    }

    #[test]
    fn an_asked_pause_is_obeyed_within_the_bound_and_refused_beyond_it() {
        let asked = Duration::from_secs(3);
        assert!(Retry::new(1).pause(Some(asked), PLENTY).unwrap() >= asked);
        assert_eq!(Retry::new(1).pause(Some(LONGEST_ASKED_PAUSE + asked), PLENTY), None);
        assert_eq!(Retry::new(1).pause(Some(Duration::MAX), PLENTY), None);
    }

    #[test]
    fn a_pause_that_the_budget_does_not_cover_ends_the_retries() {
        assert_eq!(Retry::new(1).pause(None, Duration::from_millis(10)), None);
        assert_eq!(Retry::new(1).pause(Some(Duration::from_secs(2)), Duration::from_secs(1)), None);
    }
}
