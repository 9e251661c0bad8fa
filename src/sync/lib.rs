//! Mirrors what is mounted into Kubernetes Secrets, as a class's `secretObjects` ask for it.
//!
//! [`SecretSync`] is told by whoever publishes which volume came, was refreshed, or went. From then on a Secret is a
//! piece of work of its own: `controller` takes it from the `queue`, `reconcile` does it as a story, `plan` decides,
//! `states` knows which volume feeds which Secret, `word` what this node says of it, `source_pod` whose content it has
//! where several nodes or classes could feed it, `edits` what others changed, `quarrel` how often they did. `secret_object`, `data`, `tls` and `owners` turn what a class and its
//! files say into what a Secret holds. Secrets are never deleted here: they go with their owners, by the cluster's
//! garbage collector.
//!
//! Nothing is watched before a class asks for a Secret. No lock is held across I/O, and a failure here never reaches
//! a volume: where Secrets may not be written, mounting and refreshing go on as if nobody had asked.
//!
//! A class's author chooses the names, a provider the bytes, so neither is believed; and no byte of a file is ever
//! part of an error.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod complaints;
mod controller;
pub mod data;
mod edits;
mod error;
mod kind;
pub mod owners;
pub mod pem;
mod permission;
mod plan;
mod publishes;
mod quarrel;
mod queue;
mod reconcile;
mod report;
pub mod secret_object;
mod source_pod;
mod states;
pub mod tls;
mod word;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::budget::Budget;
use kube::client::Client;
use kube::event::{EventSink, PodRef};
use kube::types::{OwnerReference, PodVolume, SecretProviderClass};
use kube::watch::Pause;
use metrics::Metrics;
use volume::target::TargetPath;

use controller::SyncController;
use reconcile::Waiting;

pub use states::Freshness;

/// Keeps the Secrets of one node's volumes.
pub struct SecretSync(Arc<SyncController>);

/// Where it runs.
#[derive(Clone, Debug)]
pub struct SyncSettings {
    /// Name of this node.
    pub node: String,
    /// Name of the CSI driver, as pods' volumes give it.
    pub driver: String,
    /// How many publishes there may be at a time.
    pub publishes: usize,
}

/// A volume whose class may ask for Secrets.
#[derive(Clone)]
pub struct MirroredVolume {
    /// Where it is.
    pub target: TargetPath,
    /// Whose it is.
    pub pod: PodRef,
    /// Its class.
    pub class: Arc<SecretProviderClass>,
    /// Its pod status.
    pub pod_status: OwnerReference,
    /// What is known about its content.
    pub freshness: Freshness,
    /// When its content last changed.
    pub changed: SystemTime,
}

impl SecretSync {
    /// Starts nothing yet: that is done when a class first asks for a Secret.
    pub fn new(
        settings: SyncSettings,
        client: Client,
        events: Arc<EventSink>,
        metrics: Arc<Metrics>,
        pause: Pause,
    ) -> SecretSync {
        SecretSync(SyncController::new(settings, client, events, metrics, pause))
    }

    /// A volume was published: its Secrets are brought up to date before this returns, as far as that is possible
    /// within `budget`, so that a container's variables can come from them. What fails is tried again later, and so is
    /// what there is no time for, or no place because many pods of the namespace start at once.
    pub fn published(&self, volume: MirroredVolume, budget: Budget) {
        let namespace = volume.pod.namespace.clone();
        let due = self.0.upsert(volume);
        let queue = &self.0.queue;
        // From here on whoever looks at one of these Secrets sees this volume as well: one look serves many publishes.
        let asked: Vec<_> = due.iter().map(|key| (key, queue.ask(key, budget.remaining()))).collect();
        let is_served = || asked.iter().all(|(key, ticket)| queue.is_served(key, *ticket));
        if is_served() {
            return;
        }
        let place = self.0.publishes.enter(&namespace, || budget.is_spent() || is_served());
        for (key, ticket) in &asked {
            if queue.is_served(key, *ticket) {
                continue;
            }
            if place.is_some() && !budget.is_spent() && queue.take(key, budget.remaining()) {
                self.0.process(key, Waiting::Pod, budget);
            } else {
                queue.add(key, Duration::ZERO);
            }
        }
    }

    /// A volume was refreshed, or found: its Secrets are brought up to date by and by.
    pub fn refreshed(&self, volume: MirroredVolume) {
        self.0.queue.add_all(&self.0.upsert(volume), Duration::ZERO);
    }

    /// A volume is gone. Its Secrets go with their owners.
    pub fn gone(&self, target: &TargetPath) {
        self.0.let_go(target.as_str());
    }

    /// The pod of that uid on this node, and the class of its volume of that name; waits for the list of pods.
    ///
    /// This is how a volume that an earlier process mounted is recognised: what it belongs to is asked of the API
    /// server's pods, which only those can change who may create pods, and of nothing that is easier to forge.
    pub fn pod_of_volume(
        &self,
        uid: &str,
        volume: &str,
        budget: Budget,
    ) -> Result<Option<(PodRef, String)>, NotListed> {
        self.0.pods_follower.follow();
        if !self.0.pods.wait_until_listed(budget) {
            return Err(NotListed);
        }
        let Some(pod) = self.0.pods.find(|pod| pod.uid == uid && !pod.is_ending) else {
            return Ok(None);
        };
        let is_it = |of: &&PodVolume| of.name == volume && of.driver == self.0.settings.driver;
        let class = pod.volumes.iter().find(is_it).map(|volume| volume.class.clone());
        let (namespace, name) = (pod.key.namespace.clone(), pod.key.name.clone());
        Ok(class.map(|class| (PodRef { namespace, name, uid: uid.to_owned() }, class)))
    }
}

/// The API server has not told yet which pods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotListed;
