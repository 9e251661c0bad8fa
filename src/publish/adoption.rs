//! Volumes that an earlier process mounted: whose they are, so that their Secrets go on being kept.
//!
//! Kubelet may never call again about such a volume: it does only where refreshes are on. What it belongs to is found
//! out from the path that kubelet gave it, and from the pod of that uid as the API server has it.

use std::time::{Duration, Instant};

use base::backoff::{Backoff, Jitter};
use kube::budget::Budget;
use kube::event::PodRef;
use kube::types::ObjectKey;
use sync::{Freshness, MirroredVolume};
use volume::target::TargetPath;

use super::pod_status::{self, KnownPodStatus};
use super::{Publisher, live_volume};

impl Publisher {
    /// Takes up the Secrets of these volumes. Ends when each is taken up, gone, or known from a call of kubelet's;
    /// `pause` waits, and answers whether to stop.
    pub fn take_up_secrets(&self, mut targets: Vec<TargetPath>, pause: impl Fn(Duration) -> bool) {
        let (mut rounds, mut jitter) = (0, Jitter::from_entropy());
        loop {
            targets.retain(|target| !self.take_up(target));
            rounds += 1;
            if targets.is_empty() || pause(BACKOFF.jittered(rounds, &mut jitter)) {
                return;
            }
        }
    }

    /// True when nothing is left to do for that volume.
    fn take_up(&self, target: &TargetPath) -> bool {
        let is_known = |record: &super::volumes::Record| record.class.is_some();
        // Kubelet was faster, or has ended it.
        if self.volumes.record(target.as_str()).is_none_or(|record| is_known(&record)) {
            return true;
        }
        let Some(volume) = target.kubelet_volume() else {
            return true;
        };
        let budget = Budget::lasting(PATIENCE);
        let (pod, class) = match self.secrets.pod_of_volume(volume.pod_uid, volume.name, budget) {
            Err(_not_listed) => return false,
            // The pod is gone or ending: kubelet will have the volume taken down.
            Ok(None) => return true,
            Ok(Some(found)) => found,
        };
        match self.mirrored(target, &pod, &class, budget) {
            Ok(Some(volume)) => {
                self.secrets.refreshed(volume);
                true
            }
            Ok(None) => true,
            Err(error) => {
                log::debug!(target_path:% = target, error = error; "could not take up the secrets of a volume");
                false
            }
        }
    }

    fn mirrored(
        &self,
        target: &TargetPath,
        pod: &PodRef,
        class: &str,
        budget: Budget,
    ) -> Result<Option<MirroredVolume>, String> {
        let key = ObjectKey::new(&pod.namespace, class);
        let class = match self.classes.followed(&key, budget) {
            Ok(class) => class,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if class.secret_objects.is_empty() {
            return Ok(None);
        }
        let status = pod_status::of_pod(pod, &key.name, &self.node);
        let found = KnownPodStatus::find(&self.client, &status, budget, Instant::now());
        let Some(pod_status) = found.map_err(|error| error.to_string())? else {
            // Its writing is left to kubelet's next call.
            return Ok(None);
        };
        let Some(volume) = live_volume(target).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let changed = volume.content().map_err(|error| error.to_string())?.changed();
        Ok(Some(MirroredVolume {
            target: target.clone(),
            pod: pod.clone(),
            class,
            pod_status: pod_status.as_owner(),
            freshness: Freshness::Inherited,
            changed,
        }))
    }
}

/// For what one volume needs of the API server.
const PATIENCE: Duration = Duration::from_secs(20);
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
