//! What the operator has done, as numbers for Prometheus.

use std::time::Duration;

use base::lock::Mutex;

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::family::{Family, Series};
use super::labels::Values;
use super::process::Process;
use super::{MetricsError, VERBS, gauge, rendered, scrape};

/// Every series of the operator. Kinds and results are fixed words of ours; verbs are bounded.
pub struct OperatorMetrics {
    registry: Registry,
    version: String,
    commit: String,
    verbs: Values,
    turns: Family<IntCounter>,
    turn_duration: Family<Histogram>,
    writes: Family<IntCounter>,
    api_requests: Family<IntCounter>,
    leader: IntGauge,
    degraded: IntGauge,
    last_turn: Mutex<Option<std::time::Instant>>,
}

impl OperatorMetrics {
    /// Registers every series. `version` and `commit` become labels of the build info.
    ///
    /// # Errors
    /// [`MetricsError`] if a name in the table is malformed or used twice, which the tests rule out.
    pub fn new(version: &str, commit: &str) -> Result<OperatorMetrics, MetricsError> {
        let registry = Registry::new();
        Ok(OperatorMetrics {
            turns: Family::register(&registry, TURNS)?,
            turn_duration: Family::register(&registry, TURN_DURATION)?,
            writes: Family::register(&registry, WRITES)?,
            api_requests: Family::register(&registry, OPERATOR_API_REQUESTS)?,
            leader: gauge(&registry, LEADER)?,
            degraded: gauge(&registry, DEGRADED)?,
            version: version.to_owned(),
            commit: commit.to_owned(),
            verbs: Values::default(),
            last_turn: Mutex::default(),
            registry,
        })
    }

    /// A turn of the loop ended.
    pub fn turned(&self, succeeded: bool, elapsed: Duration, now: std::time::Instant) {
        let result = if succeeded { "success" } else { "failure" };
        self.turns.record(&[result], IntCounter::inc);
        self.turn_duration.record(&[], |histogram| histogram.observe(elapsed.as_secs_f64()));
        *self.last_turn.lock() = Some(now);
    }

    /// When the last turn of the loop ended; `None` before the first.
    pub fn last_turn(&self) -> Option<std::time::Instant> {
        *self.last_turn.lock()
    }

    /// An object of that kind was created, updated or deleted, or could not be.
    pub fn wrote(&self, kind: &'static str, verb: &'static str, succeeded: bool) {
        self.writes.record(&[kind, verb, if succeeded { "success" } else { "failure" }], IntCounter::inc);
    }

    /// A request to the API server ended. `code` is the HTTP status in digits; anything else counts as `error`.
    pub fn api_request(&self, verb: &str, code: &str) {
        let verb = self.verbs.admit(verb, VERBS);
        let is_status = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        self.api_requests.record(&[&verb, if is_status { code } else { "error" }], IntCounter::inc);
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many of the conditions that are about something being wrong are true.
    pub fn degraded(&self, conditions: usize) {
        self.degraded.set(i64::try_from(conditions).unwrap_or(i64::MAX));
    }

    /// Every series in Prometheus' text format 0.0.4, sorted by name.
    pub fn render(&self) -> String {
        let mut families = self.registry.gather();
        families.push(scrape::build_info(&self.version, &self.commit));
        families.extend(scrape::process(Process::read()));
        rendered(families)
    }
}

const TURNS: Series = Series {
    name: "secrets_store_csi_operator_reconcile_total",
    help: "turns of the operator's loop, by result",
    labels: &["result"],
    constant: &[],
    bounds: &[],
};
const TURN_DURATION: Series = Series {
    name: "secrets_store_csi_operator_reconcile_duration_seconds",
    help: "seconds that a turn of the operator's loop took",
    labels: &[],
    constant: &[],
    bounds: &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
};
const WRITES: Series = Series {
    name: "secrets_store_csi_operator_writes_total",
    help: "objects that the operator has created, updated or deleted, or could not, by kind, verb and result",
    labels: &["kind", "verb", "result"],
    constant: &[],
    bounds: &[],
};
const OPERATOR_API_REQUESTS: Series = Series {
    name: "secrets_store_csi_operator_api_requests_total",
    help: "requests to the Kubernetes API server, by verb and HTTP status; error where no answer came",
    labels: &["verb", "code"],
    constant: &[],
    bounds: &[],
};
const LEADER: (&str, &str) = ("secrets_store_csi_operator_leader", "1 while this process leads, else 0");
const DEGRADED: (&str, &str) =
    ("secrets_store_csi_operator_degraded_conditions", "conditions of the installation that are degraded");

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_has_happened_is_counted() {
        let metrics = OperatorMetrics::new("v1", "abc").unwrap();
        assert_eq!(metrics.last_turn(), None);
        let now = Instant::now();
        metrics.turned(true, Duration::from_millis(3), now);
        metrics.turned(false, Duration::from_millis(3), now);
        metrics.wrote("DaemonSet", "update", true);
        metrics.api_request("get", "200");
        metrics.api_request("get", "hunter2");
        metrics.leads(true);
        metrics.degraded(2);
        let text = metrics.render();
        for line in [
            "secrets_store_csi_operator_reconcile_total{result=\"success\"} 1",
            "secrets_store_csi_operator_reconcile_total{result=\"failure\"} 1",
            "secrets_store_csi_operator_reconcile_duration_seconds_count 2",
            "secrets_store_csi_operator_writes_total{kind=\"DaemonSet\",result=\"success\",verb=\"update\"} 1",
            "secrets_store_csi_operator_api_requests_total{code=\"200\",verb=\"get\"} 1",
            "secrets_store_csi_operator_api_requests_total{code=\"error\",verb=\"get\"} 1",
            "secrets_store_csi_operator_leader 1",
            "secrets_store_csi_operator_degraded_conditions 2",
            "secrets_store_csi_build_info{commit=\"abc\",version=\"v1\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(metrics.last_turn(), Some(now));
    }
}
