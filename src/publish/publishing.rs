//! One publish, from the claim on the volume to the answer, as a story that reads from top to bottom.
//!
//! Before every step that can take long the caller's deadline is asked: nobody is worked for who has left.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::budget::Budget;
use kube::error::ApiError;
use kube::types::{ObjectKey, SecretProviderClass};
use provider::answer::{MountResponse, ObjectVersion};
use provider::client::Answered;
use rpc::deadline::Deadline;
use sync::{Freshness, MirroredVolume};
use sys::at::SysError;
use volume::live::LiveVolume;
use volume::payload::{File, FileMode, Payload};
use volume::place::{Found, Place};
use volume::writer::{WriteError, Written};

use super::Publisher;
use super::content_memory::ContentMemory;
use super::error::{ProviderError, PublishError};
use super::fingerprint::Fingerprint;
use super::outcome::Outcome;
use super::phases::{Phase, Phases};
use super::pod_status::{self, KnownPodStatus};
use super::refresh_times::LastRefresh;
use super::request::PublishRequest;
use super::rotation;
use super::volumes::Record;

/// One publish in hand.
pub(super) struct Publishing<'a> {
    pub(super) publisher: &'a Publisher,
    pub(super) request: &'a PublishRequest,
    pub(super) deadline: Deadline,
    pub(super) if_absent: IfAbsent,
    provider: String,
    pub(super) phases: Phases,
}

/// What happens while there is a provider's socket but nobody listens on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfAbsent {
    /// Wait until the deadline.
    Wait,
    /// Say so.
    Fail,
}

/// What a provider's answer did to a volume.
struct Filled {
    objects: Vec<ObjectVersion>,
    written: Written,
    /// The provider wrote the files, so that only it knows what it did to them.
    by_provider: bool,
    /// Memory of the content that the driver wrote.
    memory: ContentMemory,
}

impl<'a> Publishing<'a> {
    pub(super) fn new(publisher: &'a Publisher, request: &'a PublishRequest, deadline: Deadline) -> Self {
        // Without a provider there is no volume, so a first publish waits for one that is starting.
        Publishing {
            publisher,
            request,
            deadline,
            if_absent: IfAbsent::Wait,
            provider: String::new(),
            phases: Phases::default(),
        }
    }

    /// Name of the provider; empty until the class has been read.
    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// How long each step has taken.
    pub(super) fn phases(&self) -> &Phases {
        &self.phases
    }

    /// Publishes for the first time, or refreshes what is live.
    pub(super) fn run(&mut self) -> Result<Outcome, PublishError> {
        let target = &self.request.target;
        let Some(_claim) = self.publisher.volumes.claim(&self.request.volume_id, target.as_str()) else {
            return Err(PublishError::Busy);
        };
        let place = Place::open_or_create(target)?;
        let known = self.publisher.volumes.record(target.as_str()).and_then(|record| record.refreshed?.mount);
        let found = match place.look_again(known) {
            Ok(found) => found,
            Err(error) => {
                place.abandon();
                return Err(error.into());
            }
        };
        match found {
            Found::Live(volume) => return Ok(self.keep_fresh(&volume)),
            Found::NoVolume => self.first_publish(place)?,
            Found::Unfinished(_) => {
                log::warn!(target_path:% = target; "taking down a volume that a crash left unfinished");
                place.take_down(&self.publisher.mounter)?;
                self.first_publish(Place::open_or_create(target)?)?;
            }
        }
        Ok(Outcome::Mounted)
    }

