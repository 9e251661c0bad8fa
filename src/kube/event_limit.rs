//! Decides which events are worth posting. Pure: the time is an argument.
//!
//! A volume that cannot be refreshed fails again with every call of kubelet, on every node, for as long as
//! the outage lasts; the API server must not pay for that. The same message about the same pod and reason
//! passes once in five minutes, different ones at most every half minute, and a node as a whole at most one a
//! second after a burst. The memory is bounded whatever names arrive: only what passes is remembered, and the
//! oldest is forgotten first.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// The memory of what was posted.
#[derive(Default)]
pub struct EventLimit {
    posted: HashMap<Key, Vec<Posted>>,
    /// Allowance spent, as time that has yet to pass; zero is a full burst.
    debt: Duration,
    debt_at: Option<Instant>,
}

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Post it.
    Pass,
    /// The pod has been told lately.
    Repeated,
    /// The node has posted too much lately.
    TooMany,
}

type Key = (String, &'static str);

#[derive(Clone, Copy)]
struct Posted {
    /// Hash of the message: enough to recognise it, without keeping what might be long.
    message: u64,
    at: Instant,
}

impl EventLimit {
    /// Judges an event about the pod `uid`, and remembers it if it passes.
    pub fn judge(&mut self, uid: &str, reason: &'static str, message: &str, now: Instant) -> Verdict {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let message = hasher.finish();
        let key = (uid.to_owned(), reason);
        let is_within = |posted: &Posted, time| now.saturating_duration_since(posted.at) < time;
        let repeats = |posted: &Posted| {
            is_within(posted, DIFFERENT_MESSAGE_EVERY)
                || (posted.message == message && is_within(posted, SAME_MESSAGE_EVERY))
        };
        if self.posted.get(&key).is_some_and(|posted| posted.iter().any(repeats)) {
            return Verdict::Repeated;
        }
        if !self.spend(now) {
            return Verdict::TooMany;
        }
        if !self.posted.contains_key(&key) && self.posted.len() >= MOST_KEYS {
            self.forget(now);
        }
        let posted = self.posted.entry(key).or_default();
        // One each half minute for five minutes: never more than ten are left.
        posted.retain(|posted| is_within(posted, SAME_MESSAGE_EVERY));
        posted.push(Posted { message, at: now });
        Verdict::Pass
    }

    /// Takes one event from the node's allowance, if there is one left.
    fn spend(&mut self, now: Instant) -> bool {
        let passed = self.debt_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let debt = self.debt.saturating_sub(passed);
        let is_allowed = debt + ONE_EVENT_EVERY <= ONE_EVENT_EVERY * BURST;
        self.debt = if is_allowed { debt + ONE_EVENT_EVERY } else { debt };
        self.debt_at = Some(now);
        is_allowed
    }

    /// Makes room: drops what no longer matters, or else the pod and reason that was posted longest ago.
    fn forget(&mut self, now: Instant) {
        let last = |posted: &Vec<Posted>| posted.iter().map(|posted| posted.at).max();
        self.posted.retain(|_, posted| {
            last(posted).is_some_and(|at| now.saturating_duration_since(at) < SAME_MESSAGE_EVERY)
        });
        if self.posted.len() >= MOST_KEYS {
            let oldest =
                self.posted.iter().min_by_key(|(_, posted)| last(posted)).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.posted.remove(&key));
        }
    }
}

