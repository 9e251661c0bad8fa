//! One Secret, from the files of a volume to the API server, as a story that reads from top to bottom.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use crate::kube::budget::Budget;
use crate::kube::types::{
    MANAGED, MANAGED_LABEL, NewSecret, ObjectKey, OwnerReference, Pod, Secret, SecretMeta, SecretPatch,
    SecretProviderClassPodStatus,
};
use crate::secret::SecretBytes;
use crate::timestamp;
use crate::volume::place::{Found, Place};

use super::data::{self, DataError};
use super::error::SyncError;
use super::keeper::Keeper;
use super::owners;
use super::plan::{Changes, Desired, Held, Plan, Presence, plan};
use super::units::{Newer, Source, View};

/// Who waits for a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A pod that is about to start: what it can see has to be there, its owners may come later.
    Pod,
    /// Nobody.
    Nobody,
}

/// What became of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is as it should be.
    Settled,
    /// It is, but for its owners.
    OwnersMissing,
}

/// A Secret in hand.
struct Reconciliation<'a> {
    keeper: &'a Keeper,
    key: &'a ObjectKey,
    waiting: Waiting,
    budget: Budget,
    held: Option<Held>,
    /// Requests that the API server did as asked, and those among them that changed something.
    calls: u32,
    writes: u32,
}

/// What the API server has of the Secret.
enum Present {
    /// Its metadata.
    Secret(Arc<SecretMeta>),
    /// Nothing.
    Nothing,
}

impl Keeper {
    /// Brings one Secret up to date. `speaker` is told whose volume speaks for it, as soon as that is known.
    pub(super) fn reconcile(
        &self,
        key: &ObjectKey,
        waiting: Waiting,
        budget: Budget,
        speaker: &mut Option<Arc<Source>>,
    ) -> Result<Progress, SyncError> {
        let Some(view) = self.units().view(key) else {
            return Ok(Progress::Settled);
        };
        *speaker = view.sources.first().cloned();
        let mut sources = Vec::new();
        let mut wanted_owners = Vec::new();
        for source in &view.sources {
            if let Some(owners) = self.owners(source, budget)? {
                wanted_owners.extend(owners);
                sources.push(source);
            }
        }
        let mut desired = None;
        for source in sources {
            *speaker = Some(Arc::clone(source));
            desired = self.desired(source, key)?;
            if desired.is_some() {
                break;
            }
        }
        // Pods that end need no Secret any longer, and it goes with its owners.
        let Some(desired) = desired else {
            return Ok(Progress::Settled);
        };
        let provider = speaker.as_ref().map_or("", |source| source.provider.as_str());
        let held = view.held.clone();
        let reconciliation = Reconciliation { keeper: self, key, waiting, budget, held, calls: 0, writes: 0 };
        reconciliation.run(&view, &desired, &wanted_owners, provider)
    }

    /// Who shall own the Secrets of that volume's pod: those who own the pod, or else its pod status. None when the
    /// pod is ending or gone.
    fn owners(&self, source: &Source, budget: Budget) -> Result<Option<Vec<OwnerReference>>, SyncError> {
        let key = ObjectKey::new(&source.pod.namespace, &source.pod.name);
        // The watch may lag behind kubelet, and a pod of a moment ago may have the name still.
        let pod = match self.pods.get(&key).filter(|pod| pod.uid == source.pod.uid) {
            Some(pod) => pod,
            None => match self.ask_for_pod(source, budget)? {
                Some(pod) => Arc::new(pod),
                None => return Ok(None),
            },
        };
        if pod.is_ending {
            return Ok(None);
        }
        let owners = owners::of_pod(&pod.owners);
        Ok(Some(if owners.is_empty() { vec![source.pod_status.clone()] } else { owners }))
    }

