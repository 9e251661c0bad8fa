//! What becomes of a Secret, and who is told: dashboards, the log, the pod's owner.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use base::text::printable;
use kube::event::{PodRef, Reason};
use kube::types::{ObjectKey, SecretMeta};

use super::MirroredVolume;
use super::complaints::Concerned;
use super::controller::SyncController;
use super::edits::Edit;
use super::error::{MISSING_ROLE, Remedy, SyncError};
use super::source_pod::Fed;
use super::states::Source;
use super::word::Word;

impl SyncController {
    /// A Secret is as it should be.
    pub(super) fn report_success(&self, key: &ObjectKey) {
        if self.complaints.lock().settle(&Concerned::Secret(key.clone())) {
            log::info!(secret:% = key; "secret is up to date again");
        }
    }

    /// The Secret is settled, and has its content from there. Where classes meet in it, the owner of the pod that speaks
    /// for it is told, once while they do.
    pub(super) fn report_meeting(&self, meta: &SecretMeta, word: &Word, fed: &Fed) {
        let (key, primary_source) = (&meta.key, &word.desired.source_pod);
        let mut classes: BTreeSet<String> = word.here.iter().map(|here| here.class.clone()).collect();
        let source_pod = match fed {
            Fed::Elsewhere(source_pod) => source_pod,
            _ => primary_source,
        };
        classes.insert(source_pod.class.clone());
        let names: Vec<&str> = classes.iter().map(String::as_str).collect();
        let message = format!(
            "classes {} name one secret, {}, which has the content of class {} now; unless one is to take the other's \
             place, give them different secretNames",
            printable(&names.join(" and "), LONGEST_NAMES_BYTES),
            key.name,
            printable(&source_pod.class, LONGEST_NAMES_BYTES),
        );
        let pod = PodRef {
            namespace: key.namespace.clone(),
            name: primary_source.pod.clone(),
            uid: primary_source.uid.clone(),
        };
        if self.states().note_classes(key, classes, !primary_source.has_company(&meta.owners)) {
            log::warn!(secret:% = key; "several classes name one secret");
            self.events.warn(&pod, SEVERAL_CLASSES, message);
        }
    }

    /// Somebody changes the Secret back again and again: the owner of the pod that speaks for it is told who, each time
    /// that the pause has grown.
    pub(super) fn report_quarrel(&self, key: &ObjectKey, word: &Word, provider: &str, edit: &Edit) {
        if !self.states().note_quarrel(key, Instant::now()) {
            return;
        }
        let primary_source = &word.desired.source_pod;
        self.metrics.sync_failed(provider, CHANGED_BACK.name);
        log::warn!(secret:% = key, edit:% = edit; "a secret is changed back again and again, it is put right ever later");
        let message = format!(
            "secret {} of class {}/{} is changed back again and again: {edit}; it is put right after pauses that grow \
             to five minutes. Have that stop, or take it out of the class",
            key.name, key.namespace, primary_source.class
        );
        let pod = PodRef {
            namespace: key.namespace.clone(),
            name: primary_source.pod.clone(),
            uid: primary_source.uid.clone(),
        };
        self.events.warn(&pod, CHANGED_BACK, message);
    }

    /// Entries of a class are wrong: all in one event and one line, since a pod is not told again and again.
    pub(super) fn report_class(&self, volume: &MirroredVolume, problems: &[SyncError]) {
        for problem in problems {
            self.metrics.sync_failed(&volume.class.provider, problem.reason());
        }
        let concerned = Concerned::Volume(volume.target.as_str().to_owned());
        let Some(first) = problems.first() else {
            self.complaints.lock().settle(&concerned);
            return;
        };
        let class = &volume.class.key;
        let shown = problems.iter().take(MOST_PROBLEMS_TOLD).map(SyncError::to_string);
        let mut shown = shown.collect::<Vec<_>>().join("; ");
        if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS_TOLD).filter(|more| *more > 0) {
            shown = format!("{shown}; and {more} more");
        }
        if self.complaints.lock().raise(&concerned, class, first.reason()) {
            log::warn!(class:% = class, problems = shown.as_str(); "entries of a class's secretObjects make no secret");
        }
        let message = format!("secretObjects of class {class}: {shown}");
        self.events.warn(&volume.pod, FAILED_TO_CREATE, message);
    }

    /// A Secret could not be brought up to date; `primary_source` is the volume that its content was to come from.
    pub(super) fn report(&self, key: &ObjectKey, error: &SyncError, primary_source: Option<&Source>) {
        let provider = primary_source.map_or("", |source| source.provider.as_str());
        self.metrics.sync_failed(provider, error.reason());
        if matches!(error, SyncError::Forbidden(_)) {
            return self.denied(error, primary_source);
        }
        let class = primary_source.map(|source| source.class.clone()).unwrap_or_default();
        // A class may ask for thousands.
        if self.complaints.lock().raise(&Concerned::Secret(key.clone()), &class, error.reason()) {
            log::warn!(class:% = class, secret:% = key, error:% = error; "could not bring a secret up to date");
        } else {
            log::debug!(secret:% = key, error:% = error; "could not bring a secret up to date");
        }
        if let (Some(source), Remedy::Owner | Remedy::RetryAndTell) = (primary_source, error.remedy()) {
            self.events.warn(&source.pod, FAILED_TO_CREATE, error.message(&source.class, &key.name));
        }
    }

    /// The permission is missing: one warning in the log for all, one event for each pod that misses a Secret.
    fn denied(&self, error: &SyncError, primary_source: Option<&Source>) {
        self.metrics.sync_permitted(false);
        if !self.is_denied.swap(true, Ordering::SeqCst) {
            let answer = match error {
                SyncError::Forbidden(Some(error)) => error.to_string(),
                _ => "listing secrets was refused".to_owned(),
            };
            log::warn!(answer = answer; "classes ask for Kubernetes Secrets, but {MISSING_ROLE}; mounting and refreshing are not affected");
        }
        if let Some(source) = primary_source
            && self.notified.lock().insert(source.target.as_str().to_owned())
        {
            let message = format!("class {} asks for Kubernetes Secrets, but {MISSING_ROLE}", source.class);
            self.events.warn(&source.pod, FAILED_TO_CREATE, message);
        }
    }
}

/// Of every event about a Secret that is not as its class wants it, as the upstream driver gives it.
const FAILED_TO_CREATE: Reason = Reason { name: "FailedToCreateSecret", component: COMPONENT };
/// Of the event about a Secret that several classes name.
const SEVERAL_CLASSES: Reason = Reason { name: "SecretOfSeveralClasses", component: COMPONENT };
/// Of the event about a Secret that somebody changes back again and again.
const CHANGED_BACK: Reason = Reason { name: "SecretChangedBack", component: COMPONENT };
/// An event has a kilobyte; a class may have any number of entries.
const MOST_PROBLEMS_TOLD: usize = 5;
/// Two names of the longest; one may come from an annotation that somebody edited.
const LONGEST_NAMES_BYTES: usize = 512;
const COMPONENT: &str = "csi-secrets-store-controller";
