//! What became of a publish, and who is told: dashboards, the log, the pod's owner.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base::text::printable;
use kube::event::Reason;
use kube::types::SecretProviderClass;
use metrics::PublishKind;
use provider::name::ProviderName;
use provider::registry::Unreachable;
use volume::writer::Written;

use super::attributes::Precedence;
use super::error::{ProviderError, PublishError};
use super::request::PublishRequest;
use super::{Publisher, pod_name};

/// How a publish ended that kubelet is told went well.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A new volume is live.
    Mounted,
    /// The volume is live already and not due.
    NotDue,
    /// The live volume was refreshed.
    Refreshed(Written),
    /// The live volume could not be refreshed and keeps what it has.
    Kept(PublishError),
}

impl Publisher {
    pub(super) fn count(&self, provider: &str, outcome: &Result<Outcome, PublishError>, elapsed: Duration) {
        let metrics = &self.metrics;
        match outcome {
            Ok(Outcome::Mounted) => metrics.publish_succeeded(provider, PublishKind::First, elapsed),
            Ok(Outcome::NotDue) => metrics.publish_succeeded(provider, PublishKind::Skipped, elapsed),
            Ok(Outcome::Refreshed(written)) => {
                metrics.publish_succeeded(provider, PublishKind::Refresh, elapsed);
                metrics.rotation_succeeded(provider, *written == Written::Changed, elapsed);
            }
            Ok(Outcome::Kept(error)) => {
                metrics.publish_failed(provider, error.reason());
                metrics.rotation_failed(provider, error.reason());
            }
            Err(error) => metrics.publish_failed(provider, error.reason()),
        }
    }

    /// Tells the log, and the pod's owner where something is wrong.
    pub(super) fn report(&self, request: &PublishRequest, outcome: &Result<Outcome, PublishError>) {
        let (pod, target) = (pod_name(&request.pod), request.target.as_str());
        match outcome {
            Ok(Outcome::Mounted) => {
                log::info!(pod = pod, target_path = target; "node publish volume complete")
            }
            Ok(Outcome::NotDue) => log::debug!(pod = pod, target_path = target; "volume is live and not due"),
            Ok(Outcome::Refreshed(Written::Changed)) => {
                log::info!(pod = pod, target_path = target; "volume was refreshed with new content");
            }
            Ok(Outcome::Refreshed(Written::Unchanged)) => {
                log::debug!(pod = pod, target_path = target; "volume was refreshed, nothing has changed");
            }
            Ok(Outcome::Kept(error)) => {
                let why = error.shown();
                if self.volumes.mark_failing(target, &why, SystemTime::now()) {
                    log::warn!(pod = pod, target_path = target, error = why;
                        "could not refresh the volume, the pod keeps what it has");
                }
                let class = &request.class;
                let message =
                    format!("could not refresh secrets of class {class}, the pod keeps what it has: {why}");
                self.events.warn(&request.pod, REFRESH_FAILED, message);
            }
            // Kubelet is told to come back, and does: nothing for the pod's owner to act on.
            Err(PublishError::Busy) => {}
            Err(error) => {
                log::error!(pod = pod, target_path = target, error:% = error; "could not publish the volume");
                // A wait in vain has been told while it lasted.
                let late = matches!(
                    error,
                    PublishError::Provider(ProviderError::Unreachable(Unreachable::Late { .. }))
                );
                if !late {
                    self.events.warn(&request.pod, PUBLISH_FAILED, error.status(&pod).message);
                }
            }
        }
    }

    /// Tells the pod's owner what a first publish waits for. Kubelet itself says nothing before its deadline, and then
    /// nothing of use.
    pub(super) fn report_wait(&self, request: &PublishRequest, provider: &ProviderName, socket: &Path) {
        let socket = socket.display();
        let message = format!(
            "waiting for provider \"{provider}\": nobody listens on {socket}; see whether its pod runs on this node"
        );
        log::warn!(pod = pod_name(&request.pod), target_path:% = request.target; "{message}");
        self.events.warn(&request.pod, PROVIDER_ABSENT, message);
    }

    /// Tells the pod's owner that the class is larger than it should be, once for each such class.
    pub(super) fn report_excess(&self, request: &PublishRequest, class: &SecretProviderClass) {
        if let Some(excess) = self.classes.excess_to_tell(class) {
            log::warn!(pod = pod_name(&request.pod); "{excess}");
            self.events.warn(&request.pod, CLASS_TOO_LARGE, excess);
        }
    }

    /// Tells the log which attributes of a pod were left out: the keys, never the values.
    pub(super) fn report_unknown(&self, request: &PublishRequest, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let keys = printable(&keys.join(", "), LONGEST_KEYS_BYTES);
        log::warn!(pod = pod_name(&request.pod), keys = keys;
            "the pod sets attributes that begin as kubelet's do: no provider hears of them");
    }

    /// Tells the log of tokens that were left out.
    pub(super) fn report_foreign_tokens(&self, request: &PublishRequest) {
        if request.had_foreign_tokens {
            log::warn!(pod = pod_name(&request.pod);
                "tokens came with the volume that are not bound to its pod, as kubelet's are: no provider hears of them");
        }
    }

    /// Tells the pod's owner that the pod and its class contradict each other: the keys, never the values.
    pub(super) fn report_collisions(&self, request: &PublishRequest, collisions: &[String]) {
        if collisions.is_empty() {
            return;
        }
        let winner = match self.precedence {
            Precedence::Class => "the class's values are used",
            Precedence::Pod => "the pod's values are used, as --allow-attribute-override says",
        };
        let keys = collisions.join(", ");
        let message = format!("volumeAttributes and class {} both set {keys}: {winner}", request.class);
        self.events.warn(&request.pod, ATTRIBUTE_CONFLICT, message);
    }
}

/// Keys are a pod's text without a limit of their own.
const LONGEST_KEYS_BYTES: usize = 512;
/// Reason of the event when a pod cannot start because of us.
const PUBLISH_FAILED: Reason = Reason { name: "SecretsStorePublishFailed", component: COMPONENT };
/// Reason of the event when a pod cannot start before a provider listens.
const PROVIDER_ABSENT: Reason = Reason { name: "SecretsStoreProviderAbsent", component: COMPONENT };
/// Reason of the event when a running pod's secrets cannot be refreshed.
const REFRESH_FAILED: Reason = Reason { name: "SecretsStoreRefreshFailed", component: COMPONENT };
/// Reason of the event when a pod and its class contradict each other.
const ATTRIBUTE_CONFLICT: Reason = Reason { name: "SecretsStoreAttributeConflict", component: COMPONENT };
/// Reason of the event when a class is larger than a class should be.
const CLASS_TOO_LARGE: Reason = Reason { name: "SecretsStoreClassTooLarge", component: COMPONENT };
const COMPONENT: &str = "secrets-store-csi-driver";
