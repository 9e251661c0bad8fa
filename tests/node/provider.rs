//! The provider as a DaemonSet, and the store from which it takes secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::images;
use crate::kubectl::Kubectl;
use crate::objects::PROVIDER;

/// The provider of the node.
pub struct Provider {
    kubectl: Kubectl,
    store: PathBuf,
}

/// What the provider saw of a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// For which pod it was.
    pub pod: String,
    /// The keys of the Secret that came with it.
    pub secrets: Vec<String>,
    /// How many objects the driver had already.
    pub current: usize,
    /// The audiences of the tokens among the attributes.
    pub tokens_in_attributes: Vec<String>,
    /// Those of the tokens among the secrets.
    pub tokens_in_secrets: Vec<String>,
}

impl Provider {
    /// None runs yet. Its store is to be that directory of the machine's.
    pub fn new(kubectl: &Kubectl, store: &Path) -> Provider {
        std::fs::create_dir_all(store).unwrap_or_else(|error| panic!("{}: {error}", store.display()));
        Provider { kubectl: kubectl.clone(), store: store.to_owned() }
    }

    /// After a power failure.
    pub fn ask_by(&mut self, kubectl: &Kubectl) {
        self.kubectl = kubectl.clone();
    }

    /// Gives an object its contents, at once and as a whole.
    pub fn put(&self, object: &str, contents: impl AsRef<[u8]>) {
        let [new, place] = [format!(".{object}"), object.to_owned()].map(|name| self.store.join(name));
        std::fs::write(&new, contents).unwrap_or_else(|error| panic!("{}: {error}", new.display()));
        std::fs::rename(&new, &place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    }

    /// Installs it, and waits until it serves. Does nothing where it does already.
    pub fn start(&self) {
        self.kubectl.apply(&self.daemon_set());
        self.kubectl.good(&["rollout", "status", NAME, "--namespace=kube-system", "--timeout=60s"]);
    }

    /// Removes it with its pod. Its socket stays, as that of one that crashed.
    pub fn stop(&self) {
        self.kubectl.good(&[
            "delete",
            NAME,
            "--namespace=kube-system",
            "--cascade=foreground",
            "--timeout=60s",
        ]);
    }

    /// What it saw of calls for the pod since it was started, the first call first.
    pub fn calls(&self, pod: &str) -> Vec<Call> {
        let log = self.kubectl.good(&["logs", NAME, "--namespace=kube-system", "--tail=-1"]);
        let calls = log.lines().filter_map(|line| serde_json::from_str::<Call>(line).ok());
        calls.filter(|call| call.pod == pod).collect()
    }

    fn daemon_set(&self) -> Value {
        let labels = json!({"app": PROVIDER});
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": PROVIDER, "namespace": "kube-system"},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{
                        "name": "provider",
                        "image": images::PROVIDER,
                        "imagePullPolicy": "Never",
                        "args": [format!("/sockets/{PROVIDER}.sock"), "/store"],
                        // When kubelet says that it is ready, somebody listens.
                        "readinessProbe": {
                            "exec": {"command": ["/node-provider", "--ask", format!("/sockets/{PROVIDER}.sock")]},
                            "periodSeconds": 1,
                        },
                        "volumeMounts": [
                            {"name": "sockets", "mountPath": "/sockets"},
                            {"name": "store", "mountPath": "/store", "readOnly": true},
                        ],
                    }],
                    "volumes": [
                        {"name": "sockets", "hostPath": {"path": SOCKETS, "type": "DirectoryOrCreate"}},
                        {"name": "store", "hostPath": {"path": self.store, "type": "Directory"}},
                    ],
                },
            }},
        })
    }
}

/// Where the driver looks for providers.
pub const SOCKETS: &str = "/var/run/secrets-store-csi-providers";
/// Its socket, as the node has it.
pub const SOCKET: &str = "/run/secrets-store-csi-providers/node-provider.sock";
const NAME: &str = "daemonset/node-provider";
