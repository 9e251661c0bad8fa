//! What has to be done to a Secret. Pure: it compares what is there, what this driver knows to be in it, and what
//! should be.
//!
//! Several nodes may mirror into one Secret, each from its own volumes, and their volumes are refreshed at different
//! times. So a node writes only what is newer on its own side: the others' writes stay, and nobody writes back and
//! forth. What somebody else changed of what the class declares is put right, which the server's record of who wrote
//! which field tells apart from a write of the driver on another node. What the class does not declare stays, unless a
//! driver wrote it. Owners are added by every node for its own pods. When the pod is gone that a Secret has its content
//! from, a node whose turn it is writes its own: [`Claim`] says what it may.

use std::collections::BTreeMap;

use base::secret::SecretBytes;
use kube::types::{MANAGED_LABEL, OwnerReference, SecretMeta, Written};

use super::edits::is_edited;
use super::owners;
use super::source_pod::{FED_BY, SourcePod};

/// What a Secret should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The pod that says so.
    pub source_pod: SourcePod,
    /// Type.
    pub kind: String,
    /// Labels, the driver's own included.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Content.
    pub data: BTreeMap<String, SecretBytes>,
    /// Of each piece of content.
    pub digests: BTreeMap<String, u64>,
}

/// What the driver knows of a Secret's content at one version, since it read or wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWritten {
    /// Uid and version at which this was so.
    pub at: (String, String),
    /// Type.
    pub kind: String,
    /// Of each piece of content.
    pub digests: BTreeMap<String, u64>,
    /// Labels that the class asked for then.
    pub labels: Vec<String>,
    /// Annotations that the class asked for then.
    pub annotations: Vec<String>,
}

/// What a node may do to the content of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Write it: this node has something newer, or it is its turn now that who fed the Secret is gone.
    Write {
        /// Whether to say so though the content is the same.
        is_heir: bool,
    },
    /// Put right what others than drivers changed.
    Repair,
    /// The same, and say that the Secret is fed by that pod from now on, since it has the content of its class.
    Remark(SourcePod),
    /// Leave it: it is another node's turn.
    Leave,
    /// Leave it and what else others changed: they do so time and again, and it is put right after a pause.
    Pause,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Nothing,
    /// Read its content: it may have to be changed.
    Read,
    /// Nothing, and its owner has to hear why.
    Refuse(Refusal),
    /// Change it.
    Change(Changes),
}

/// Why a Secret is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody handed it to the driver.
    NotManaged,
    /// It is of another type, which cannot be changed.
    OtherType {
        /// Its type.
        found: String,
    },
}

/// Fields to change; a value of `None` removes one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Keys of the content; the values are in [`Desired`].
    pub data: BTreeMap<String, Presence>,
    /// All owners, if any is to be added or replaced.
    pub owners: Option<Vec<OwnerReference>>,
    /// Whom the Secret is to name as its feeder, if another than before.
    pub source_pod: Option<SourcePod>,
}

/// Whether a key is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// With the desired content.
    Present,
    /// Not at all.
    Absent,
}

impl Changes {
    /// True when nothing but owners changes, which nobody waits for.
    pub fn is_owners_only(&self) -> bool {
        self.labels.is_empty()
            && self.annotations.is_empty()
            && self.data.is_empty()
            && self.source_pod.is_none()
    }

    fn is_empty(&self) -> bool {
        self.is_owners_only() && self.owners.is_none()
    }
}

