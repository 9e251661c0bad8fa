//! Publishing and unpublishing a volume, told as straight-line stories.
//!
//! A first publish opens the volume to the pod only when it is whole; a republish of a live volume may refresh it
//! and never harms it. Everything that is decided is decided here; what the kernel, a provider or the API server
//! does for it is an argument. Nothing here knows gRPC messages or flags.

pub mod attributes;
pub mod error;
pub mod pod_status;
pub mod request;
pub mod rotation;
pub mod volumes;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::kube::budget::Budget;
use crate::kube::client::Client;
use crate::kube::event::{EventSink, PodRef};
use crate::kube::types::SecretProviderClass;
use crate::metrics::{Metrics, PublishKind};
use crate::provider::client::{MountRequest, MountResponse, ObjectVersion, with_retries};
use crate::provider::name::ProviderName;
use crate::provider::registry::Registry;
use crate::rpc::deadline::Deadline;
use crate::rpc::status::{Code, Status};
use crate::sys::mount::{Limits, Mounter, Usage};
use crate::timestamp;
use crate::volume::live::LiveVolume;
use crate::volume::payload::{File, FileMode, Payload};
use crate::volume::place::{Found, Place, PlaceError};
use crate::volume::target::TargetPath;
use crate::volume::writer::Written;

use attributes::{Attributes, Precedence, secrets_json};
use error::{FAILED_TO_MOUNT, ProviderError, PublishError};
use pod_status::KnownPodStatus;
use request::{PublishRequest, UnpublishRequest};
use rotation::Rotation;
use volumes::{Record, Volumes};

/// Publishes and unpublishes the volumes of one node.
pub struct Publisher {
    /// Name of this node.
    pub node: String,
    /// When live volumes are refreshed.
    pub rotation: Rotation,
    /// Who wins where a class and a pod use one key.
    pub precedence: Precedence,
    /// Size of each volume.
    pub limits: Limits,
    /// Makes the mounts.
    pub mounter: Mounter,
    /// The programs that know the secrets.
    pub providers: Registry,
    /// The API server.
    pub client: Client,
    /// Warnings on pods.
    pub events: EventSink,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is known of this node's volumes.
    pub volumes: Volumes,
}

/// How a publish ended that kubelet is told went well.
#[derive(Debug)]
enum Outcome {
    /// A new volume is live.
    Mounted,
    /// The volume is live already and not due.
    NotDue,
    /// The live volume was refreshed.
    Refreshed(Written),
    /// The live volume could not be refreshed and keeps what it has.
    Kept(PublishError),
}

/// How a live volume is.
pub struct Health {
    /// Space and inodes.
    pub usage: Usage,
    /// Since when and why it cannot be refreshed, if so.
    pub failing: Option<String>,
}

/// What a provider's answer did to a volume.
struct Filled {
    objects: Vec<ObjectVersion>,
    written: Written,
}

impl Publisher {
    /// Brings a volume to where kubelet wants it, or refreshes it.
    pub fn publish(&self, request: &PublishRequest, deadline: Deadline) -> Result<(), Status> {
        let begun = Instant::now();
        // Known as soon as the class is; the metrics of a call that ends before carry an empty name.
        let mut provider = String::new();
        let outcome = self.publish_or_keep(request, deadline, &mut provider);
        let failure = match &outcome {
            Ok(Outcome::Mounted) => {
                self.metrics.publish_succeeded(&provider, PublishKind::First, begun.elapsed());
                None
            }
            Ok(Outcome::NotDue) => {
                self.metrics.publish_succeeded(&provider, PublishKind::Skipped, begun.elapsed());
                None
            }
            Ok(Outcome::Refreshed(written)) => {
                self.metrics.publish_succeeded(&provider, PublishKind::Refresh, begun.elapsed());
                let rotated = *written == Written::Changed;
                self.metrics.rotation_succeeded(&provider, rotated, begun.elapsed());
                None
            }
            Ok(Outcome::Kept(error)) => {
                self.metrics.rotation_failed(&provider, error.reason());
                Some(error)
            }
            Err(error) => Some(error),
        };
        if let Some(error) = failure {
            self.metrics.publish_failed(&provider, error.reason());
        }
        self.report(request, &outcome);
        outcome.map(drop).map_err(|error| error.status(&pod_name(&request.pod)))
    }