    /// True when a pod of these volumes lives, as the API server has it now. A Secret that is gone may have gone with
    /// its pods, and the watch may tell of its end before theirs.
    fn any_lives(&self, sources: &[Arc<Source>], budget: Budget) -> Result<bool, SyncError> {
        for source in sources {
            if self.ask_for_pod(source, budget)?.is_some_and(|pod| !pod.is_ending) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The pod of that volume, unless it is gone.
    fn ask_for_pod(&self, source: &Source, budget: Budget) -> Result<Option<Pod>, SyncError> {
        match self.client.pod(&source.pod.namespace, &source.pod.name, budget) {
            Ok(pod) => Ok(Some(pod).filter(|pod| pod.uid == source.pod.uid)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(SyncError::Api(error)),
        }
    }

    /// What that volume makes of the Secret; none when it is no longer there.
    fn desired(&self, source: &Source, key: &ObjectKey) -> Result<Option<Desired>, SyncError> {
        let Some(object) = source.object(&key.name) else {
            return Ok(None);
        };
        let Some(place) = Place::open(&source.target).map_err(SyncError::Volume)? else {
            return Ok(None);
        };
        let Found::Live(volume) = place.look().map_err(SyncError::Volume)? else {
            return Ok(None);
        };
        let mut pins = 1;
        let data = loop {
            let content = volume.content().map_err(SyncError::Content)?;
            match data::data(object, |path| content.read(path, LARGEST_FILE_BYTES)) {
                // A refresh was faster: what it has written is read instead.
                Err(DataError::Read { source, .. }) if source.is_replaced() && pins < MOST_PINS => pins += 1,
                read => break read.map_err(SyncError::Data)?,
            }
        };
        let digests = data.iter().map(|(key, value)| (key.clone(), self.digest(value.expose()))).collect();
        let mut labels = object.labels.clone();
        labels.insert(MANAGED_LABEL.to_owned(), MANAGED.to_owned());
        let annotations = object.annotations.clone();
        Ok(Some(Desired { kind: object.kind.clone(), labels, annotations, data, digests }))
    }

    /// Tells content from other content, within this process. Keyed, so that nobody can provide two that look alike.
    fn digest(&self, bytes: &[u8]) -> u64 {
        self.hashing.hash_one(bytes)
    }
}

impl Reconciliation<'_> {
    fn run(
        mut self,
        view: &View,
        desired: &Desired,
        wanted_owners: &[OwnerReference],
        provider: &str,
    ) -> Result<Progress, SyncError> {
        let begun = Instant::now();
        let known = match self.waiting {
            // What the watch has not confirmed is no promise to a pod.
            Waiting::Pod => self.keeper.secrets.get_current(self.key),
            Waiting::Nobody => self.keeper.secrets.get(self.key),
        };
        let mut present = match known {
            Some(meta) => Present::Secret(meta),
            None => self.read()?,
        };
        for _ in 0..ATTEMPTS {
            let Present::Secret(meta) = &present else {
                if self.waiting == Waiting::Nobody && !self.keeper.any_lives(&view.sources, self.budget)? {
                    return Ok(Progress::Settled);
                }
                present = self.create(desired, wanted_owners)?;
                continue;
            };
            let meta = Arc::clone(meta);
            let is_newer = is_newer(view, desired, &meta);
            let progress = match plan(&meta, self.held.as_ref(), desired, wanted_owners, is_newer) {
                Plan::Nothing => Progress::Settled,
                Plan::Change(changes) if self.waiting == Waiting::Pod && changes.is_owners_only() => {
                    Progress::OwnersMissing
                }
                Plan::Change(changes) => {
                    present = self.change(&meta, desired, &changes)?;
                    continue;
                }
                Plan::Read => {
                    present = self.read()?;
                    continue;
                }
                Plan::Refuse(refusal) => return Err(SyncError::Refused(refusal)),
            };
            if self.calls > 0 {
                self.keeper.granted(&self.key.namespace);
            }
            if self.writes > 0 {
                self.keeper.metrics.sync_succeeded(provider, begun.elapsed());
            }
            self.settle(view, desired);
            return Ok(progress);
        }
        Err(SyncError::Contended)
    }

    /// Reads the Secret with its content.
    fn read(&mut self) -> Result<Present, SyncError> {
        match self.keeper.client.secret(self.key, self.budget) {
            Ok(Secret { meta, kind, data }) => {
                let digest = |(key, value): (String, SecretBytes)| (key, self.keeper.digest(value.expose()));
                let digests = data.into_iter().map(digest).collect();
                let (labels, annotations) =
                    self.held.take().map_or_else(Default::default, |held| (held.labels, held.annotations));
                self.held = Some(Held { at: at(&meta), kind, digests, labels, annotations });
                Ok(self.learn(meta))
            }
            Err(error) if error.is_not_found() => {
                self.held = None;
                self.keeper.secrets.forget(self.key);
                Ok(Present::Nothing)
            }
            Err(error) => Err(SyncError::of_call(error)),
        }
    }

    fn create(&mut self, desired: &Desired, wanted_owners: &[OwnerReference]) -> Result<Present, SyncError> {
        let owners = owners::merged(&[], wanted_owners).unwrap_or_default();
        self.check_pod_statuses(&owners)?;
        let secret = NewSecret {
            key: self.key,
            kind: &desired.kind,
            labels: &desired.labels,
            annotations: &desired.annotations,
            owners: &owners,
            data: &desired.data,
        };
        match self.keeper.client.create_secret(&secret, self.budget) {
            Ok(meta) => {
                log::info!(secret:% = self.key; "secret was created");
                self.writes += 1;
                self.keeper.units().note_created(self.key, Instant::now());
                self.held = Some(held(&meta, desired));
                Ok(self.learn(meta))
            }
            // Another node was faster, or an earlier attempt got through.
            Err(error) if error.is_already_exists() => self.read(),
            Err(error) => Err(SyncError::of_call(error)),
        }
    }

    /// A Secret whose owner does not exist is collected at once, again and again. For a pod status that can be: people
    /// delete it, and it comes back with another uid only when its volume is refreshed. Where a pod waits, it has just
    /// been written.
    fn check_pod_statuses(&self, owners: &[OwnerReference]) -> Result<(), SyncError> {
        let is_status = |owner: &OwnerReference| owner.kind == SecretProviderClassPodStatus::KIND;
        if self.waiting == Waiting::Pod || !owners.iter().all(is_status) {
            return Ok(());
        }
        for owner in owners {
            match self.keeper.client.pod_status(&self.key.namespace, &owner.name, self.budget) {
                Ok(found) if found.metadata.uid == owner.uid => return Ok(()),
                Ok(_of_later) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(SyncError::Api(error)),
            }
        }
        Err(SyncError::NoOwner)
    }

    fn change<'a>(
        &mut self,
        meta: &SecretMeta,
        desired: &Desired,
        changes: &'a Changes,
    ) -> Result<Present, SyncError> {
        let texts = |changes: &'a BTreeMap<String, Option<String>>| {
            changes.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
        };
        let data = changes.data.iter().map(|(key, presence)| {
            let value = desired.data.get(key).filter(|_| *presence == Presence::Present);
            (key.as_str(), value)
        });
        let patch = SecretPatch {
            key: self.key,
            resource_version: &meta.resource_version,
            labels: texts(&changes.labels),
            annotations: texts(&changes.annotations),
            owners: changes.owners.as_deref(),
            data: data.collect(),
        };
        match self.keeper.client.patch_secret(&patch, self.budget) {
            Ok(changed) => {
                self.writes += 1;
                if !changes.data.is_empty() {
                    log::info!(secret:% = self.key; "content of a secret was changed");
                    self.held = Some(held(&changed, desired));
                } else {
                    log::debug!(secret:% = self.key; "labels, annotations or owners of a secret were changed");
                    // The content is as well known as it was before, which the version in the patch has made sure of.
                    let known = self.held.as_mut().filter(|held| held.at == at(meta));
                    known.into_iter().for_each(|held| held.at = at(&changed));
                }
                Ok(self.learn(changed))
            }
            Err(error) if error.is_conflict() || error.is_not_found() => self.read(),
            Err(error) => Err(SyncError::of_call(error)),
        }
    }

