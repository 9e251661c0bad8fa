//! One pod, from its first volume to its removal, in the order in which kubelet does it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rpc::status::{Code, Status};
use serde_json::Value;

use super::Shared;
use super::api::text;
use crate::workloads::DRIVER;
use kit::world::Pod;

/// Lives through one pod.
pub struct PodWorker {
    seen: Mutex<Seen>,
    is_ending: Mutex<bool>,
    ends: Condvar,
}

/// How it stands with a pod.
#[derive(Clone)]
pub struct Seen {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity.
    pub uid: String,
    /// Volumes by name, as kubelet knows them.
    pub volumes: Vec<(String, Pod)>,
    /// True once the container would run.
    pub is_running: bool,
    /// What the container finds in its variables.
    pub variables: BTreeMap<String, String>,
    /// Secrets of variables that were not there right after the volumes were.
    pub late_secrets: Vec<String>,
    /// From the first call to the driver to the last volume.
    pub mounting: Option<Duration>,
    /// How often all volumes were published again.
    pub republished: u64,
    /// Why publishing failed, each reason once, in the order of their first time.
    pub failures: Vec<String>,
}

impl PodWorker {
    /// For a pod of the API.
    pub fn new(pod: &Value, pods_directory: &Path) -> PodWorker {
        let metadata = &pod["metadata"];
        let (namespace, name, uid) =
            (text(&metadata["namespace"]), text(&metadata["name"]), text(&metadata["uid"]));
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let ours = volumes.filter(|volume| volume["csi"]["driver"] == DRIVER);
        let volumes = ours.map(|volume| {
            let volume_name = text(&volume["name"]);
            let attributes = volume["csi"]["volumeAttributes"].as_object().into_iter().flatten();
            let mut attributes: HashMap<String, String> =
                attributes.map(|(key, value)| (key.clone(), text(value))).collect();
            let account = ("csi.storage.k8s.io/serviceAccount.name", &pod["spec"]["serviceAccountName"]);
            attributes.insert(account.0.to_owned(), text(account.1));
            let target = format!("{uid}/volumes/kubernetes.io~csi/{volume_name}/mount");
            let known = Pod {
                name: name.clone(),
                namespace: namespace.clone(),
                uid: uid.clone(),
                class: attributes.get("secretProviderClass").cloned().unwrap_or_default(),
                volume_id: format!("csi-{uid}-{volume_name}"),
                target: pods_directory.join(target),
                group: None,
                attributes,
                secrets: HashMap::new(),
            };
            (volume_name, known)
        });
        let volumes = volumes.collect();
        let seen = Seen {
            namespace,
            name,
            uid,
            volumes,
            is_running: false,
            variables: BTreeMap::new(),
            late_secrets: Vec::new(),
            mounting: None,
            republished: 0,
            failures: Vec::new(),
        };
        PodWorker { seen: Mutex::new(seen), is_ending: Mutex::new(false), ends: Condvar::new() }
    }

    /// How it stands.
    pub fn seen(&self) -> Seen {
        self.edit().clone()
    }

    /// The pod is being deleted.
    pub fn end(&self) {
        *self.is_ending.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ends.notify_all();
    }

    /// The whole life of the pod. After the player's end it is cut short, with everything left as it is.
    pub(super) fn live(&self, shared: &Shared, pod: &Value) {
        let is_wanted = !self.rest(shared, Duration::ZERO);
        if is_wanted && self.mount(shared, pod) && self.resolve_variables(shared, pod) && self.start(shared) {
            while !self.rest(shared, shared.republish_every()) {
                if self.publish_all(shared) {
                    self.edit().republished += 1;
                }
            }
        }
        if !shared.is_ending() {
            self.take_down(shared);
        }
    }

