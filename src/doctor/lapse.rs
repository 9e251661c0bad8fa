//! A length of time as people say it.

use std::fmt;
use std::time::Duration;

/// A length of time, in whole units of which there are enough to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapse(pub Duration);

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..TWO_MINUTES => write!(f, "{seconds} s"),
            TWO_MINUTES..TWO_HOURS => write!(f, "{} min", seconds / MINUTE),
            TWO_HOURS..TWO_DAYS => write!(f, "{} h", seconds / HOUR),
            TWO_DAYS.. => write!(f, "{} days", seconds / DAY),
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const TWO_MINUTES: u64 = 2 * MINUTE;
const TWO_HOURS: u64 = 2 * HOUR;
const TWO_DAYS: u64 = 2 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_one_that_people_count_in() {
        let rows = [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (3600, "60 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (525_588 * 60, "364 days"),
        ];
        for (seconds, shown) in rows {
            assert_eq!(Lapse(Duration::from_secs(seconds)).to_string(), shown);
        }
    }
}