    /// Makes a volume that opens when it is whole. Whatever fails, nothing of it stays.
    fn first_publish(&mut self, place: Place) -> Result<(), PublishError> {
        let publisher = self.publisher;
        let need = publisher.classes.need(self.class_key(), &publisher.volumes);
        let class = self.class(|budget| need.read(budget));
        let class = match class.and_then(|class| self.in_time("mounting").map(|()| class)) {
            Ok(class) => class,
            Err(error) => {
                place.abandon();
                return Err(error);
            }
        };
        // From here on dropping the attempt undoes it.
        let attempt = self.phases.time(Phase::Mount, || place.begin(&self.publisher.mounter));
        let attempt = attempt.map_err(PublishError::Mount)?;
        let filled = self.fill(&class, attempt.volume(), None, ContentMemory::default())?;
        self.in_time("opening the volume")?;
        let mount = attempt.volume().mount_id().map_err(PublishError::Mount)?;
        let refreshed = LastRefresh { mount, at: SystemTime::now() };
        self.phases.time(Phase::Open, || attempt.volume().finish()).map_err(PublishError::Mount)?;
        if !attempt.is_in_place()? {
            return Err(PublishError::Displaced);
        }
        let pod_status = self.ensure_pod_status(&filled.objects, None)?;
        attempt.keep();
        let mirrored = self.mirrored(&class, &pod_status, Freshness::New);
        self.remember(class, &filled, pod_status, refreshed);
        // Nothing that fails here fails the publish. A pod whose variables come from a Secret waits for it anyway.
        let budget = self.budget().at_most(SYNC_PATIENCE);
        self.phases.time(Phase::Secrets, || self.publisher.secrets.published(mirrored, budget));
        Ok(())
    }

    /// Refreshes a live volume when it is due. Nothing that fails here touches what the pod sees.
    ///
    /// Kubelet has to hear of its success while it still waits. So a provider that is absent is not waited for, and
    /// one that hangs is given up a little before kubelet does: with the next call there is another chance.
    fn keep_fresh(&mut self, volume: &LiveVolume) -> Outcome {
        self.if_absent = IfAbsent::Fail;
        self.deadline = self.deadline.within(REFRESH_PATIENCE);
        let (record, refreshed) = match self.recall(volume) {
            Ok(recalled) => recalled,
            Err(error) => return Outcome::Kept(PublishError::Mount(error)),
        };
        let id = &self.request.volume_id;
        let due = rotation::is_due(self.publisher.rotation, id, refreshed.at, SystemTime::now());
        if !due && !self.lacks_pod_status(&record) {
            return Outcome::NotDue;
        }
        match self.refresh(volume, record, refreshed.mount) {
            Ok(written) => Outcome::Refreshed(written),
            Err(error) => Outcome::Kept(error),
        }
    }

    fn refresh(
        &mut self,
        volume: &LiveVolume,
        record: Record,
        mount: Option<u64>,
    ) -> Result<Written, PublishError> {
        // What failed before may have written, and then nobody has told the Secrets.
        let has_failed = record.failing.is_some();
        // What an earlier process wrote into the volume it may not have told the Secrets, and times alone cannot tell:
        // those of Secrets are in whole seconds. Now the provider says what is current.
        let is_inherited = record.class.is_none();
        let (classes, key) = (&self.publisher.classes, self.class_key());
        let class = match (self.class(|budget| classes.followed(&key, budget)), record.class) {
            (Err(PublishError::Class { source, .. }), Some(last_known)) if source.is_retryable() => {
                log::debug!(error:% = source; "could not read the class, refreshing with its last known form");
                last_known
            }
            (read, _) => read?,
        };
        let filled = self.fill(&class, volume, record.objects, record.memory)?;
        let pod_status = self.ensure_pod_status(&filled.objects, record.pod_status.as_ref())?;
        let refreshed = LastRefresh { mount, at: SystemTime::now() };
        let freshness = match filled.written {
            Written::Changed => Freshness::New,
            Written::Unchanged if is_inherited => Freshness::New,
            Written::Unchanged if filled.by_provider || has_failed => Freshness::Unsure,
            Written::Unchanged => Freshness::Same,
        };
        let mirrored = self.mirrored(&class, &pod_status, freshness);
        self.remember(class, &filled, pod_status, refreshed);
        self.publisher.secrets.refreshed(mirrored);
        Ok(filled.written)
    }