    /// Mounts every volume; false when the pod has to go before that.
    fn mount(&self, shared: &Shared, pod: &Value) -> bool {
        if self.seen().volumes.is_empty() {
            // Such as a pod that installs the driver, while there is no CSIDriver to ask about.
            return true;
        }
        let mut pause = FIRST_RETRY;
        loop {
            match shared.api.tokens(pod) {
                Ok([attributes, secrets]) => {
                    for (_, volume) in &mut self.edit().volumes {
                        volume.attributes.extend(attributes.clone());
                        volume.secrets.extend(secrets.clone());
                    }
                    break;
                }
                Err(_refusal) if self.rest(shared, pause) => return false,
                Err(_refusal) => {}
            }
        }
        let begun = Instant::now();
        loop {
            if self.publish_all(shared) {
                self.edit().mounting = Some(begun.elapsed());
                return true;
            }
            if self.rest(shared, pause) {
                return false;
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Publishes every volume, for the first time or again; true when all of them are fine.
    fn publish_all(&self, shared: &Shared) -> bool {
        let Seen { namespace, name, uid, volumes, .. } = self.seen();
        let mut is_fine = true;
        for (volume, known) in &volumes {
            let above = known.target.parent().expect("a target has a parent");
            std::fs::create_dir_all(above).expect("kubelet can make directories");
            let Err(status) = shared.csi.publish(known) else { continue };
            is_fine = false;
            if is_final(&status) {
                // Kubelet removes the directory, which fails while something is mounted there.
                drop(std::fs::remove_dir(&known.target));
            }
            let message = format!(
                "MountVolume.SetUp failed for volume \"{volume}\" : rpc error: code = {} desc = {}",
                status.code.name(),
                status.message
            );
            let is_news = !self.edit().failures.contains(&message);
            if is_news {
                shared.api.report_failed_mount(&namespace, &name, &uid, &message);
                self.edit().failures.push(message);
            }
        }
        is_fine
    }

    /// Looks the variables up, until they are there; false when the pod has to go before that.
    fn resolve_variables(&self, shared: &Shared, pod: &Value) -> bool {
        let namespace = text(&pod["metadata"]["namespace"]);
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        for variable in containers.flat_map(|container| container["env"].as_array().into_iter().flatten()) {
            let from = &variable["valueFrom"]["secretKeyRef"];
            if from.is_null() {
                continue;
            }
            let (secret, key) = (text(&from["name"]), text(&from["key"]));
            let mut is_first = true;
            let value = loop {
                if let Some(value) = shared.api.secret_value(&namespace, &secret, &key) {
                    break value;
                }
                if std::mem::take(&mut is_first) {
                    self.edit().late_secrets.push(secret.clone());
                }
                if self.rest(shared, FIRST_RETRY) {
                    return false;
                }
            };
            self.edit().variables.insert(text(&variable["name"]), value);
        }
        true
    }

    /// Tells everybody that the pod runs.
    fn start(&self, shared: &Shared) -> bool {
        let Seen { namespace, name, .. } = self.seen();
        while shared.api.report_running(&namespace, &name).is_err() {
            if self.rest(shared, FIRST_RETRY) {
                return false;
            }
        }
        self.edit().is_running = true;
        true
    }

    fn take_down(&self, shared: &Shared) {
        let Seen { namespace, name, uid, volumes, .. } = self.seen();
        for (_, volume) in &volumes {
            while let Err(status) = shared.csi.unpublish(volume) {
                self.edit().failures.push(format!("UnmountVolume.TearDown failed: {status}"));
                if shared.is_ending() {
                    return;
                }
                std::thread::sleep(FIRST_RETRY);
            }
            // What kubelet has made above the volume; what the driver left behind would be in the way.
            if let Some(above) = volume.target.parent()
                && above.exists()
                && let Err(error) = std::fs::remove_dir(above)
            {
                self.edit().failures.push(format!("could not remove {}: {error}", above.display()));
            }
        }
        while shared.api.remove(&namespace, &name, &uid).is_err() && !shared.is_ending() {
            std::thread::sleep(FIRST_RETRY);
        }
    }

    /// Waits, and says whether the pod or the player ended meanwhile.
    fn rest(&self, shared: &Shared, time: Duration) -> bool {
        let guard = self.is_ending.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ends.wait_timeout_while(guard, time, |is_ending| !*is_ending);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *guard || shared.is_ending()
    }

    fn edit(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True where kubelet takes the answer for the last word on this attempt.
fn is_final(status: &Status) -> bool {
    !matches!(
        status.code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

/// Kubelet's own.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// Kubelet's own is two minutes, which is a long time to watch.
const LAST_RETRY: Duration = Duration::from_secs(4);
