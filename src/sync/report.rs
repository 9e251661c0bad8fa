//! What becomes of a Secret, and who is told: dashboards, the log, the pod's owner.

use std::sync::atomic::Ordering;

use crate::kube::event::Reason;
use crate::kube::types::ObjectKey;

use super::MirroredVolume;
use super::error::{MISSING_ROLE, Remedy, SyncError};
use super::keeper::{Keeper, lock};
use super::units::Source;

impl Keeper {
    /// A Secret is as it should be.
    pub(super) fn report_success(&self, key: &ObjectKey) {
        if self.units().note_failing(key, false) {
            log::info!(secret:% = key; "secret is up to date again");
        }
    }

    /// Entries of a class are wrong: all in one event, since a pod is not told again and again.
    pub(super) fn report_class(&self, volume: &MirroredVolume, problems: &[SyncError]) {
        for problem in problems {
            self.metrics.sync_failed(&volume.class.provider, problem.reason());
        }
        if !problems.is_empty() {
            let problems: Vec<String> = problems.iter().map(SyncError::to_string).collect();
            let message = format!("secretObjects of class {}: {}", volume.class.key, problems.join("; "));
            self.events.warn(&volume.pod, FAILED_TO_CREATE, message);
        }
    }

    /// A Secret could not be brought up to date; `speaker` is the volume that spoke for it.
    pub(super) fn report(&self, key: &ObjectKey, error: &SyncError, speaker: Option<&Source>) {
        let provider = speaker.map_or("", |source| source.provider.as_str());
        self.metrics.sync_failed(provider, error.reason());
        if matches!(error, SyncError::Forbidden(_)) {
            return self.denied(error, speaker);
        }
        if self.units().note_failing(key, true) {
            log::warn!(secret:% = key, error:% = error; "could not bring a secret up to date");
        } else {
            log::debug!(secret:% = key, error:% = error; "could not bring a secret up to date");
        }
        if let (Some(source), Remedy::Owner) = (speaker, error.remedy()) {
            self.events.warn(&source.pod, FAILED_TO_CREATE, error.message(&source.class, &key.name));
        }
    }

    /// The permission is missing: one warning in the log for all, one event for each pod that misses a Secret.
    fn denied(&self, error: &SyncError, speaker: Option<&Source>) {
        self.metrics.sync_permitted(false);
        if !self.is_denied.swap(true, Ordering::SeqCst) {
            let answer = match error {
                SyncError::Forbidden(Some(error)) => error.to_string(),
                _ => "listing secrets was refused".to_owned(),
            };
            log::warn!(answer = answer; "classes ask for Kubernetes Secrets, but {MISSING_ROLE}; mounting and refreshing are not affected");
        }
        if let Some(source) = speaker
            && lock(&self.told).insert(source.target.as_str().to_owned())
        {
            let message = format!("class {} asks for Kubernetes Secrets, but {MISSING_ROLE}", source.class);
            self.events.warn(&source.pod, FAILED_TO_CREATE, message);
        }
    }
}

/// Of every event about a Secret, as the upstream driver gives it.
const FAILED_TO_CREATE: Reason =
    Reason { name: "FailedToCreateSecret", component: "csi-secrets-store-controller" };