    /// The class as it is now, whole enough to be used.
    pub(super) fn class(
        &mut self,
        look_up: impl FnOnce(Budget) -> Result<Arc<SecretProviderClass>, ApiError>,
    ) -> Result<Arc<SecretProviderClass>, PublishError> {
        self.in_time("reading the class")?;
        let class = self.class_key().to_string();
        let found = self.phases.time(Phase::Class, || look_up(self.budget()));
        let found = match found {
            Ok(found) => found,
            Err(source) => return Err(PublishError::Class { class, source }),
        };
        if found.provider.is_empty() {
            return Err(PublishError::ClassWithoutProvider { class });
        }
        self.provider.clone_from(&found.provider);
        if found.parameters.is_empty() {
            return Err(PublishError::ClassWithoutParameters { class });
        }
        Ok(found)
    }

    pub(super) fn class_key(&self) -> ObjectKey {
        ObjectKey::new(&self.request.pod.namespace, &self.request.class)
    }

    /// Asks the provider and makes its answer the content of the volume, of which `known` is what the last answer
    /// said, if any is remembered, and `held` the memory of what it holds.
    fn fill(
        &mut self,
        class: &SecretProviderClass,
        volume: &LiveVolume,
        known: Option<Fingerprint>,
        held: ContentMemory,
    ) -> Result<Filled, PublishError> {
        // The class may be the last known form of one that cannot be read now.
        self.provider.clone_from(&class.provider);
        let Answered { response, share } = self.ask_in_turn(class)?;
        self.in_time("writing the files")?;
        let filled = self.phases.time(Phase::Write, || self.write(response, volume, known, held));
        // Until here the content was in memory twice.
        drop(share);
        filled
    }

    /// Makes a provider's answer the content of the volume.
    fn write(
        &self,
        MountResponse { objects, files, encoded_bytes, .. }: MountResponse,
        volume: &LiveVolume,
        known: Option<Fingerprint>,
        held: ContentMemory,
    ) -> Result<Filled, PublishError> {
        let by_provider = files.is_empty();
        let written = if by_provider {
            // The provider wrote the files itself, or wants the volume to stay as it is.
            if let Some(gid) = self.request.group {
                volume.give_to_group(gid).map_err(PublishError::Mount)?;
            }
            // Its versions are all that tells whether the content is another.
            let is_news = known.is_some_and(|known| known != Fingerprint::of(&objects));
            if is_news { Written::Changed } else { Written::Unchanged }
        } else {
            let files = files
                .into_iter()
                .map(|(path, mode, contents)| (path, File { mode: FileMode::from_provider(mode), contents }));
            let payload = Payload::new(files).map_err(ProviderError::Payload)?;
            let growth = self.growth(volume, &payload, held).map_err(ProviderError::Write)?;
            let content = || self.publisher.volumes.memory();
            let room = self.publisher.memory.room(encoded_bytes, growth, content, || self.deadline.is_past());
            let Some(_room) = room.map_err(PublishError::Memory)? else {
                return Err(PublishError::Deadline { before: "writing the files" });
            };
            let limits = self.publisher.limits;
            volume
                .write(&payload, self.request.group, limits, SystemTime::now())
                .map_err(ProviderError::Write)?
        };
        let memory = match written {
            // What a provider writes is charged to its own pod.
            _ if by_provider => ContentMemory::default(),
            Written::Unchanged => held,
            Written::Changed => self.written_memory(volume).map_err(PublishError::Mount)?,
        };
        Ok(Filled { objects, written, by_provider, memory })
    }

    /// How much more memory of this process's pod the volume will take with that content, in bytes. What another pod
    /// is charged for goes when the new content comes, and leaves no room here.
    fn growth(&self, volume: &LiveVolume, payload: &Payload, held: ContentMemory) -> Result<u64, WriteError> {
        let growth = volume.growth(payload, held.bytes)?;
        if growth > 0 && volume.holds(payload, self.request.group)? {
            return Ok(0);
        }
        Ok(growth)
    }

    fn written_memory(&self, volume: &LiveVolume) -> Result<ContentMemory, SysError> {
        Ok(ContentMemory::written(volume.memory()?, volume.changed()?, self.publisher.own_pod))
    }

