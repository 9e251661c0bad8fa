//! The node on which the story happens: the world of the tests, the provider's process, and one pod.

use std::fs;

use serde_json::{Value, json};

use crate::store::Store;
use api_server::ApiServer;
use kit::driver::{DriverProcess, program};
use kit::objects::{class_path, pod_status_path};
use kit::world::{Pod, World};

/// The node.
pub struct Node {
    // First, so that the processes end before what they work on goes.
    provider: Option<DriverProcess>,
    /// API server, directories, driver, kubelet.
    pub world: World,
    /// What the provider serves.
    pub store: Store,
    is_driver_running: bool,
    /// What drivers and providers that have ended said.
    past_log: String,
}

impl Node {
    /// A node on which nothing runs yet but the API server.
    pub fn new(store: Store) -> Node {
        let flags = [
            "--enable-secret-rotation",
            // Every call of kubelet refreshes: the story does not wait for intervals.
            "--rotation-poll-interval=0s",
            // Room for 1,024 files of the user, each in directories of its own.
            "--volume-inode-limit=32768",
            // Everything the driver could say: what fails is explained, and secrets are looked for in it.
            "-v=5",
        ];
        let world = World::without_driver(&flags);
        Node { provider: None, world, store, is_driver_running: false, past_log: String::new() }
    }

    /// Starts the provider and waits until it serves.
    pub fn start_provider(&mut self) {
        let socket = self.world.providers().join(format!("{PROVIDER}.sock"));
        let mut flags = vec![format!("--endpoint=unix://{}", socket.display())];
        flags.extend(self.store.provider_flags());
        let provider = self.provider.insert(DriverProcess::spawn(&program(PROVIDER), &flags));
        provider.wait_for_log("serving secrets for tests");
        self.store.attach(provider);
    }

    /// Kills the provider.
    pub fn kill_provider(&mut self) {
        self.store.detach();
        if let Some(provider) = self.provider.take() {
            provider.kill();
        }
    }

    /// Starts the driver and waits until it is ready.
    pub fn start_driver(&mut self) {
        self.is_driver_running = true;
        self.world.start_driver();
    }

    /// Kills the driver, without a chance to tidy up.
    pub fn kill_driver(&mut self) {
        self.is_driver_running = false;
        let log = self.world.take_driver().kill();
        self.past_log.push_str(&log);
    }

    /// Stops the driver as kubelet does.
    pub fn stop_driver(&mut self) {
        self.is_driver_running = false;
        let log = self.world.take_driver().terminate();
        self.past_log.push_str(&log);
    }

    /// The log of all drivers of this node.
    pub fn driver_log(&self) -> String {
        let mut log = self.past_log.clone();
        if self.is_driver_running {
            log.push_str(&self.world.driver().log());
        }
        log
    }

    /// A pod of the API server, in whose directory kubelet has prepared the place of the volume.
    pub fn schedule_pod(&self) -> Pod {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": NAMESPACE},
            "spec": {"nodeName": "node-1"},
        });
        let stored = self.world.api.put(pod);
        let uid =
            stored["metadata"]["uid"].as_str().expect("the API server gives every object a uid").to_owned();
        let above = self.world.path(&format!("pods/{uid}/volumes/kubernetes.io~csi/secrets"));
        fs::create_dir_all(&above).expect("kubelet can make directories");
        Pod { uid, target: above.join("mount"), ..self.world.pod(POD, CLASS) }
    }

    /// The last lines of the programs, to explain a failure.
    pub fn last_words(&self) -> String {
        let provider = self.provider.as_ref().map(DriverProcess::log).unwrap_or_default();
        let [driver, provider] = [self.driver_log(), provider].map(|log| tail(&log));
        format!("The driver's last lines:\n{driver}\nThe provider's last lines:\n{provider}")
    }
}

/// The class, as the API server has it.
pub fn class(api: &ApiServer) -> Value {
    api.get(&class_path(NAMESPACE, CLASS)).unwrap_or_default()
}

/// The pod status, as the API server has it.
pub fn pod_status(api: &ApiServer) -> Option<Value> {
    api.get(&pod_status_path(NAMESPACE, POD, CLASS))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let kept = &lines[lines.len().saturating_sub(LAST_LINES)..];
    kept.iter().map(|line| format!("   {line}\n")).collect()
}

/// Name of the provider: of its program, of its socket, and in the class.
pub const PROVIDER: &str = "e2e-provider";
/// Name of the class.
pub const CLASS: &str = "shop-secrets";
/// Name of the pod.
pub const POD: &str = "shop";
/// Namespace of the pod and the class.
pub const NAMESPACE: &str = "default";
/// Enough to see what led to a failure.
const LAST_LINES: usize = 25;
