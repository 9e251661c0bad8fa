//! What is asked of a collection next, and after what pause. Pure: no clock, no socket, no objects.
//!
//! A collection is listed in pages, then watched from the version of the list on. A watch that ends is taken up again
//! where it ended; only a version that the server no longer keeps leads back to the list.

use std::time::Duration;

use base::backoff::{Backoff, Jitter};

/// Where in its cycle of list and watch a collection is.
#[derive(Debug)]
pub struct Cycle {
    position: Position,
    /// Objects asked for at once: fewer after an answer that was too large.
    page: u32,
    /// Objects asked for at once where no answer was too large.
    full_page: u32,
    /// Pages that came since the size of pages changed.
    fitting: u32,
    /// Pages that came of this list.
    pages: u32,
    /// Failures without a healthy watch in between.
    failures: u32,
    /// Undecided answers in a row.
    doubts: u32,
    jitter: Jitter,
}

#[derive(Debug, PartialEq, Eq)]
enum Position {
    /// In a list, before its first page or at the page that the token stands for.
    Listing { token: Option<String> },
    /// In the changes after this version.
    Watching { version: String, has_moved: bool },
}

/// What is asked next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A page of the list; the first when there is no token.
    List {
        /// Stands for the page.
        token: Option<&'a str>,
        /// Objects asked for.
        limit: u32,
    },
    /// The changes after a version.
    Watch {
        /// The version.
        version: &'a str,
    },
}

/// How far the list is after a page of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There are more pages.
    Partial,
    /// It is complete.
    Complete,
    /// It goes in a circle, or on and on.
    Endless,
}

/// How a request or a stream ended that brought nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server ended the stream, or the stream's time was over.
    Closed,
    /// The server no longer keeps that version.
    Expired,
    /// The service account may not do this.
    Forbidden,
    /// The service account may not do this, if the server is to be believed, which may just have started.
    Undecided,
    /// The answer is larger than the client reads.
    TooLarge,
    /// The answer did not come in time, or not whole.
    TooSlow,
    /// The answer could not be understood: what it meant to say is lost.
    Garbled,
    /// Anything else; the server may have asked to be left alone for some time.
    Failed {
        /// How long.
        retry_after: Option<Duration>,
    },
}

impl Cycle {
    /// At the beginning, with that many objects a page.
    pub fn new(page: u32, jitter: Jitter) -> Cycle {
        let position = Position::Listing { token: None };
        let page = page.max(1);
        Cycle { position, page, full_page: page, fitting: 0, pages: 0, failures: 0, doubts: 0, jitter }
    }

    /// What is asked next.
    pub fn step(&self) -> Step<'_> {
        match &self.position {
            Position::Listing { token } => Step::List { token: token.as_deref(), limit: self.page },
            Position::Watching { version, .. } => Step::Watch { version },
        }
    }

    /// A page came; `token` stands for the next one, if there is one.
    pub fn listed(&mut self, version: String, token: Option<String>) -> Progress {
        let is_first = matches!(self.position, Position::Listing { token: None });
        self.pages = if is_first { 1 } else { self.pages.saturating_add(1) };
        self.fitting = self.fitting.saturating_add(1);
        if self.page < self.full_page && (self.fitting >= FITTING_PAGES || token.is_none()) {
            self.resize(self.page.saturating_mul(2).min(self.full_page));
        }
        let Some(token) = token else {
            self.position = Position::Watching { version, has_moved: false };
            return Progress::Complete;
        };
        let is_same = matches!(&self.position, Position::Listing { token: Some(last) } if *last == token);
        if is_same || self.pages >= MOST_PAGES {
            return Progress::Endless;
        }
        self.position = Position::Listing { token: Some(token) };
        Progress::Partial
    }

    fn resize(&mut self, page: u32) {
        self.page = page;
        self.fitting = 0;
    }

    /// The stream has come to that version.
    pub fn reached(&mut self, at: &str) {
        if let Position::Watching { version, has_moved } = &mut self.position
            && !at.is_empty()
        {
            at.clone_into(version);
            *has_moved = true;
        }
    }

    /// What an end is to be taken for: a server that cannot decide is not believed at first, and then it is.
    pub fn judged(&mut self, how: End) -> End {
        if how != End::Undecided {
            self.doubts = 0;
            return how;
        }
        self.doubts = self.doubts.saturating_add(1);
        if self.doubts > MOST_DOUBTS { End::Forbidden } else { End::Failed { retry_after: None } }
    }

    /// A request or stream ended after having lived that long. The pause before the next step.
    pub fn ended(&mut self, how: End, lived: Duration) -> Duration {
        let is_watch = matches!(self.position, Position::Watching { .. });
        if let Position::Watching { has_moved, .. } = &mut self.position
            && (std::mem::take(has_moved) || lived >= HEALTHY)
        {
            self.failures = 0;
        }
        match how {
            End::Closed if is_watch && self.failures == 0 && lived >= HEALTHY => {
                return self.jitter.below(RECONNECT_WITHIN);
            }
            End::Forbidden | End::Undecided => {
                return FORBIDDEN_PAUSE + self.jitter.below(FORBIDDEN_PAUSE / 10);
            }
            End::TooLarge if !is_watch && self.page > 1 => {
                self.resize(self.page / 2);
                return Duration::ZERO;
            }
            // Fewer objects may come in time.
            End::TooSlow if !is_watch => self.resize((self.page / 2).max(1)),
            End::TooLarge | End::Expired | End::Garbled => {
                self.position = Position::Listing { token: None };
            }
            End::Closed | End::TooSlow | End::Failed { .. } => {}
        }
        let asked = match how {
            End::Failed { retry_after } => retry_after.unwrap_or_default().min(LONGEST_PAUSE),
            _ => Duration::ZERO,
        };
        self.failures = self.failures.saturating_add(1);
        // The first time at once: a version that has expired is no sign of trouble.
        let pause = match self.failures {
            1 if how == End::Expired => Duration::ZERO,
            failures => Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).jittered(failures, &mut self.jitter),
        };
        asked + pause
    }
}