    /// Removes a volume. Needs neither the API server nor a provider, and what is gone already is fine.
    pub fn unpublish(&self, request: &UnpublishRequest) -> Result<(), Status> {
        let target = &request.target;
        let outcome = match self.volumes.claim(&request.volume_id, target.as_str()) {
            None => Err(PublishError::Busy),
            Some(_claim) => self.take_down(target),
        };
        match outcome {
            Ok(()) => {
                self.metrics.unpublish_succeeded();
                log::info!(target_path:% = target; "node unpublish volume complete");
                Ok(())
            }
            Err(error) => {
                self.metrics.unpublish_failed();
                log::error!(target_path:% = target, error:% = error; "failed to clean and unmount target path");
                Err(Status::new(error.code(), error.to_string()))
            }
        }
    }

    /// Counts a publish whose arguments were refused.
    pub fn refused_publish(&self) {
        self.metrics.publish_failed("", FAILED_TO_MOUNT);
    }

    /// Counts an unpublish whose arguments were refused.
    pub fn refused_unpublish(&self) {
        self.metrics.unpublish_failed();
    }

    /// How a live volume is.
    pub fn health(&self, volume_id: &str, target: &TargetPath) -> Result<Health, Status> {
        let missing = || Status::new(Code::NotFound, format!("there is no volume at {target}"));
        let record = self.volumes.record(target.as_str()).unwrap_or_default();
        if !record.volume_id.is_empty() && record.volume_id != volume_id {
            return Err(missing());
        }
        let internal = |error: &dyn std::fmt::Display| Status::new(Code::Internal, error.to_string());
        let volume = self.live_volume(target).map_err(|error| internal(&error))?.ok_or_else(missing)?;
        let usage = volume.usage().map_err(|error| internal(&error))?;
        let failing = record.failing.map(|failing| {
            format!("not refreshed since {}: {}", timestamp::rfc3339_seconds(failing.since), failing.why)
        });
        Ok(Health { usage, failing })
    }

    fn live_volume(&self, target: &TargetPath) -> Result<Option<LiveVolume>, PlaceError> {
        match Place::open(target)? {
            None => Ok(None),
            Some(place) => match place.look()? {
                Found::Live(volume) => Ok(Some(volume)),
                Found::NoVolume | Found::Unfinished => Ok(None),
            },
        }
    }

    /// Remembers a live volume that an earlier process left.
    pub fn adopt(&self, target: &TargetPath) -> Result<bool, PublishError> {
        let Some(volume) = self.live_volume(target)? else {
            return Ok(false);
        };
        let refreshed = Some(volume.refreshed().map_err(PublishError::Mount)?);
        self.volumes.remember(target.as_str(), Record { refreshed, ..Record::default() });
        Ok(true)
    }

    fn take_down(&self, target: &TargetPath) -> Result<(), PublishError> {
        if let Some(place) = Place::open(target)? {
            place.take_down()?;
        }
        self.volumes.forget(target.as_str());
        Ok(())
    }

    fn publish_or_keep(
        &self,
        request: &PublishRequest,
        deadline: Deadline,
        provider: &mut String,
    ) -> Result<Outcome, PublishError> {
        let target = request.target.as_str();
        let Some(_claim) = self.volumes.claim(&request.volume_id, target) else {
            return Err(PublishError::Busy);
        };
        let place = Place::open_or_create(&request.target)?;
        match place.look()? {
            Found::Live(volume) => Ok(self.keep_fresh(request, &volume, deadline, provider)),
            Found::Unfinished => {
                log::warn!(target_path = target; "taking down a volume that a crash left unfinished");
                place.take_down()?;
                let place = Place::open_or_create(&request.target)?;
                self.first_publish(request, place, deadline, provider).map(|()| Outcome::Mounted)
            }
            Found::NoVolume => {
                self.first_publish(request, place, deadline, provider).map(|()| Outcome::Mounted)
            }
        }
    }

