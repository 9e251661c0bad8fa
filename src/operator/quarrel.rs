//! Another operator that reports on the same ClusterCSIDriver: each would write over the other's words for ever. Pure:
//! the time is an argument.
//!
//! Two operators of different makes, in two namespaces, have a lease each and do not know of each other. What this one
//! reported and finds changed is such a sign; from the third on it reports ever more seldom.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::conditions::Status;
use super::identity::OPERATOR;
use base::backoff::Backoff;

/// What is known of the other one.
#[derive(Debug, Default)]
pub struct Quarrel {
    reported: Option<Status>,
    changed: u32,
    last: Option<Instant>,
}

/// Whether to report.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Report,
    /// Not yet; and whether that is news.
    Wait {
        /// The first time that it is so.
        is_news: bool,
    },
}

impl Quarrel {
    /// Judges a report. `found` is what the object says at the beginning of a turn.
    pub fn judge(&mut self, found: &Status, now: Instant) -> Verdict {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > OVER_AFTER) {
            (self.changed, self.last) = (0, None);
        }
        let was = self.pause();
        let is_changed = self.reported.take_if(|reported| reported != found).is_some();
        if is_changed {
            self.changed = self.changed.saturating_add(1);
            self.last = Some(now);
        }
        let is_over = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.pause());
        if is_over { Verdict::Report } else { Verdict::Wait { is_news: was.is_zero() && is_changed } }
    }

    /// It was reported.
    pub fn reported(&mut self, status: Status) {
        self.reported = Some(status);
    }

    /// True while another operator writes.
    pub fn is_on(&self) -> bool {
        !self.pause().is_zero()
    }

    fn pause(&self) -> Duration {
        BACKOFF.pause(self.changed.saturating_sub(TOLERATED))
    }
}

/// The field manager that wrote the status last, other than this operator; empty where none is known.
pub fn rival(object: &Value) -> &str {
    let text =
        |entry: &'_ Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let others = managers.filter(|entry| {
        let is_this_one = text(entry, "manager") == OPERATOR && text(entry, "operation") == "Apply";
        !is_this_one && entry.pointer("/fieldsV1/f:status").is_some()
    });
    let last = others.max_by_key(|entry| text(entry, "time"));
    last.and_then(|entry| entry.get("manager")).and_then(Value::as_str).unwrap_or_default()
}

/// A person, or an upgrade, changes the status once or twice.
const TOLERATED: u32 = 2;
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// After that long without a change by others there is no other operator any more.
const OVER_AFTER: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(message: &str) -> Status {
        Status::read(&json!({"status": {"conditions": [{
            "type": "ManagementStateDegraded", "status": "False", "message": message,
        }]}}))
    }

    #[test]
    fn who_finds_its_report_changed_again_and_again_reports_ever_more_seldom() {
        let (mut quarrel, begun) = (Quarrel::default(), Instant::now());
        let mut now = begun;
        // How long each report had to wait.
        let mut waits = Vec::new();
        for _ in 0..6 {
            quarrel.reported(status("ours"));
            now += Duration::from_millis(10);
            let changed = now;
            while quarrel.judge(&status("theirs"), now) != Verdict::Report {
                now += Duration::from_secs(1);
            }
            waits.push(now.duration_since(changed).as_secs());
        }
        assert_eq!(waits, [0, 0, 5, 10, 20, 40]);
        assert!(quarrel.is_on());

        quarrel.reported(status("ours"));
        now += OVER_AFTER + Duration::from_secs(1);
        assert_eq!(quarrel.judge(&status("ours"), now), Verdict::Report);
        assert!(!quarrel.is_on(), "the other one is gone");
    }

    #[test]
    fn what_nobody_changed_is_no_quarrel_and_the_first_wait_is_news_once() {
        let (mut quarrel, now) = (Quarrel::default(), Instant::now());
        for _ in 0..100 {
            quarrel.reported(status("ours"));
            assert_eq!(quarrel.judge(&status("ours"), now), Verdict::Report);
        }
        let mut news = 0;
        for _ in 0..3 {
            quarrel.reported(status("ours"));
            news += usize::from(quarrel.judge(&status("theirs"), now) == Verdict::Wait { is_news: true });
        }
        news += usize::from(quarrel.judge(&status("theirs"), now) == Verdict::Wait { is_news: true });
        assert_eq!(news, 1);
    }

    #[test]
    fn the_other_one_is_told_by_who_wrote_the_status_last() {
        let entry = |manager: &str, operation: &str, time: &str, field: &str| json!({"manager": manager, "operation": operation, "time": time, "fieldsV1": {field: {}}});
        let object = json!({"metadata": {"managedFields": [
            entry("kubectl", "Update", "2026-01-03T00:00:00Z", "f:spec"),
            entry("former", "Update", "2026-01-01T00:00:00Z", "f:status"),
            entry("other-operator", "Update", "2026-01-02T00:00:00Z", "f:status"),
            entry(OPERATOR, "Apply", "2026-01-03T00:00:00Z", "f:status"),
        ]}});
        assert_eq!(rival(&object), "other-operator");
        assert_eq!(rival(&json!({})), "");
    }
}