/// A stream that lived this long was a good one.
const HEALTHY: Duration = Duration::from_secs(5);
/// Streams end for many nodes at once, when a server restarts; they should not all come back at once.
const RECONNECT_WITHIN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// As long as kubelet waits at most, so that nobody is away longer than an administrator would expect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pages that have to fit before larger ones are tried again: what is too large is read for nothing.
const FITTING_PAGES: u32 = 4;
/// Pages of one list, which is half a million pods: more than any cluster has.
const MOST_PAGES: u32 = 10_000;
/// With their pauses, longer than a server needs to start.
const MOST_DOUBTS: u32 = 4;
/// A permission is given by people: asking more often would only load the server.
pub const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(100);
    const FAILED: End = End::Failed { retry_after: None };

    fn watching(version: &str) -> Cycle {
        let mut cycle = Cycle::new(100, Jitter::new(7));
        assert_eq!(cycle.listed(version.to_owned(), None), Progress::Complete);
        cycle
    }

    fn list(token: Option<&str>) -> Step<'_> {
        Step::List { token, limit: 100 }
    }

    #[test]
    fn pages_are_asked_for_one_by_one_and_then_the_changes() {
        let mut cycle = Cycle::new(100, Jitter::new(7));
        assert_eq!(cycle.step(), list(None));
        assert_eq!(cycle.listed("5".into(), Some("next".into())), Progress::Partial);
        assert_eq!(cycle.step(), list(Some("next")));
        assert_eq!(cycle.listed("5".into(), None), Progress::Complete);
        assert_eq!(cycle.step(), Step::Watch { version: "5" });
        cycle.reached("8");
        assert_eq!(cycle.step(), Step::Watch { version: "8" });
        cycle.reached("");
        assert_eq!(cycle.step(), Step::Watch { version: "8" }, "an object without a version is no progress");
    }

    #[test]
    fn where_each_end_leads() {
        let rows = [
            ("closed", End::Closed, Step::Watch { version: "5" }),
            ("failed", FAILED, Step::Watch { version: "5" }),
            ("forbidden", End::Forbidden, Step::Watch { version: "5" }),
            ("expired", End::Expired, list(None)),
            ("garbled", End::Garbled, list(None)),
            ("too large", End::TooLarge, list(None)),
            ("too slow", End::TooSlow, Step::Watch { version: "5" }),
        ];
        for (name, end, next) in rows {
            let mut cycle = watching("5");
            cycle.ended(end, LONG);
            assert_eq!(cycle.step(), next, "of a watch: {name}");
        }
        let rows = [
            ("failed", FAILED, list(Some("t"))),
            ("forbidden", End::Forbidden, list(Some("t"))),
            ("expired", End::Expired, list(None)),
            ("garbled", End::Garbled, list(None)),
            ("too large", End::TooLarge, Step::List { token: Some("t"), limit: 50 }),
            ("too slow", End::TooSlow, Step::List { token: Some("t"), limit: 50 }),
        ];
        for (name, end, next) in rows {
            let mut cycle = Cycle::new(100, Jitter::new(7));
            cycle.listed("5".into(), Some("t".into()));
            cycle.ended(end, SHORT);
            assert_eq!(cycle.step(), next, "of a list: {name}");
        }
    }

    #[test]
    fn pages_shrink_to_one_object_and_then_there_is_a_pause() {
        let mut cycle = Cycle::new(5, Jitter::new(7));
        for limit in [2, 1] {
            assert_eq!(cycle.ended(End::TooLarge, SHORT), Duration::ZERO);
            assert_eq!(cycle.step(), Step::List { token: None, limit });
        }
        assert!(cycle.ended(End::TooLarge, SHORT) > Duration::ZERO);
    }

    #[test]
    fn pages_that_shrank_grow_back_when_some_have_fit_and_with_the_end_of_the_list() {
        let mut cycle = Cycle::new(100, Jitter::new(7));
        let limit = |cycle: &Cycle| match cycle.step() {
            Step::List { limit, .. } => limit,
            Step::Watch { .. } => panic!("{cycle:?}"),
        };
        for _ in 0..3 {
            cycle.ended(End::TooLarge, SHORT);
        }
        let mut limits = vec![limit(&cycle)];
        for page in 0..14 {
            cycle.listed("5".into(), Some(page.to_string()));
            limits.push(limit(&cycle));
        }
        assert_eq!(limits, [12, 12, 12, 12, 24, 24, 24, 24, 48, 48, 48, 48, 96, 96, 96]);
        cycle.ended(End::TooLarge, SHORT);
        cycle.listed("5".into(), None);
        cycle.ended(End::Expired, SHORT);
        assert_eq!(limit(&cycle), 96);
    }

    #[test]
    fn a_list_that_is_too_slow_is_asked_for_in_smaller_pages_after_a_pause() {
        let mut cycle = Cycle::new(4, Jitter::new(7));
        for limit in [2, 1, 1] {
            assert!(cycle.ended(End::TooSlow, LONG) > Duration::ZERO);
            assert_eq!(cycle.step(), Step::List { token: None, limit });
        }
    }

    #[test]
    fn a_list_without_end_ends_with_a_pause_and_begins_anew() {
        let endless = |token: fn(u32) -> String| {
            let mut cycle = Cycle::new(100, Jitter::new(7));
            let pages = (1..20_000)
                .take_while(|page| cycle.listed("5".into(), Some(token(*page))) == Progress::Partial);
            let pages = pages.count();
            assert!(cycle.ended(End::Garbled, SHORT) >= FIRST_PAUSE / 2);
            assert_eq!(cycle.step(), list(None));
            assert_eq!(cycle.listed("5".into(), Some("t".into())), Progress::Partial, "it is counted anew");
            pages
        };
        assert_eq!(endless(|_| "same".to_owned()), 1);
        assert_eq!(endless(|page| page.to_string()), 9_999);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_a_healthy_watch_resets_them() {
        let mut cycle = watching("5");
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            let pause = cycle.ended(FAILED, SHORT);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{pause:?}");
            last = pause;
        }
        assert!(last >= LONGEST_PAUSE / 2, "{last:?}");
        assert!(cycle.ended(FAILED, LONG) <= FIRST_PAUSE, "it lived long");
        cycle.ended(FAILED, SHORT);
        cycle.ended(FAILED, SHORT);
        cycle.reached("6");
        assert!(cycle.ended(FAILED, SHORT) <= FIRST_PAUSE, "it brought something");
    }

    #[test]
    fn an_expired_version_is_listed_anew_at_once_but_not_again_and_again() {
        let mut cycle = watching("5");
        assert_eq!(cycle.ended(End::Expired, LONG), Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..3 {
            cycle.listed("9".into(), None);
            pauses.push(cycle.ended(End::Expired, SHORT));
        }
        assert!(pauses.iter().all(|pause| *pause >= FIRST_PAUSE / 2), "{pauses:?}");
        assert!(pauses[2] > pauses[0], "{pauses:?}");
    }

    #[test]
    fn a_missing_permission_is_asked_about_no_more_than_once_a_minute() {
        let mut cycle = Cycle::new(100, Jitter::new(7));
        for _ in 0..5 {
            let pause = cycle.ended(End::Forbidden, SHORT);
            assert!(pause >= FORBIDDEN_PAUSE && pause <= FORBIDDEN_PAUSE * 11 / 10, "{pause:?}");
        }
    }

    #[test]
    fn a_server_that_cannot_decide_is_believed_only_when_it_stays_so() {
        let mut cycle = watching("5");
        for _ in 0..MOST_DOUBTS {
            assert_eq!(cycle.judged(End::Undecided), FAILED);
        }
        assert_eq!(cycle.judged(End::Undecided), End::Forbidden);
        assert_eq!(cycle.judged(End::Closed), End::Closed);
        assert_eq!(cycle.judged(End::Undecided), FAILED, "in between it had decided");
    }

    #[test]
    fn a_stream_that_ended_in_time_is_taken_up_within_a_second() {
        assert!(watching("5").ended(End::Closed, LONG) < RECONNECT_WITHIN);
        let mut hasty = watching("5");
        hasty.ended(End::Closed, SHORT);
        assert!(
            hasty.ended(End::Closed, SHORT) >= FIRST_PAUSE / 2,
            "but not one that ends at once each time"
        );
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_within_the_bound() {
        let asked = |seconds| End::Failed { retry_after: Some(Duration::from_secs(seconds)) };
        assert!(watching("5").ended(asked(9), SHORT) >= Duration::from_secs(9));
        assert!(watching("5").ended(asked(100_000), SHORT) <= LONGEST_PAUSE + FIRST_PAUSE);
    }

    #[test]
    fn two_seeds_pause_differently() {
        let pause = |seed| {
            let mut cycle = Cycle::new(1, Jitter::new(seed));
            (0..4).map(|_| cycle.ended(FAILED, SHORT)).collect::<Vec<_>>()
        };
        assert_ne!(pause(123_456_789), pause(987_654_321));
    }
}