    fn ensure_pod_status(
        &self,
        objects: &[ObjectVersion],
        known: Option<&KnownPodStatus>,
    ) -> Result<KnownPodStatus, PublishError> {
        self.in_time("writing the pod status")?;
        let desired = pod_status::desired(self.request, &self.publisher.node, objects);
        let client = &self.publisher.client;
        let ensure = || pod_status::ensure(client, &desired, known, self.budget(), Instant::now());
        self.phases.time(Phase::PodStatus, ensure).map_err(PublishError::PodStatus)
    }

    /// True when a volume that is open has no pod status: the process that opened it died before writing it, and
    /// its work has to be finished. Asked of the API server once for each volume after a start.
    fn lacks_pod_status(&self, record: &Record) -> bool {
        if record.pod_status.is_some() {
            return false;
        }
        let target = self.request.target.as_str();
        let wanted = pod_status::desired(self.request, &self.publisher.node, &[]);
        match KnownPodStatus::find(&self.publisher.client, &wanted, self.budget(), Instant::now()) {
            Ok(Some(found)) => {
                let known = Record { pod_status: Some(found), ..record.clone() };
                self.publisher.volumes.remember(target, known);
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

    /// The record of a live volume, with what this request and the volume itself say of it.
    fn recall(&self, volume: &LiveVolume) -> Result<(Record, LastRefresh), SysError> {
        let (publisher, target) = (self.publisher, &self.request.target);
        let refreshed = publisher.last_refresh(target, volume)?;
        let known = publisher.volumes.record(target.as_str());
        let is_same = |record: &Record| record.refreshed.is_some_and(|known| known.mount == refreshed.mount);
        let memory = match known.as_ref().filter(|record| is_same(record)) {
            Some(record) => record.memory,
            None => publisher.inherited_memory(target, volume)?,
        };
        let record = Record {
            volume_id: self.request.volume_id.clone(),
            refreshed: Some(refreshed),
            memory,
            ..known.unwrap_or_default()
        };
        publisher.volumes.remember(target.as_str(), record.clone());
        Ok((record, refreshed))
    }

    fn remember(
        &self,
        class: Arc<SecretProviderClass>,
        filled: &Filled,
        pod_status: KnownPodStatus,
        refreshed: LastRefresh,
    ) {
        let target = self.request.target.as_str();
        let before = self.publisher.volumes.record(target);
        if before.is_some_and(|record| record.failing.is_some()) {
            log::info!(target_path = target; "volume is fresh again");
        }
        let record = Record {
            volume_id: self.request.volume_id.clone(),
            class: Some(class),
            objects: Some(Fingerprint::of(&filled.objects)),
            pod_status: Some(pod_status),
            refreshed: Some(refreshed),
            failing: None,
            memory: filled.memory,
        };
        self.publisher.volumes.remember(target, record);
    }

    /// The volume as the sync of Secrets has to know it.
    fn mirrored(
        &self,
        class: &Arc<SecretProviderClass>,
        pod_status: &KnownPodStatus,
        freshness: Freshness,
    ) -> MirroredVolume {
        MirroredVolume {
            target: self.request.target.clone(),
            pod: self.request.pod.clone(),
            class: Arc::clone(class),
            pod_status: pod_status.as_owner(),
            freshness,
            changed: SystemTime::now(),
        }
    }

    fn in_time(&self, before: &'static str) -> Result<(), PublishError> {
        if self.deadline.is_past() { Err(PublishError::Deadline { before }) } else { Ok(()) }
    }

    fn budget(&self) -> Budget {
        Budget::lasting(self.deadline.at_most().min(API_PATIENCE))
    }
}

/// The longest that one step of a publish waits for the API server, retries included.
const API_PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a first publish waits for the Secrets that its class asks for.
const SYNC_PATIENCE: Duration = Duration::from_secs(5);
/// The longest that a refresh takes: ten seconds less than kubelet waits, enough to answer.
const REFRESH_PATIENCE: Duration = Duration::from_secs(110);
