//! Decides whether a failed request is tried again, and after what pause. Pure: no clock, no sleep.
//!
//! Pauses double from [`FIRST_PAUSE`] and carry jitter, so that a cluster's nodes do not come back in step
//! after an outage. A server that names its own pause (Retry-After) is obeyed up to [`LONGEST_ASKED_PAUSE`];
//! beyond that the failure is reported, because whoever waits above this module has a deadline of their own.

use std::time::Duration;

use base::backoff::{Backoff, Jitter};

/// The retries of one call.
pub struct Retry {
    failures: u32,
    jitter: Jitter,
}

impl Retry {
    /// No failure so far.
    pub fn new(jitter: Jitter) -> Retry {
        Retry { failures: 0, jitter }
    }

    /// The pause before the next attempt, or `None` when it is time to give up: too many attempts, a pause
    /// asked for that is too long, or one that `remaining` does not cover.
    pub fn pause(&mut self, asked: Option<Duration>, remaining: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let asked = asked.unwrap_or(Duration::ZERO);
        if self.failures >= MOST_ATTEMPTS || asked > LONGEST_ASKED_PAUSE {
            return None;
        }
        let jittered = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).jittered(self.failures, &mut self.jitter);
        // On top of what was asked for, not instead of it: coming early would only be refused again.
        let pause = asked.saturating_add(jittered);
        (pause < remaining).then_some(pause)
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Duration = Duration::from_secs(600);

    #[test]
    fn pauses_grow_with_jitter_and_end() {
        let mut retry = Retry::new(Jitter::new(42));
        for full_millis in [100, 200, 400, 800, 1600] {
            let pause = retry.pause(None, PLENTY).unwrap();
            assert!(pause >= Duration::from_millis(full_millis / 2), "{pause:?} of {full_millis}");
            assert!(pause <= Duration::from_millis(full_millis), "{pause:?} of {full_millis}");
        }
        assert_eq!(retry.pause(None, PLENTY), None);
    }

    #[test]
    fn calls_that_fail_together_do_not_return_together() {
        let pause = || Retry::new(Jitter::from_entropy()).pause(None, PLENTY).unwrap();
        let pauses: std::collections::BTreeSet<_> = (0..64).map(|_| pause()).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    #[test]
    fn an_asked_pause_is_obeyed_within_the_bound_and_refused_beyond_it() {
        let asked = Duration::from_secs(3);
        assert!(Retry::new(Jitter::new(1)).pause(Some(asked), PLENTY).unwrap() >= asked);
        assert_eq!(Retry::new(Jitter::new(1)).pause(Some(LONGEST_ASKED_PAUSE + asked), PLENTY), None);
        assert_eq!(Retry::new(Jitter::new(1)).pause(Some(Duration::MAX), PLENTY), None);
    }

    #[test]
    fn a_pause_that_the_budget_does_not_cover_ends_the_retries() {
        assert_eq!(Retry::new(Jitter::new(1)).pause(None, Duration::from_millis(10)), None);
        assert_eq!(
            Retry::new(Jitter::new(1)).pause(Some(Duration::from_secs(2)), Duration::from_secs(1)),
            None
        );
    }
}
