//! Kubelet's part, played for the pods of one node that really exist in the API: it mounts their volumes through the
//! driver, resolves their variables, reports them as running, mounts again every second, and takes them down.
//!
//! No container is ever run: what a container would see is on the volume's path and in [`Seen::variables`].

mod api;
mod pod;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use self::api::NodeApi;
use self::pod::PodWorker;
pub use self::pod::Seen;
use e2e::admin::Admin;
use kit::kubelet::Kubelet;
use kit::world::Pod;

/// Plays until it is dropped.
pub struct KubeletPlayer {
    shared: Arc<Shared>,
    poller: Option<JoinHandle<()>>,
}

struct Shared {
    api: NodeApi,
    csi: Kubelet,
    pods_directory: PathBuf,
    /// By uid: a pod that is made anew under its name is another one.
    pods: Mutex<HashMap<String, Arc<PodWorker>>>,
    republish_millis: AtomicU64,
    is_ending: AtomicBool,
}

impl KubeletPlayer {
    /// Looks after every pod of the node from now on.
    pub fn start(admin: Admin, csi: Kubelet, pods_directory: PathBuf) -> KubeletPlayer {
        let shared = Arc::new(Shared {
            api: NodeApi::new(admin),
            csi,
            pods_directory,
            pods: Mutex::default(),
            republish_millis: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
        });
        let player = Arc::clone(&shared);
        let poller = thread::Builder::new().name("kubelet".to_owned()).spawn(move || poll(&player));
        let player = KubeletPlayer { shared, poller: Some(poller.expect("a thread can be started")) };
        player.republish_every(REPUBLISH_EVERY);
        player
    }

    /// How it stands with a pod that is there.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Seen> {
        let pods = self.shared.pods();
        pods.values().map(|pod| pod.seen()).find(|seen| seen.namespace == namespace && seen.name == name)
    }

    /// How it stands with the pods of a namespace whose names begin so.
    pub fn pods(&self, namespace: &str, beginning: &str) -> Vec<Seen> {
        let pods = self.shared.pods();
        let seen = pods.values().map(|pod| pod.seen());
        seen.filter(|seen| seen.namespace == namespace && seen.name.starts_with(beginning)).collect()
    }

    /// How it stands with every pod.
    pub fn all(&self) -> Vec<Seen> {
        self.shared.pods().values().map(|pod| pod.seen()).collect()
    }

    /// `<namespace>/<name>` of every pod that is there.
    pub fn names(&self) -> Vec<String> {
        let pods = self.shared.pods();
        pods.values().map(|pod| pod.seen()).map(|seen| format!("{}/{}", seen.namespace, seen.name)).collect()
    }

    /// How often running pods are published again, from their next time on.
    pub fn republish_every(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("some seconds");
        self.shared.republish_millis.store(millis, Ordering::Relaxed);
    }
}

impl Drop for KubeletPlayer {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        if let Some(poller) = self.poller.take() {
            // It has no result, and a panic of it was printed.
            drop(poller.join());
        }
    }
}

impl Seen {
    /// The volume of that name.
    pub fn volume(&self, name: &str) -> &Pod {
        let found = self.volumes.iter().find(|(volume, _)| volume == name).map(|(_, pod)| pod);
        found.unwrap_or_else(|| panic!("pod {} has no volume {name}", self.name))
    }
}

impl Shared {
    fn pods(&self) -> MutexGuard<'_, HashMap<String, Arc<PodWorker>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    fn republish_every(&self) -> Duration {
        Duration::from_millis(self.republish_millis.load(Ordering::Relaxed))
    }
}

/// Lists the node's pods again and again: a worker for each new one, news for the others.
fn poll(shared: &Arc<Shared>) {
    while !shared.is_ending() {
        // An API server that is away leaves everything as it is, as kubelet does.
        if let Ok(pods) = shared.api.pods() {
            update(shared, pods);
        }
        thread::sleep(POLL_EVERY);
    }
}

fn update(shared: &Arc<Shared>, pods: Vec<Value>) {
    let mut known = shared.pods();
    let mut listed: HashMap<String, Value> = HashMap::new();
    for pod in pods {
        listed.insert(pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned(), pod);
    }
    for (uid, worker) in known.iter() {
        let is_going = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
        if listed.get(uid).is_none_or(is_going) {
            worker.end();
        }
    }
    for (uid, pod) in listed {
        if known.contains_key(&uid) {
            continue;
        }
        let worker = Arc::new(PodWorker::new(&pod, &shared.pods_directory));
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            worker.end();
        }
        known.insert(uid.clone(), Arc::clone(&worker));
        let shared = Arc::clone(shared);
        let life = move || {
            worker.live(&shared, &pod);
            shared.pods().remove(&uid);
        };
        // Ends with its pod, or soon after the player.
        drop(thread::Builder::new().name("pod".to_owned()).spawn(life).expect("a thread can be started"));
    }
}

/// Kubelet itself hears of a new pod at once.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// Kubelet itself calls again after a minute or more.
pub const REPUBLISH_EVERY: Duration = Duration::from_secs(1);