    /// Makes a volume that opens when it is whole. Whatever fails, nothing of it stays.
    fn first_publish(
        &self,
        request: &PublishRequest,
        place: Place,
        deadline: Deadline,
        provider: &mut String,
    ) -> Result<(), PublishError> {
        let class = match self.class(request, deadline) {
            Ok(class) if !deadline.is_past() => class,
            late_or_failed => {
                place.abandon();
                return late_or_failed.and(in_time(deadline, "mounting"));
            }
        };
        provider.clone_from(&class.provider);
        // From here on dropping the attempt undoes it.
        let attempt = place.begin(&self.mounter, self.limits).map_err(PublishError::Mount)?;
        let volume = attempt.volume();
        let filled = self.fill(request, &class, volume, Vec::new(), deadline)?;
        in_time(deadline, "opening the volume")?;
        let refreshed = SystemTime::now();
        volume.finish(refreshed).map_err(PublishError::Mount)?;
        if !attempt.is_in_place()? {
            return Err(PublishError::Displaced);
        }
        in_time(deadline, "writing the pod status")?;
        let pod_status = self.ensure_pod_status(request, &filled.objects, None, deadline)?;
        attempt.keep();
        self.remember(request, class, filled.objects, pod_status, refreshed);
        Ok(())
    }

    /// Refreshes a live volume when it is due. Nothing that fails here touches what the pod sees.
    fn keep_fresh(
        &self,
        request: &PublishRequest,
        volume: &LiveVolume,
        deadline: Deadline,
        provider: &mut String,
    ) -> Outcome {
        let refreshed = match volume.refreshed() {
            Ok(refreshed) => refreshed,
            Err(error) => return Outcome::Kept(PublishError::Mount(error)),
        };
        let record = self.recall(request, refreshed);
        let due = rotation::is_due(self.rotation, &request.volume_id, refreshed, SystemTime::now());
        if !due && !self.lacks_pod_status(request, &record, deadline) {
            return Outcome::NotDue;
        }
        match self.refresh(request, volume, record, deadline, provider) {
            Ok(written) => Outcome::Refreshed(written),
            Err(error) => Outcome::Kept(error),
        }
    }

    fn refresh(
        &self,
        request: &PublishRequest,
        volume: &LiveVolume,
        record: Record,
        deadline: Deadline,
        provider: &mut String,
    ) -> Result<Written, PublishError> {
        let class = match self.class(request, deadline) {
            Err(PublishError::Class { source, .. }) if source.is_retryable() && record.class.is_some() => {
                log::debug!(error:% = source; "could not read the class, refreshing with its last known form");
                record.class.unwrap_or_default()
            }
            read => read?,
        };
        provider.clone_from(&class.provider);
        in_time(deadline, "asking the provider")?;
        let filled = self.fill(request, &class, volume, record.objects, deadline)?;
        in_time(deadline, "writing the pod status")?;
        let pod_status =
            self.ensure_pod_status(request, &filled.objects, record.pod_status.as_ref(), deadline)?;
        let refreshed = SystemTime::now();
        volume.stamp(refreshed).map_err(PublishError::Mount)?;
        self.remember(request, class, filled.objects, pod_status, refreshed);
        Ok(filled.written)
    }

    /// The record of a live volume, with what this request and the volume itself say of it.
    fn recall(&self, request: &PublishRequest, refreshed: SystemTime) -> Record {
        let target = request.target.as_str();
        let mut record = self.volumes.record(target).unwrap_or_default();
        record.volume_id.clone_from(&request.volume_id);
        record.pod = Some(request.pod.clone());
        record.refreshed = Some(refreshed);
        self.volumes.remember(target, record.clone());
        record
    }

