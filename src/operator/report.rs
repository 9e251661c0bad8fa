//! What a turn has found out, and how it is reported.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::cluster::request;
use super::conditions::{Driver, Findings, Status};
use super::failure::Failure;
use super::quarrel::Verdict;
use super::reconcile::Reconciler;
use base::timestamp::rfc3339_seconds;

/// What a turn has found out, to be reported.
#[derive(Default)]
pub(super) struct Found {
    pub(super) statics: Option<Vec<String>>,
    pub(super) node: Vec<String>,
    pub(super) observation: Option<String>,
    pub(super) driver: Place,
    pub(super) lacks_csi_driver: bool,
}

/// Where the driver is.
#[derive(Default)]
pub(super) enum Place {
    #[default]
    Unknown,
    Removed,
    Installed(Value),
}

impl Found {
    pub(super) fn is_fine(&self) -> bool {
        self.node.is_empty() && self.statics.as_ref().is_none_or(Vec::is_empty)
    }
}

impl Reconciler {
    pub(super) fn report(
        &mut self,
        is_going: bool,
        before: &Status,
        rival: &str,
        management: Option<String>,
        found: &Found,
    ) -> Result<(), Failure> {
        let findings = Findings {
            management: management.as_deref(),
            statics: found.statics.as_deref(),
            node: &found.node,
            observation: found.observation.as_deref(),
            driver: match &found.driver {
                Place::Unknown => Driver::Unknown,
                Place::Removed => Driver::Removed,
                Place::Installed(object) => Driver::Installed(object),
            },
            lacks_csi_driver: found.lacks_csi_driver,
        };
        let next = before.next(findings, &self.namespace, &rfc3339_seconds(SystemTime::now()));
        self.cluster.metrics.degraded(next.degraded().count());
        let Some(change) = before.change_to(&next) else { return Ok(()) };
        let wait = self.pace.wait(change, Instant::now());
        if !wait.is_zero() {
            self.report_due = Some(wait);
            return Ok(());
        }
        match self.quarrel.judge(before, Instant::now()) {
            Verdict::Report => {}
            Verdict::Wait { is_news } => {
                if is_news {
                    self.tell_of(rival);
                }
                return Ok(());
            }
        }
        self.drop_generations_of_others(before, &next)?;
        let Some(object) = self.cluster.find(&request())? else { return Ok(()) };
        match self.cluster.report(&object, &next.json()) {
            Ok(_) => {
                self.pace.wrote(change, Instant::now());
                self.quarrel.reported(next);
                Ok(())
            }
            // It was let go, and there is nobody to tell any more.
            Err(refusal) if refusal.is_not_found() && is_going => Ok(()),
            // The change of whoever was faster wakes the loop again.
            Err(refusal) if refusal.is_overtaken() => {
                self.report_due = Some(OVERTAKEN_PAUSE);
                Ok(())
            }
            Err(refusal) => Err(Failure::from(refusal)),
        }
    }

    /// What another operator has said of the driver's generations would stay: by apply alone nobody takes away what
    /// others have written.
    fn drop_generations_of_others(&self, before: &Status, next: &Status) -> Result<(), Failure> {
        if !before.has_more_generations_than(next) {
            return Ok(());
        }
        let Some(object) = self.cluster.find(&request())? else { return Ok(()) };
        let Some(others) = next.generations_of_others(&object) else { return Ok(()) };
        match self.cluster.change_status(&object, json!({"status": {"generations": others}})) {
            Ok(_) => Ok(()),
            // The change of whoever was faster wakes the loop again.
            Err(refusal) if refusal.is_overtaken() => Ok(()),
            Err(refusal) => Err(Failure::from(refusal)),
        }
    }

    fn tell_of(&self, rival: &str) {
        let rival = if rival.is_empty() { "that is not known" } else { rival };
        let message = format!(
            "another operator reports on the same ClusterCSIDriver, as field manager {rival}: this one reports ever \
             more seldom; remove one of the two, and if the Operator Lifecycle Manager installed it, remove its \
             Subscription and its ClusterServiceVersion"
        );
        log::warn!(manager = rival; "{message}");
        self.cluster.events.warn("AnotherOperator", &message);
    }
}

/// In case that no watch tells of the change by which somebody was faster.
const OVERTAKEN_PAUSE: Duration = Duration::from_secs(1);