/// What is to be done so that the Secret is as desired, as far as this node may, and has these owners.
pub fn plan(
    meta: &SecretMeta,
    last_written: Option<&LastWritten>,
    desired: &Desired,
    wanted_owners: &[OwnerReference],
    claim: &Claim,
) -> Plan {
    if !meta.is_managed() {
        return Plan::Refuse(Refusal::NotManaged);
    }
    let written = &meta.writers;
    let known = last_written
        .filter(|last_written| last_written.at.0 == meta.uid && last_written.at.1 == meta.resource_version);
    let is_newer = matches!(claim, Claim::Write { .. });
    let may_repair = !matches!(claim, Claim::Leave | Claim::Pause);
    let may_write = is_newer || (may_repair && is_edited(meta, desired));
    let mut changes = Changes::default();
    match known {
        None if may_write => return Plan::Read,
        None => {}
        Some(known) if known.kind != desired.kind => {
            return Plan::Refuse(Refusal::OtherType { found: known.kind.clone() });
        }
        Some(known) if may_write => {
            changes.data = content_changes(&known.digests, &desired.digests, &written.data);
        }
        Some(_) => {}
    }
    // What the class no longer asks for goes, if the driver put it there.
    let (old_labels, old_annotations) = match last_written {
        Some(last_written) if is_newer => {
            (last_written.labels.as_slice(), last_written.annotations.as_slice())
        }
        _ => (&[][..], &[][..]),
    };
    if *claim != Claim::Pause {
        let leaves = |written: &Written, name: &str| !is_newer && written.is_ours(name);
        changes.labels =
            text_changes(&meta.labels, &desired.labels, old_labels, |name| leaves(&written.labels, name));
        changes.annotations =
            text_changes(&meta.annotations, &desired.annotations, old_annotations, |name| {
                leaves(&written.annotations, name)
            });
    }
    changes.owners = owners::merged(&meta.owners, wanted_owners);
    changes.source_pod = new_source_pod(meta, desired, claim, &changes);
    if changes.is_empty() { Plan::Nothing } else { Plan::Change(changes) }
}

/// Whom the Secret is to name from now on, if another than it does.
fn new_source_pod(
    meta: &SecretMeta,
    desired: &Desired,
    claim: &Claim,
    changes: &Changes,
) -> Option<SourcePod> {
    let source_pod = match claim {
        _ if !changes.data.is_empty() => &desired.source_pod,
        Claim::Write { is_heir: true } => &desired.source_pod,
        Claim::Remark(source_pod) => source_pod,
        Claim::Write { is_heir: false } | Claim::Repair | Claim::Leave | Claim::Pause => return None,
    };
    let owners = changes.owners.as_deref().unwrap_or(&meta.owners);
    // What names somebody who is not alone any longer, or no more, is not left to be believed.
    let is_told = source_pod.has_company(owners) || meta.annotations.contains_key(FED_BY);
    (is_told && SourcePod::of(meta).as_ref() != Some(source_pod)).then(|| source_pod.clone())
}

/// Keys that are no longer declared go, where nobody but drivers has written them.
fn content_changes(
    found: &BTreeMap<String, u64>,
    desired: &BTreeMap<String, u64>,
    written: &Written,
) -> BTreeMap<String, Presence> {
    let differs = desired.iter().filter(|(key, digest)| found.get(*key) != Some(*digest));
    let surplus = found.keys().filter(|key| !desired.contains_key(*key) && written.is_ours_alone(key));
    let present = differs.map(|(key, _)| (key.clone(), Presence::Present));
    present.chain(surplus.map(|key| (key.clone(), Presence::Absent))).collect()
}

/// `leaves` says of which differing texts another node's driver is the author.
fn text_changes(
    found: &BTreeMap<String, String>,
    desired: &BTreeMap<String, String>,
    formerly: &[String],
    leaves: impl Fn(&str) -> bool,
) -> BTreeMap<String, Option<String>> {
    let differs = desired.iter().filter(|(name, value)| found.get(*name) != Some(*value) && !leaves(name));
    let dropped = formerly.iter().filter(|name| {
        !desired.contains_key(*name) && found.contains_key(*name) && name.as_str() != MANAGED_LABEL
    });
    let set = differs.map(|(name, value)| (name.clone(), Some(value.clone())));
    set.chain(dropped.map(|name| (name.clone(), None))).collect()
}

#[cfg(test)]
mod tests;