    /// True when a volume that is open has no pod status: the process that opened it died before writing it, and
    /// its work has to be finished. Asked of the API server once for each volume after a start.
    fn lacks_pod_status(&self, request: &PublishRequest, record: &Record, deadline: Deadline) -> bool {
        if record.pod_status.is_some() {
            return false;
        }
        let target = request.target.as_str();
        let wanted = pod_status::desired(request, &self.node, &[]);
        match KnownPodStatus::find(&self.client, &wanted, budget(deadline), Instant::now()) {
            Ok(Some(found)) => {
                self.volumes.remember(target, Record { pod_status: Some(found), ..record.clone() });
                false
            }
            Ok(None) => true,
            // Not known to be missing: leave it to the next call.
            Err(error) => {
                log::debug!(target_path = target, error:% = error; "could not look up the pod status");
                false
            }
        }
    }

    /// The class as it is now, whole enough to be used.
    fn class(
        &self,
        request: &PublishRequest,
        deadline: Deadline,
    ) -> Result<Arc<SecretProviderClass>, PublishError> {
        let class = format!("{}/{}", request.pod.namespace, request.class);
        in_time(deadline, "reading the class")?;
        let found = match self.client.class(&request.pod.namespace, &request.class, budget(deadline)) {
            Ok(found) => found,
            Err(source) => return Err(PublishError::Class { class, source }),
        };
        if found.provider.is_empty() {
            return Err(PublishError::ClassWithoutProvider { class });
        }
        if found.parameters.is_empty() {
            return Err(PublishError::ClassWithoutParameters { class });
        }
        Ok(Arc::new(found))
    }

    /// Asks the provider and makes its answer the content of the volume.
    fn fill(
        &self,
        request: &PublishRequest,
        class: &SecretProviderClass,
        volume: &LiveVolume,
        current: Vec<ObjectVersion>,
        deadline: Deadline,
    ) -> Result<Filled, PublishError> {
        let answer = self.ask(request, class, current, deadline)?;
        in_time(deadline, "writing the files")?;
        let objects = answer.objects;
        let written = if answer.files.is_empty() {
            // The provider wrote the files itself, or wants the volume to stay as it is.
            if let Some(gid) = request.group {
                volume.give_to_group(gid).map_err(PublishError::Mount)?;
            }
            Written::Unchanged
        } else {
            let files = answer
                .files
                .into_iter()
                .map(|(path, mode, contents)| (path, File { mode: FileMode::from_provider(mode), contents }));
            let payload = Payload::new(files).map_err(ProviderError::Payload)?;
            volume.write(&payload, request.group, SystemTime::now()).map_err(ProviderError::Write)?
        };
        Ok(Filled { objects, written })
    }

    /// One question to the provider, with the one retry rule, and the checks that every answer must pass.
    fn ask(
        &self,
        request: &PublishRequest,
        class: &SecretProviderClass,
        current: Vec<ObjectVersion>,
        deadline: Deadline,
    ) -> Result<MountResponse, PublishError> {
        let name = ProviderName::parse(&class.provider).map_err(ProviderError::InvalidName)?;
        let merged = Attributes::merge(&class.parameters, request, self.precedence).map_err(|source| {
            let class = format!("{}/{}", class.namespace, class.name);
            PublishError::ClassWithReservedParameter { class, source }
        })?;
        self.report_collisions(request, &merged.collisions);
        let question = MountRequest {
            attributes: merged.json,
            secrets: secrets_json(&request.secrets),
            target_path: request.target.as_str().to_owned(),
            current,
        };
        let mut missing = None;
        let answered = with_retries(deadline, || {
            let provider = match self.providers.find(&name) {
                Ok(provider) => provider,
                Err(not_found) => {
                    let text = not_found.to_string();
                    missing = Some(not_found);
                    return Err(Status::new(Code::Unknown, text));
                }
            };
            let begun = Instant::now();
            let answered = provider.mount(&question, deadline);
            let code = answered.as_ref().err().map_or(Code::Ok, |status| status.code);
            self.metrics.provider_called(name.as_str(), code.name(), begun.elapsed());
            answered
        });
        if let Some(not_found) = missing {
            return Err(ProviderError::NotFound(not_found).into());
        }
        let answer = answered.map_err(ProviderError::Call)?;
        if !answer.error_code.is_empty() {
            return Err(ProviderError::Answered { code: answer.error_code }.into());
        }
        if answer.objects.is_empty() {
            return Err(ProviderError::NoObjects.into());
        }
        if answer.encoded_bytes > SECRET_LIMIT_BYTES {
            log::info!(provider = name.as_str(), bytes = answer.encoded_bytes; "the provider's answer is too large for one Kubernetes Secret, mirroring it may fail");
        }
        Ok(answer)
    }

