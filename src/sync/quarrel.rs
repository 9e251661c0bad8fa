//! Somebody who undoes time and again what the driver does to a Secret, and how long the driver waits before it does
//! it once more. Pure: the time is an argument.

use std::time::{Duration, Instant};

use base::backoff::Backoff;

/// How often something was undone, without a long time in between.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quarrel {
    last: Option<(Instant, u32)>,
}

impl Quarrel {
    /// It was done once more.
    pub fn note(&mut self, now: Instant) {
        self.last = Some((now, self.times(now).saturating_add(1)));
    }

    /// How often it was done of late.
    pub fn times(&self, now: Instant) -> u32 {
        let of_late = |last: &(Instant, u32)| now.saturating_duration_since(last.0) < LULL;
        self.last.filter(of_late).map_or(0, |last| last.1)
    }

    /// How long to wait before it is done again: not at all at first, then ever longer.
    pub fn pause(&self, now: Instant) -> Duration {
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).pause(self.times(now))
    }
}

/// Who edits something twice by hand does not wait long.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Short enough for a Secret to be as its class says some time, long enough to cost nobody anything.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// After that long it is no quarrel any more. Longer than the longest pause, or the pauses would not stay long.
pub const LULL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_with_none_double_up_to_five_minutes_and_are_forgotten_after_ten() {
        let (mut quarrel, mut now) = (Quarrel::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let pause = quarrel.pause(now);
            pauses.push(pause.as_secs());
            now += pause;
            quarrel.note(now);
        }
        assert_eq!(pauses[..11], [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(pauses[10..].iter().all(|pause| *pause == 300), "{pauses:?}");
        assert_eq!(quarrel.times(now), 40);
        assert_eq!(quarrel.pause(now + LULL), Duration::ZERO);
        quarrel.note(now + LULL);
        assert_eq!(quarrel.times(now + LULL), 1, "it begins anew");
    }
}
