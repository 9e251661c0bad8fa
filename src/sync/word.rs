//! What a node says of a Secret: whose volume speaks for it, what that makes of it, and who is to own it.
//!
//! Pods and their owners are as the API server has them, files as the volume has them.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use kube::budget::Budget;
use kube::types::{MANAGED, MANAGED_LABEL, ObjectKey, OwnerReference, Pod};
use volume::place::{Found, Place};

use super::controller::SyncController;
use super::data::{self, DataError};
use super::error::SyncError;
use super::owners;
use super::plan::Desired;
use super::source_pod::{FED_BY, SourcePod};
use super::states::{Source, View};

/// What a node says of a Secret.
pub struct Word {
    /// What it should be, as the volume that speaks for it has it.
    pub desired: Desired,
    /// Who is to own it: all whose pods have it in a volume of this node.
    pub owners: Vec<OwnerReference>,
    /// The pods that can feed it from here.
    pub here: Vec<SourcePod>,
}

/// What a pod is to a Secret.
enum Need {
    /// It needs it, and these are to own it.
    Owned(Vec<OwnerReference>),
    /// It is ending or gone, and needs it no longer.
    Ended,
    /// It is one that the API server knows no more than the picture of.
    Static,
}

impl SyncController {
    /// What this node says of the Secret: its volumes are asked in their order, and the first that has a content
    /// speaks. None when no pod needs the Secret any longer.
    pub(super) fn word(
        &self,
        key: &ObjectKey,
        view: &View,
        budget: Budget,
        primary_source: &mut Option<Arc<Source>>,
    ) -> Result<Option<Word>, SyncError> {
        *primary_source = view.sources.first().cloned();
        let (mut able, mut all_owners, mut here) = (Vec::new(), Vec::new(), Vec::new());
        let mut of_static_pod: Option<&Arc<Source>> = None;
        for source in &view.sources {
            match self.need(source, budget)? {
                Need::Owned(owners) => {
                    here.push(SourcePod {
                        class: source.class.name.clone(),
                        pod: source.pod.name.clone(),
                        uid: source.pod.uid.clone(),
                        owners: owners.iter().map(|owner| owner.uid.clone()).collect(),
                    });
                    all_owners.extend(owners);
                    able.push(source);
                }
                // The one that came last has not been told yet.
                Need::Static => drop(of_static_pod.get_or_insert(source)),
                Need::Ended => {}
            }
        }
        for (source, source_pod) in able.iter().zip(&here) {
            *primary_source = Some(Arc::clone(source));
            if let Some(desired) = self.desired(source, source_pod, key)? {
                return Ok(Some(Word { desired, owners: all_owners, here }));
            }
        }
        match of_static_pod {
            Some(source) => {
                *primary_source = Some(Arc::clone(source));
                Err(SyncError::StaticPod)
            }
            None => Ok(None),
        }
    }

    /// Who shall own the Secrets of that volume's pod: those who own the pod, or else its pod status.
    fn need(&self, source: &Source, budget: Budget) -> Result<Need, SyncError> {
        let key = ObjectKey::new(&source.pod.namespace, &source.pod.name);
        let is_mirror = |pod: &Pod| pod.mirrors == source.pod.uid && pod.uid != source.pod.uid;
        // The watch may lag behind kubelet, and a pod of a moment ago may have the name still.
        let pod = match self.pods.get(&key).filter(|pod| pod.uid == source.pod.uid || is_mirror(pod)) {
            Some(pod) => Some(pod),
            None => self.ask_for(source, budget)?.map(Arc::new),
        };
        Ok(match pod {
            Some(pod) if is_mirror(&pod) => Need::Static,
            Some(pod) if pod.uid == source.pod.uid && !pod.is_ending => {
                let owners = owners::of_pod(&pod.owners);
                Need::Owned(if owners.is_empty() { vec![source.pod_status.clone()] } else { owners })
            }
            // Where there is no mirror, or still the former one, nothing but kubelet's name for such a pod tells.
            _ if is_of_kubelets_making(&source.pod.uid) => Need::Static,
            _ => Need::Ended,
        })
    }

    /// True when a pod of these volumes lives, as the API server has it now. A Secret that is gone may have gone with
    /// its pods, and the watch may tell of its end before theirs.
    pub(super) fn any_lives(&self, sources: &[Arc<Source>], budget: Budget) -> Result<bool, SyncError> {
        for source in sources {
            let lives = |pod: &Pod| pod.uid == source.pod.uid && !pod.is_ending;
            if self.ask_for(source, budget)?.is_some_and(|pod| lives(&pod)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The pod of that name, which may be another than the volume's.
    fn ask_for(&self, source: &Source, budget: Budget) -> Result<Option<Pod>, SyncError> {
        match self.client.pod(&source.pod.namespace, &source.pod.name, budget) {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(SyncError::Api(error)),
        }
    }

    /// What that volume makes of the Secret; none when it is no longer there.
    fn desired(
        &self,
        source: &Source,
        source_pod: &SourcePod,
        key: &ObjectKey,
    ) -> Result<Option<Desired>, SyncError> {
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
        let without = |texts: &BTreeMap<String, String>, name: &str| {
            let mut texts = texts.clone();
            texts.remove(name);
            texts
        };
        let mut labels = without(&object.labels, MANAGED_LABEL);
        labels.insert(MANAGED_LABEL.to_owned(), MANAGED.to_owned());
        let annotations = without(&object.annotations, FED_BY);
        let (kind, source_pod) = (object.kind.clone(), source_pod.clone());
        Ok(Some(Desired { source_pod, kind, labels, annotations, data, digests }))
    }

    /// Tells content from other content, within this process. Keyed, so that nobody can provide two that look alike.
    pub(super) fn digest(&self, bytes: &[u8]) -> u64 {
        self.hashing.hash_one(bytes)
    }
}

/// True of a uid that kubelet made up for a static pod: a hash of what it was told to run, in 32 hexadecimal digits.
/// The API server's have dashes.
fn is_of_kubelets_making(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A volume is not refreshed that often while it is read.
const MOST_PINS: u32 = 3;
/// No Secret holds more.
const LARGEST_FILE_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_of_kubelets_making_is_told_from_one_of_the_api_servers() {
        assert!(is_of_kubelets_making("0123456789abcdef0123456789abcdef"));
        for uid in [
            "",
            "3c1b1f4e-9df0-4d0b-8f7e-2f3f6c1b7a10",
            "0123456789abcdef0123456789abcde",
            "g123456789abcdef0123456789abcdef",
        ] {
            assert!(!is_of_kubelets_making(uid), "{uid}");
        }
    }
}
