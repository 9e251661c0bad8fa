//! Nodes without a kubelet, and the part of scheduler and kubelet that a DaemonSet notices: its pods come to the node
//! they are for, are ready at once, and go when they are to go. No container is ever run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use e2e::admin::{Admin, Refusal};
use e2e::kinds;

/// Plays until it is dropped.
pub struct Nodes {
    is_ending: Arc<AtomicBool>,
    player: Option<JoinHandle<()>>,
}

impl Nodes {
    /// Makes the nodes, and looks after the pods of a namespace from now on.
    pub fn start(admin: &Admin, namespace: &str) -> Nodes {
        for name in NAMES {
            let labels = json!({"kubernetes.io/os": "linux", "kubernetes.io/hostname": name});
            admin.apply(&json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            }));
        }
        let is_ending = Arc::new(AtomicBool::new(false));
        let (ending, admin) = (Arc::clone(&is_ending), admin.clone());
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let play = move || {
            while !ending.load(Ordering::Relaxed) {
                // An API server that is away is one that these wait for.
                if let Ok(mut pods) = admin.ask("GET", &path, None)
                    && let Value::Array(pods) = pods["items"].take()
                {
                    pods.iter().for_each(|pod| drop(advance(&admin, pod)));
                }
                thread::sleep(TICK);
            }
        };
        let player = thread::Builder::new().name("nodes".to_owned()).spawn(play);
        Nodes { is_ending, player: Some(player.expect("a thread can be started")) }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(player) = self.player.take() {
            // It has no result, and a panic of it was printed.
            drop(player.join());
        }
    }
}

/// Brings a pod one step further; what is refused is tried again with the next tick.
fn advance(admin: &Admin, pod: &Value) -> Result<(), Refusal> {
    let metadata = &pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = kinds::core(&text(&metadata["namespace"]), "pods", &text(&metadata["name"]));
    if !metadata["deletionTimestamp"].is_null() {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": metadata["uid"]},
        });
        return admin.ask("DELETE", &path, Some(&options)).map(drop);
    }
    if pod["spec"]["nodeName"].is_null() {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_of(pod)},
        });
        return admin.ask("POST", &format!("{path}/binding"), Some(&binding)).map(drop);
    }
    if pod["status"]["phase"] == "Running" {
        return Ok(());
    }
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(|condition| {
        json!({"type": condition, "status": "True", "lastTransitionTime": metadata["creationTimestamp"]})
    });
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten().map(|container| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": "none", "ready": true,
            "started": true, "restartCount": 0, "state": {"running": {}},
        })
    });
    let status = json!({
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": containers.collect::<Vec<_>>(),
    });
    admin.ask("PATCH", &format!("{path}/status"), Some(&json!({"status": status}))).map(drop)
}

/// The node that a DaemonSet's controller has made the pod for; any other pod comes to the first.
fn node_of(pod: &Value) -> String {
    let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let name = &terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0];
    name.as_str().unwrap_or(NAMES[0]).to_owned()
}

/// The nodes.
pub const NAMES: [&str; 3] = ["node-1", "node-2", "node-3"];
const TICK: Duration = Duration::from_millis(50);
