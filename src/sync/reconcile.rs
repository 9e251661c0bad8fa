//! One Secret, from the files of a volume to the API server, as a story that reads from top to bottom.

mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::secret::SecretBytes;
use base::timestamp;
use kube::budget::Budget;
use kube::types::{
    NewSecret, ObjectKey, OwnerReference, Secret, SecretMeta, SecretPatch, SecretProviderClassPodStatus,
};

use super::controller::SyncController;
use super::edits::{self, Edit};
use super::error::SyncError;
use super::owners;
use super::plan::{Changes, Claim, Desired, LastWritten, Plan, Presence, plan};
use super::source_pod::{self, FED_BY, Fed, SourcePod};
use super::states::{Newer, Settled, Source, View};
use super::word::Word;

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
    /// It has the content of another class's pod, which is there.
    OfAnother,
    /// What is to be done is another node's turn for that time.
    NotYet(Duration),
    /// No volume of this node feeds it, and all is said about that.
    Parted,
}

/// A Secret in hand.
struct Reconciliation<'a> {
    controller: &'a SyncController,
    key: &'a ObjectKey,
    waiting: Waiting,
    budget: Budget,
    last_written: Option<LastWritten>,
    /// The pod of another class that was looked for last, and whether it is gone.
    looked_for: Option<(SourcePod, bool)>,
    has_written_content: bool,
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

impl SyncController {
    /// Brings one Secret up to date. `primary_source` becomes the volume whose content it has to have, as soon as that is known.
    pub(super) fn reconcile(
        &self,
        key: &ObjectKey,
        waiting: Waiting,
        budget: Budget,
        primary_source: &mut Option<Arc<Source>>,
    ) -> Result<Progress, SyncError> {
        let Some(view) = self.states().view(key) else {
            return Ok(Progress::Settled);
        };
        let last_written = view.last_written.clone();
        let begun = Reconciliation {
            controller: self,
            key,
            waiting,
            budget,
            last_written,
            looked_for: None,
            has_written_content: false,
            calls: 0,
            writes: 0,
        };
        if view.sources.is_empty() {
            return begun.take_leave(&view);
        }
        // Pods that end need no Secret any longer, and it goes with its owners.
        let Some(word) = self.word(key, &view, budget, primary_source)? else {
            return Ok(Progress::Settled);
        };
        let provider = primary_source.as_ref().map_or("", |source| source.provider.as_str());
        begun.run(&view, &word, provider)
    }
}