    fn learn(&mut self, meta: SecretMeta) -> Present {
        self.calls += 1;
        if meta.is_managed() {
            self.keeper.secrets.learn(meta.clone());
        } else {
            // The watch never tells when this one goes.
            self.keeper.secrets.forget(self.key);
        }
        Present::Secret(Arc::new(meta))
    }

    fn settle(self, view: &View, desired: &Desired) {
        let held = self.held.map(|held| Held {
            labels: desired.labels.keys().cloned().collect(),
            annotations: desired.annotations.keys().cloned().collect(),
            ..held
        });
        // What was not to be written yet has to look different when its volume is said to have changed.
        let seen = if view.newer == Newer::No { view.seen.clone() } else { desired.digests.clone() };
        self.keeper.units().settle(self.key, view.generation, held, seen);
    }
}

/// True when this node has something newer than the Secret.
fn is_newer(view: &View, desired: &Desired, meta: &SecretMeta) -> bool {
    match view.newer {
        Newer::No => false,
        Newer::Yes => true,
        Newer::IfDifferent => view.seen != desired.digests,
        // Both in seconds, of the same form, so that their texts compare as the times do.
        Newer::IfOlder(changed) => timestamp::rfc3339_seconds(changed) > meta.writers.at,
    }
}

fn held(meta: &SecretMeta, desired: &Desired) -> Held {
    Held {
        at: at(meta),
        kind: desired.kind.clone(),
        digests: desired.digests.clone(),
        labels: desired.labels.keys().cloned().collect(),
        annotations: desired.annotations.keys().cloned().collect(),
    }
}

fn at(meta: &SecretMeta) -> (String, String) {
    (meta.uid.clone(), meta.resource_version.clone())
}

/// One for each thing that may have to be done in turn: look, create, lose a race or two, change, see that it is so.
const ATTEMPTS: u32 = 6;
/// A volume is not refreshed that often while it is read.
const MOST_PINS: u32 = 3;
/// No Secret holds more.
const LARGEST_FILE_BYTES: usize = 1024 * 1024;
