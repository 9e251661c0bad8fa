//! Whose turn it is: what this node may do to a Secret now, and how long it has to wait until it may do more.

use std::time::{Duration, Instant};

use kube::error::ApiError;
use kube::types::SecretMeta;

use super::{Claim, Edit, Fed, Reconciliation, SourcePod, View, Waiting, Word, edits, source_pod};

impl Reconciliation<'_> {
    /// Where the Secret has its content from. Who is said to feed it from elsewhere is looked for: a node that is dead
    /// has told nobody, and what owned the pod may be there without it.
    pub(super) fn fed(&mut self, view: &View, word: &Word, meta: &SecretMeta) -> Fed {
        match source_pod::fed(meta, &word.here, &view.departed, view.has_lost_owner) {
            Fed::Elsewhere(source_pod) if self.waiting == Waiting::Nobody => {
                let is_known =
                    self.looked_for.as_ref().filter(|(found, _)| *found == source_pod).map(|known| known.1);
                let is_gone = is_known.unwrap_or_else(|| self.is_gone(&source_pod));
                self.looked_for = Some((source_pod.clone(), is_gone));
                if is_gone { Fed::Nowhere } else { Fed::Elsewhere(source_pod) }
            }
            fed => fed,
        }
    }

    fn is_gone(&self, source_pod: &SourcePod) -> bool {
        match self.controller.client.pod(&self.key.namespace, &source_pod.pod, self.budget) {
            Ok(pod) => pod.uid != source_pod.uid || pod.is_ending,
            // No pod has a name that is none.
            Err(error) => error.is_not_found() || matches!(error, ApiError::InvalidName { .. }),
        }
    }

    /// What others changed of what this node is to keep.
    pub(super) fn edit(&self, view: &View, word: &Word, meta: &SecretMeta, fed: &Fed) -> Option<Edit> {
        let is_content_edited = match fed {
            Fed::Elsewhere(_) => edits::is_overwritten(meta, &word.desired),
            _ => edits::is_edited(meta, &word.desired),
        };
        edits::find(meta, &word.desired, &word.owners, view.has_lost_owner, is_content_edited)
    }

    /// What this node may do to the Secret now, and how long it has to wait until it may do more.
    pub(super) fn claim(
        &self,
        word: &Word,
        meta: &SecretMeta,
        fed: &Fed,
        is_newer: bool,
        has_edit: bool,
    ) -> (Claim, Duration) {
        let turn = || word.desired.source_pod.turn(&meta.owners);
        let (claim, turn) = match fed {
            _ if is_newer => {
                let is_heir = matches!(fed, Fed::Nowhere | Fed::Left(_));
                return (Claim::Write { is_heir }, Duration::ZERO);
            }
            Fed::ByItsClass(source_pod) => return (Claim::Remark(source_pod.clone()), Duration::ZERO),
            Fed::Nowhere => (Claim::Write { is_heir: true }, turn()),
            // The node that feeds it puts it right, if that is alive.
            Fed::Elsewhere(_) if edits::is_overwritten(meta, &word.desired) => (Claim::Repair, turn()),
            // So does the node of the pod that feeds it, of those that have pods of its class.
            Fed::Here if has_edit && is_sisters(word, meta) => (Claim::Repair, turn()),
            // Its content is another class's, and need not have the keys of this one.
            Fed::Elsewhere(_) => (Claim::Leave, Duration::ZERO),
            Fed::Here | Fed::Left(_) => (Claim::Repair, Duration::ZERO),
        };
        let now = Instant::now();
        if has_edit {
            let patience = self.controller.states().wait_to_put_right(self.key, turn, now);
            return if patience.is_zero() { (claim, patience) } else { (Claim::Pause, patience) };
        }
        if turn.is_zero() {
            return (claim, turn);
        }
        let patience = self.controller.states().wait_for_turn(self.key, turn, now);
        if patience.is_zero() { (claim, patience) } else { (Claim::Leave, patience) }
    }
}

/// True when the Secret names a pod of another node as its feeder, or none any longer.
fn is_sisters(word: &Word, meta: &SecretMeta) -> bool {
    SourcePod::of(meta).is_some_and(|named| word.here.iter().all(|here| here.uid != named.uid))
}