    fn ensure_pod_status(
        &self,
        request: &PublishRequest,
        objects: &[ObjectVersion],
        known: Option<&KnownPodStatus>,
        deadline: Deadline,
    ) -> Result<KnownPodStatus, PublishError> {
        let desired = pod_status::desired(request, &self.node, objects);
        pod_status::ensure(&self.client, &desired, known, budget(deadline), Instant::now())
            .map_err(PublishError::PodStatus)
    }

    fn remember(
        &self,
        request: &PublishRequest,
        class: Arc<SecretProviderClass>,
        objects: Vec<ObjectVersion>,
        pod_status: KnownPodStatus,
        refreshed: SystemTime,
    ) {
        let target = request.target.as_str();
        let recovered = self.volumes.record(target).is_some_and(|record| record.failing.is_some());
        if recovered {
            log::info!(pod = pod_name(&request.pod), target_path = target; "volume is fresh again");
        }
        self.volumes.remember(
            target,
            Record {
                volume_id: request.volume_id.clone(),
                pod: Some(request.pod.clone()),
                class: Some(class),
                objects,
                pod_status: Some(pod_status),
                refreshed: Some(refreshed),
                failing: None,
            },
        );
    }

    /// Tells the log, and the pod's owner where something is wrong.
    fn report(&self, request: &PublishRequest, outcome: &Result<Outcome, PublishError>) {
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
                let why = error.to_string();
                if self.volumes.mark_failing(target, &why, SystemTime::now()) {
                    log::warn!(pod = pod, target_path = target, error = why; "could not refresh the volume, the pod keeps what it has");
                }
                let message = format!(
                    "could not refresh secrets of class {}, the pod keeps what it has: {why}",
                    request.class
                );
                self.events.warn(&request.pod, REFRESH_FAILED, message);
            }
            // Kubelet is told to come back, and does: nothing for the pod's owner to act on.
            Err(PublishError::Busy) => {}
            Err(error) => {
                log::error!(pod = pod, target_path = target, error:% = error; "could not publish the volume");
                self.events.warn(&request.pod, PUBLISH_FAILED, error.status(&pod).message);
            }
        }
    }

    fn report_collisions(&self, request: &PublishRequest, collisions: &[String]) {
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

fn pod_name(pod: &PodRef) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

fn in_time(deadline: Deadline, before: &'static str) -> Result<(), PublishError> {
    if deadline.is_past() { Err(PublishError::Deadline { before }) } else { Ok(()) }
}

fn budget(deadline: Deadline) -> Budget {
    Budget::lasting(deadline.at_most().min(API_PATIENCE))
}

/// The longest that one step of a publish waits for the API server, retries included.
const API_PATIENCE: Duration = Duration::from_secs(10);
/// etcd takes objects of about this size.
const SECRET_LIMIT_BYTES: u64 = 1024 * 1024;
/// Reason of the event when a pod cannot start because of us.
const PUBLISH_FAILED: &str = "SecretsStorePublishFailed";
/// Reason of the event when a running pod's secrets cannot be refreshed.
const REFRESH_FAILED: &str = "SecretsStoreRefreshFailed";
/// Reason of the event when a pod and its class contradict each other.
const ATTRIBUTE_CONFLICT: &str = "SecretsStoreAttributeConflict";
