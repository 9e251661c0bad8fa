//! Publishing and unpublishing a volume.
//!
//! [`Publisher`] is what the services call. One publish is told as a straight-line story in `publishing`, what
//! becomes of it in `outcome`. Everything that is decided is decided here; what the kernel, a provider or the API
//! server does for it is a field of the publisher. Nothing here knows CSI messages or flags.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod adoption;
pub mod attributes;
pub mod classes;
pub mod content_memory;
pub mod error;
pub mod fingerprint;
pub mod memory;
mod outcome;
pub mod own_pod;
pub mod phases;
pub mod pod_status;
mod publishing;
mod question;
pub mod refresh_times;
pub mod request;
pub mod rotation;
pub mod volumes;

use std::sync::Arc;
use std::time::Instant;

use base::text::printable;
use base::timestamp;
use kube::client::Client;
use kube::event::{EventSink, PodRef};
use metrics::Metrics;
use mounter::client::MounterClient;
use provider::registry::Registry;
use rpc::deadline::Deadline;
use rpc::status::{Code, Status};
use sync::SecretSync;
use sys::at::SysError;
use sys::mount::Usage;
use volume::limits::ContentLimits;
use volume::live::LiveVolume;
use volume::place::{Found, Place, PlaceError};
use volume::target::TargetPath;

use attributes::Precedence;
use classes::Classes;
use content_memory::ContentMemory;
use error::{FAILED_TO_MOUNT, PublishError};
use memory::PodMemory;
use own_pod::PodUid;
use publishing::Publishing;
use refresh_times::{LastRefresh, RefreshTimes};
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
    /// How much a volume may hold.
    pub limits: ContentLimits,
    /// How much all volumes may.
    pub memory: PodMemory,
    /// The pod of this process, where the kernel shows it.
    pub own_pod: Option<PodUid>,
    /// Makes the mounts.
    pub mounter: MounterClient,
    /// The programs that know the secrets.
    pub providers: Registry,
    /// The API server.
    pub client: Client,
    /// The classes in use.
    pub classes: Classes,
    /// The Kubernetes Secrets that classes ask for.
    pub secrets: SecretSync,
    /// Warnings on pods.
    pub events: Arc<EventSink>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is known of this node's volumes.
    pub volumes: Volumes,
    /// What a later process will want to know of them.
    pub refresh_times: RefreshTimes,
}

/// How a live volume is.
pub struct Health {
    /// Space and inodes.
    pub usage: Usage,
    /// Since when and why it cannot be refreshed, if so.
    pub failing: Option<String>,
}

impl Publisher {
    /// Brings a volume to where kubelet wants it, or refreshes it.
    pub fn publish(&self, request: &PublishRequest, deadline: Deadline) -> Result<(), Status> {
        let begun = Instant::now();
        let mut publishing = Publishing::new(self, request, deadline);
        let outcome = publishing.run();
        self.count(publishing.provider(), &outcome, begun.elapsed());
        self.report(request, &outcome);
        log::debug!(pod = pod_name(&request.pod), milliseconds:% = publishing.phases(); "{TOOK}");
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

    /// How a live volume is.
    pub fn health(&self, volume_id: &str, target: &TargetPath) -> Result<Health, Status> {
        let missing = || Status::new(Code::NotFound, format!("there is no volume at {target}"));
        let internal = |error: &dyn std::fmt::Display| Status::new(Code::Internal, error.to_string());
        let record = self.volumes.record(target.as_str()).unwrap_or_default();
        if !record.volume_id.is_empty() && record.volume_id != volume_id {
            return Err(missing());
        }
        let volume = live_volume(target).map_err(|error| internal(&error))?.ok_or_else(missing)?;
        let usage = volume.usage().map_err(|error| internal(&error))?;
        let failing = record.failing.map(|failing| {
            format!("not refreshed since {}: {}", timestamp::rfc3339_seconds(failing.since), failing.why)
        });
        Ok(Health { usage, failing })
    }

    /// Remembers a live volume that an earlier process left; false when there is none.
    pub fn adopt(&self, target: &TargetPath) -> Result<bool, PublishError> {
        let Some(volume) = live_volume(target)? else { return Ok(false) };
        let refreshed = Some(self.last_refresh(target, &volume).map_err(PublishError::Mount)?);
        let memory = self.inherited_memory(target, &volume).map_err(PublishError::Mount)?;
        self.volumes.remember(target.as_str(), Record { refreshed, memory, ..Record::default() });
        Ok(true)
    }

    /// Keeps for a later process when each volume was last refreshed, and which pod wrote it; false when nothing is new
    /// since the last time.
    pub fn keep_refresh_times(&self) -> Result<bool, SysError> {
        self.refresh_times.keep(&self.volumes.kept())
    }

    /// The memory of a live volume that an earlier process left. Whoever wrote it, until the next refresh shows.
    fn inherited_memory(&self, target: &TargetPath, volume: &LiveVolume) -> Result<ContentMemory, SysError> {
        let kept = self.refresh_times.inherited(target.as_str(), volume.mount_id()?);
        let origin = kept.and_then(|kept| kept.origin);
        Ok(ContentMemory::inherited(volume.memory()?, volume.changed()?, origin, self.own_pod))
    }

    /// The last refresh of a live volume that succeeded, as far as anybody knows: this process, the one before it, or
    /// the volume itself, whose root shows when its content came.
    fn last_refresh(&self, target: &TargetPath, volume: &LiveVolume) -> Result<LastRefresh, SysError> {
        let mount = volume.mount_id()?;
        let known = self.volumes.record(target.as_str()).and_then(|record| record.refreshed);
        if let Some(known) = known.filter(|known| known.mount == mount) {
            return Ok(known);
        }
        let at = match self.refresh_times.inherited(target.as_str(), mount) {
            Some(kept) => kept.refreshed.at,
            None => volume.changed()?,
        };
        Ok(LastRefresh { mount, at })
    }

    /// Counts a publish whose arguments were refused.
    pub fn refused_publish(&self) {
        self.metrics.publish_failed("", FAILED_TO_MOUNT);
    }

    /// Counts an unpublish whose arguments were refused.
    pub fn refused_unpublish(&self) {
        self.metrics.unpublish_failed();
    }

    fn take_down(&self, target: &TargetPath) -> Result<(), PublishError> {
        if let Some(place) = Place::open(target)? {
            place.take_down(&self.mounter)?;
        }
        let forgotten = self.volumes.forget(target.as_str());
        self.secrets.gone(target);
        if let Some(class) = forgotten.and_then(|record| record.class) {
            self.classes.release(&class.key, &self.volumes);
        }
        Ok(())
    }
}

fn live_volume(target: &TargetPath) -> Result<Option<LiveVolume>, PlaceError> {
    match Place::open(target)? {
        None => Ok(None),
        Some(place) => match place.look()? {
            Found::Live(volume) => Ok(Some(volume)),
            Found::NoVolume | Found::Unfinished(_) => Ok(None),
        },
    }
}

fn pod_name(pod: &PodRef) -> String {
    // Names are checked where they would become part of a path; until then they are what somebody wrote.
    printable(&format!("{}/{}", pod.namespace, pod.name), LONGEST_POD_NAME_BYTES)
}

/// What the log says before the phases of a publish.
pub const TOOK: &str = "node publish volume took";
/// Both names at their longest, which are 63 and 253 bytes, and the slash.
const LONGEST_POD_NAME_BYTES: usize = 317;