impl Reconciliation<'_> {
    fn run(mut self, view: &View, word: &Word, provider: &str) -> Result<Progress, SyncError> {
        let begun = Instant::now();
        let Word { desired, owners: wanted_owners, .. } = word;
        let known = match self.waiting {
            // What the watch has not confirmed is no promise to a pod.
            Waiting::Pod => self.controller.secrets.get_current(self.key),
            Waiting::Nobody => self.controller.secrets.get(self.key),
        };
        let mut present = match known {
            Some(meta) => Present::Secret(meta),
            None => self.read()?,
        };
        for _ in 0..ATTEMPTS {
            let Present::Secret(meta) = &present else {
                if self.waiting == Waiting::Nobody
                    && !self.controller.any_lives(&view.sources, self.budget)?
                {
                    return Ok(Progress::Settled);
                }
                present = self.create(word)?;
                continue;
            };
            let meta = Arc::clone(meta);
            let fed = self.fed(view, word, &meta);
            let is_newer = is_newer(view, desired, &meta);
            if let Fed::Left(source_pod) = &fed
                && !is_newer
                && meta.is_managed()
            {
                present = self.withdraw(&meta, source_pod)?;
                continue;
            }
            let edit = self.edit(view, word, &meta, &fed);
            let (claim, patience) = self.claim(word, &meta, &fed, is_newer, edit.is_some());
            // Nor is an owner put back that somebody takes off time and again.
            let wanted_owners = match claim {
                Claim::Pause if view.has_lost_owner => &[],
                _ => wanted_owners.as_slice(),
            };
            let progress = match plan(&meta, self.last_written.as_ref(), desired, wanted_owners, &claim) {
                Plan::Nothing => Progress::Settled,
                Plan::Change(changes) if self.waiting == Waiting::Pod && changes.is_owners_only() => {
                    Progress::OwnersMissing
                }
                Plan::Change(changes) => {
                    let writes = self.writes;
                    present = self.change(&meta, desired, &changes)?;
                    if edit.is_some() && self.writes == writes {
                        // Most often another node was faster, and the Secret was changed back since.
                        self.controller.states().note_put_right(self.key, Instant::now());
                    }
                    continue;
                }
                Plan::Read => {
                    present = self.read()?;
                    continue;
                }
                Plan::Refuse(refusal) => return Err(SyncError::Refused(refusal)),
            };
            if self.calls > 0 {
                self.controller.granted(&self.key.namespace);
            }
            if self.writes > 0 {
                self.controller.metrics.sync_succeeded(provider, begun.elapsed());
            }
            if !patience.is_zero() {
                if let Some(edit) = edit.filter(|_| claim == Claim::Pause) {
                    self.controller.report_quarrel(self.key, word, provider, &edit);
                }
                return Ok(Progress::NotYet(patience));
            }
            // Of the nodes where a class has lost its place, the one that held it tells: the others have lost nothing.
            if view.feeds || view.newer != Newer::No || !matches!(fed, Fed::Elsewhere(_)) {
                self.controller.report_meeting(&meta, word, &fed);
            }
            let feeds = match SourcePod::of(&meta) {
                Some(named) => word.here.iter().any(|here| here.uid == named.uid),
                None => self.has_written_content || view.feeds,
            };
            self.settle(view, desired, feeds, edit.is_none());
            let is_of_another = matches!(fed, Fed::Elsewhere(_)) && progress == Progress::Settled;
            return Ok(if is_of_another { Progress::OfAnother } else { progress });
        }
        Err(SyncError::Contended)
    }

    /// No volume of this node feeds the Secret any longer. Where it has the content of one that did, and others own
    /// it, these are told.
    fn take_leave(mut self, view: &View) -> Result<Progress, SyncError> {
        let mut found = self.controller.secrets.get(self.key);
        for _ in 0..ATTEMPTS {
            let leaving = |meta: Arc<SecretMeta>| Some((source_pod::leaving(&meta, &view.departed)?, meta));
            let Some((source_pod, meta)) = found.and_then(leaving) else {
                return Ok(Progress::Parted);
            };
            found = match self.withdraw(&meta, &source_pod)? {
                Present::Secret(meta) => Some(meta),
                Present::Nothing => None,
            };
        }
        Err(SyncError::Contended)
    }

    /// Says on the Secret that its feeder has left.
    fn withdraw(&mut self, meta: &SecretMeta, source_pod: &SourcePod) -> Result<Present, SyncError> {
        let changes = Changes { source_pod: Some(source_pod.withdrawn()), ..Changes::default() };
        self.change(meta, &Desired::default(), &changes)
    }

    /// Reads the Secret with its content.
    fn read(&mut self) -> Result<Present, SyncError> {
        match self.controller.client.secret(self.key, self.budget) {
            Ok(Secret { meta, kind, data }) => {
                let digest =
                    |(key, value): (String, SecretBytes)| (key, self.controller.digest(value.expose()));
                let digests = data.into_iter().map(digest).collect();
                let (labels, annotations) =
                    self.last_written.take().map_or_else(Default::default, |last_written| {
                        (last_written.labels, last_written.annotations)
                    });
                self.last_written = Some(LastWritten { at: at(&meta), kind, digests, labels, annotations });
                Ok(self.learn(meta))
            }
            Err(error) if error.is_not_found() => {
                self.last_written = None;
                self.controller.secrets.forget(self.key);
                Ok(Present::Nothing)
            }
            Err(error) => Err(SyncError::of_call(error)),
        }
    }

    fn create(&mut self, word: &Word) -> Result<Present, SyncError> {
        let desired = &word.desired;
        let owners = owners::merged(&[], &word.owners).unwrap_or_default();
        self.check_pod_statuses(&owners)?;
        let mut annotations = desired.annotations.clone();
        if desired.source_pod.has_company(&owners) {
            annotations.insert(FED_BY.to_owned(), desired.source_pod.text());
        }
        let secret = NewSecret {
            key: self.key,
            kind: &desired.kind,
            labels: &desired.labels,
            annotations: &annotations,
            owners: &owners,
            data: &desired.data,
        };
        match self.controller.client.create_secret(&secret, self.budget) {
            Ok(meta) => {
                log::info!(secret:% = self.key; "secret was created");
                self.writes += 1;
                self.has_written_content = true;
                self.controller.states().note_created(self.key, Instant::now());
                self.last_written = Some(last_written(&meta, desired));
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
            match self.controller.client.pod_status(&self.key.namespace, &owner.name, self.budget) {
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
            changes.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect::<BTreeMap<_, _>>()
        };
        let source_pod = changes.source_pod.as_ref().map(SourcePod::text);
        let mut annotations = texts(&changes.annotations);
        annotations.extend(source_pod.as_deref().map(|text| (FED_BY, Some(text))));
        let data = changes.data.iter().map(|(key, presence)| {
            let value = desired.data.get(key).filter(|_| *presence == Presence::Present);
            (key.as_str(), value)
        });
        let patch = SecretPatch {
            key: self.key,
            resource_version: &meta.resource_version,
            labels: texts(&changes.labels),
            annotations,
            owners: changes.owners.as_deref(),
            data: data.collect(),
        };
        match self.controller.client.patch_secret(&patch, self.budget) {
            Ok(changed) => {
                self.writes += 1;
                if !changes.data.is_empty() {
                    log::info!(secret:% = self.key; "content of a secret was changed");
                    self.has_written_content = true;
                    self.last_written = Some(last_written(&changed, desired));
                } else {
                    log::debug!(secret:% = self.key; "labels, annotations or owners of a secret were changed");
                    // The content is as well known as it was before, which the version in the patch has made sure of.
                    let known = self.last_written.as_mut().filter(|last_written| last_written.at == at(meta));
                    known.into_iter().for_each(|last_written| last_written.at = at(&changed));
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
            self.controller.secrets.insert(meta.clone());
        } else {
            // The watch never tells when this one goes.
            self.controller.secrets.forget(self.key);
        }
        Present::Secret(Arc::new(meta))
    }

    fn settle(self, view: &View, desired: &Desired, feeds: bool, is_right: bool) {
        let last_written = self.last_written.map(|last_written| LastWritten {
            labels: desired.labels.keys().cloned().collect(),
            annotations: desired.annotations.keys().cloned().collect(),
            ..last_written
        });
        // What was not to be written yet has to look different when its volume is said to have changed.
        let last_digests =
            if view.newer == Newer::No { view.last_digests.clone() } else { desired.digests.clone() };
        let settled = Settled { last_written, last_digests, feeds, is_right };
        self.controller.states().settle(self.key, view.generation, settled, Instant::now());
    }
}

/// True when this node has something newer than the Secret.
fn is_newer(view: &View, desired: &Desired, meta: &SecretMeta) -> bool {
    match view.newer {
        Newer::No => false,
        Newer::Yes => true,
        Newer::IfDifferent => view.last_digests != desired.digests,
        // Both in seconds, of the same form, so that their texts compare as the times do.
        Newer::IfOlder(changed) => timestamp::rfc3339_seconds(changed) > meta.writers.at,
    }
}

fn last_written(meta: &SecretMeta, desired: &Desired) -> LastWritten {
    LastWritten {
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