/// A standing problem stays visible in `kubectl describe` without filling it.
const SAME_MESSAGE_EVERY: Duration = Duration::from_secs(300);
/// Messages that carry a changing part (a time, an attempt) must not escape the limit.
const DIFFERENT_MESSAGE_EVERY: Duration = Duration::from_secs(30);
/// Steady rate of a node.
const ONE_EVENT_EVERY: Duration = Duration::from_secs(1);
/// What a node may post at once, for instance when a provider goes away.
const BURST: u32 = 25;
/// Pods and reasons remembered, some hundred bytes each. Only the last five minutes matter, and no more can pass in
/// them than a burst and one a second, 325: whatever is forgotten for want of room would have expired.
const MOST_KEYS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_pod_is_told_the_same_every_five_minutes_and_news_every_half_minute() {
        let start = Instant::now();
        let mut limit = EventLimit::default();
        let table = [
            ("the first", 0, "a", Verdict::Pass),
            ("the same at once", 1, "a", Verdict::Repeated),
            ("news too early", 29, "b", Verdict::Repeated),
            ("news in time", 30, "b", Verdict::Pass),
            ("the first again, others in between", 60, "a", Verdict::Repeated),
            ("more news", 61, "c", Verdict::Pass),
            ("just under five minutes", 299, "a", Verdict::Repeated),
            ("five minutes", 300, "a", Verdict::Pass),
            ("the second is due, but too close", 329, "b", Verdict::Repeated),
            ("the second", 330, "b", Verdict::Pass),
        ];
        for (name, seconds, message, verdict) in table {
            assert_eq!(limit.judge("u", "R", message, start + SECOND * seconds), verdict, "{name}");
        }
    }

    #[test]
    fn pods_and_reasons_do_not_silence_each_other() {
        let now = Instant::now();
        let mut limit = EventLimit::default();
        assert_eq!(limit.judge("u1", "R", "m", now), Verdict::Pass);
        assert_eq!(limit.judge("u2", "R", "m", now), Verdict::Pass);
        assert_eq!(limit.judge("u1", "S", "m", now), Verdict::Pass);
        assert_eq!(limit.judge("u1", "R", "m", now), Verdict::Repeated);
    }

    #[test]
    fn a_node_posts_a_burst_and_then_one_a_second() {
        let start = Instant::now();
        let mut limit = EventLimit::default();
        let mut passed_at = |now: Instant, pods: std::ops::Range<u32>| {
            pods.filter(|pod| limit.judge(&pod.to_string(), "R", "m", now) == Verdict::Pass).count()
        };
        assert_eq!(passed_at(start, 0..100), 25);
        assert_eq!(passed_at(start + SECOND * 3, 100..200), 3);
        assert_eq!(
            passed_at(start + SECOND * 1000, 200..300),
            25,
            "an allowance does not grow beyond the burst"
        );
    }

    #[test]
    fn a_refused_event_is_not_remembered_as_posted() {
        let start = Instant::now();
        let mut limit = EventLimit::default();
        for pod in 0..BURST {
            limit.judge(&pod.to_string(), "R", "m", start);
        }
        assert_eq!(limit.judge("late", "R", "m", start), Verdict::TooMany);
        assert_eq!(limit.judge("late", "R", "m", start + SECOND), Verdict::Pass);
    }

    #[test]
    fn the_memory_holds_all_that_can_matter_and_hardly_more() {
        let start = Instant::now();
        let mut limit = EventLimit::default();
        // Five pods ask each second: a fifth passes, for half an hour.
        for second in 0..1800 {
            for pod in 0..5 {
                limit.judge(&format!("{second} {pod}"), "R", "m", start + SECOND * second);
            }
        }
        let now = start + SECOND * 1799;
        let matters = |posted: &Vec<Posted>| {
            posted.iter().any(|posted| now.duration_since(posted.at) < SAME_MESSAGE_EVERY)
        };
        let of_five_minutes = limit.posted.values().filter(|posted| matters(posted)).count();
        assert_eq!(of_five_minutes, 300, "none that matters is forgotten");
        assert!(limit.posted.len() < 2 * of_five_minutes, "{} are remembered", limit.posted.len());
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let start = Instant::now();
        let mut limit = EventLimit::default();
        // Filled directly: at one event a second the entries would expire before the memory is full.
        for pod in 0..MOST_KEYS {
            let posted = Posted { message: 0, at: start + Duration::from_millis(pod as u64) };
            limit.posted.insert((pod.to_string(), "R"), vec![posted]);
        }
        let now = start + SECOND * 10;
        assert_eq!(limit.judge("new", "R", "m", now), Verdict::Pass);
        assert_eq!(limit.posted.len(), MOST_KEYS);
        assert!(!limit.posted.contains_key(&("0".to_owned(), "R")));
        assert!(limit.posted.contains_key(&("1".to_owned(), "R")));
        assert_eq!(limit.judge("newer", "R", "m", now + SECOND * 600), Verdict::Pass);
        assert_eq!(limit.posted.len(), 1, "what has expired goes first");
    }
}
