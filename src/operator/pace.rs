//! How soon a changed status is written. Pure: the time is an argument.
//!
//! Every write reaches whoever watches the object, and a roll-out on a thousand nodes changes its figures a thousand
//! times. What people and pipelines wait for is written at once, or a second after the last time. New words of a
//! condition that stands as before, such as another error, are written ever more seldom, since some errors are worded
//! anew each time. Figures alone, such as how many pods are left, are written once a minute.

use std::time::{Duration, Instant};

/// What is new in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A condition has come, gone or changed its status or reason, or a generation has.
    Standing,
    /// A message has other words.
    Words,
    /// A message has other figures.
    Figures,
}

/// When it was written.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    /// In a row, since a condition changed how it stands.
    words: u32,
}

impl Pace {
    /// How long the change has to wait; nothing where it may be written now.
    pub fn wait(&self, change: Change, now: Instant) -> Duration {
        let Some(since) = self.last.map(|last| now.saturating_duration_since(last)) else {
            return Duration::ZERO;
        };
        let pause = match change {
            Change::Standing => SHORTEST,
            Change::Words => SHORTEST.saturating_mul(1 << self.words.min(16)).min(LONGEST),
            Change::Figures => LONGEST,
        };
        pause.saturating_sub(since)
    }

    /// It was written.
    pub fn wrote(&mut self, change: Change, now: Instant) {
        let is_long_ago = self.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGOTTEN_AFTER);
        self.words = match change {
            _ if is_long_ago => 0,
            Change::Standing => 0,
            Change::Words => self.words.saturating_add(1),
            Change::Figures => self.words,
        };
        self.last = Some(now);
    }
}

/// Whether two texts differ in figures alone. What has a digit in it is one: numbers, addresses, identities.
pub fn differ_in_figures(one: &str, other: &str) -> bool {
    words(one) == words(other)
}

fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let figure = part.trim_end_matches(|c: char| !c.is_alphanumeric());
        if figure.contains(|c: char| c.is_ascii_digit()) {
            words.push('#');
            words.push_str(part.get(figure.len()..).unwrap_or_default());
        } else {
            words.push_str(part);
        }
    }
    words
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// After that long new words are news again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_written_once_a_second_and_figures_once_a_minute() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let at = |millis| now + Duration::from_millis(millis);
        for change in [Change::Standing, Change::Words, Change::Figures] {
            assert_eq!(pace.wait(change, now), Duration::ZERO, "{change:?}");
        }
        pace.wrote(Change::Standing, now);
        assert_eq!(pace.wait(Change::Standing, at(400)), Duration::from_millis(600));
        assert_eq!(pace.wait(Change::Standing, at(1000)), Duration::ZERO);
        assert_eq!(pace.wait(Change::Figures, at(1000)), Duration::from_secs(59));
        assert_eq!(pace.wait(Change::Figures, at(60_000)), Duration::ZERO);
    }

    #[test]
    fn an_error_that_is_worded_anew_each_time_is_written_ever_more_seldom() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(pace.wait(Change::Words, now).as_secs());
            now += pace.wait(Change::Words, now);
            pace.wrote(Change::Words, now);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        pace.wrote(Change::Standing, now);
        assert_eq!(pace.wait(Change::Words, now), SHORTEST, "it stands otherwise, and begins anew");
    }

    #[test]
    fn figures_are_all_that_has_a_digit() {
        let rows = [
            ("Waiting for 57 pods", "Waiting for 9 pods", true),
            ("at 10.0.0.1:4711: refused", "at 10.0.0.2:1: refused", true),
            ("request 8f3a-41", "request 77c0-b9", true),
            ("a (1)", "a (2)", true),
            ("a 1", "b 1", false),
            ("a 1", "a", false),
            ("ClusterRole a: forbidden", "CSIDriver a: forbidden", false),
            ("ä1 ö", "ä2 ö", true),
        ];
        for (one, other, expected) in rows {
            assert_eq!(differ_in_figures(one, other), expected, "{one} / {other}");
        }
    }
}
