//! How long a call may still take.
//!
//! A budget is made once, where a request enters the program, and handed down, so that every retry and every
//! wait spends from the same amount. It knows nothing of what the time is spent on.

use std::time::{Duration, Instant};

/// A point in time that a call must not outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    until: Instant,
}

impl Budget {
    /// A budget that ends at `until`.
    pub fn until(until: Instant) -> Budget {
        Budget { until }
    }

    /// A budget of `time` from now, at most [`LONGEST`].
    pub fn lasting(time: Duration) -> Budget {
        Budget { until: Instant::now() + time.min(LONGEST) }
    }

    /// What is left; zero once it is spent.
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// True when nothing is left.
    pub fn is_spent(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The same budget, or one of `time` from now if that ends earlier.
    pub fn at_most(self, time: Duration) -> Budget {
        Budget { until: self.until.min(Budget::lasting(time).until) }
    }
}

/// Nobody waits longer for one call; the bound also keeps the addition to a clock reading from overflowing.
pub const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_counts_down_and_stops_at_zero() {
        assert!(Budget::lasting(Duration::from_secs(60)).remaining() > Duration::from_secs(50));
        assert!(Budget::lasting(Duration::ZERO).is_spent());
        assert_eq!(Budget::until(Instant::now() - Duration::from_secs(1)).remaining(), Duration::ZERO);
    }

    #[test]
    fn an_absurd_budget_is_cut_rather_than_overflowing() {
        assert!(Budget::lasting(Duration::MAX).remaining() <= LONGEST);
    }

    #[test]
    fn at_most_never_lengthens_a_budget() {
        let budget = Budget::lasting(Duration::from_secs(1));
        assert_eq!(budget.at_most(Duration::from_secs(60)), budget);
        assert!(budget.at_most(Duration::ZERO).is_spent());
    }
}
