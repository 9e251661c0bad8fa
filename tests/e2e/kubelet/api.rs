//! What kubelet asks of the API server, and tells it.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::workloads::{DRIVER, NODE, content};
use e2e::admin::{Admin, Refusal};
use e2e::kinds;

/// The API server, as a node sees it. Nothing here waits or panics: kubelet tries again.
pub struct NodeApi(Admin);

impl NodeApi {
    /// Asks with the administrator's rights; what a node may do is not what is tested.
    pub fn new(admin: Admin) -> NodeApi {
        NodeApi(admin)
    }

    /// The pods of this node.
    pub fn pods(&self) -> Result<Vec<Value>, Refusal> {
        let mut list =
            self.0.ask("GET", &format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}"), None)?;
        match list["items"].take() {
            Value::Array(pods) => Ok(pods),
            _ => Err(Refusal { code: 200, message: "the API server's list of pods is none".to_owned() }),
        }
    }

    /// What the CSIDriver object asks kubelet to hand to the driver: a token of the pod's service account for each
    /// audience, by the attribute's name. In the second place, where the object says that secrets are the place for it.
    pub fn tokens(&self, pod: &Value) -> Result<[HashMap<String, String>; 2], Refusal> {
        let driver = self.0.ask("GET", &format!("/apis/storage.k8s.io/v1/csidrivers/{DRIVER}"), None)?;
        let metadata = &pod["metadata"];
        let (namespace, account) = (text(&metadata["namespace"]), text(&pod["spec"]["serviceAccountName"]));
        let mut tokens = serde_json::Map::new();
        for request in driver["spec"]["tokenRequests"].as_array().into_iter().flatten() {
            let owner =
                json!({"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]});
            let body = json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"audiences": [request["audience"]], "boundObjectRef": owner},
            });
            let path = kinds::core(&namespace, "serviceaccounts", &account);
            let mut made = self.0.ask("POST", &format!("{path}/token"), Some(&body))?;
            let token = json!({
                "token": made["status"]["token"].take(),
                "expirationTimestamp": made["status"]["expirationTimestamp"].take(),
            });
            tokens.insert(text(&request["audience"]), token);
        }
        if tokens.is_empty() {
            return Ok([HashMap::new(), HashMap::new()]);
        }
        let entry = HashMap::from([(TOKENS.to_owned(), Value::Object(tokens).to_string())]);
        let in_secret = driver["spec"]["serviceAccountTokenInSecrets"] == json!(true);
        Ok(if in_secret { [HashMap::new(), entry] } else { [entry, HashMap::new()] })
    }

    /// The value of a key of a Secret, if both are there.
    pub fn secret_value(&self, namespace: &str, secret: &str, key: &str) -> Option<String> {
        let secret = self.0.ask("GET", &kinds::core(namespace, "secrets", secret), None).ok()?;
        content(&secret, key)
    }

    /// Reports that the pod's container runs.
    pub fn report_running(&self, namespace: &str, name: &str) -> Result<(), Refusal> {
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|condition| json!({"type": condition, "status": "True"}));
        let container = json!({
            "name": "main", "image": "none", "imageID": "none", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {}},
        });
        let status = json!({"phase": "Running", "conditions": conditions, "containerStatuses": [container]});
        let path = format!("{}/status", kinds::core(namespace, "pods", name));
        self.0.ask("PATCH", &path, Some(&json!({"status": status}))).map(drop)
    }

    /// Reports, for the pod's owner, that a volume could not be mounted.
    pub fn report_failed_mount(&self, namespace: &str, name: &str, uid: &str, message: &str) {
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": format!("{name}."), "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid},
            "reason": "FailedMount",
            "message": message,
            "type": "Warning",
            "source": {"component": "kubelet", "host": NODE},
        });
        // Events get lost with real kubelets, too.
        drop(self.0.ask("POST", &format!("/api/v1/namespaces/{namespace}/events"), Some(&event)));
    }

    /// Removes a pod that has ended, and no other of its name.
    pub fn remove(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Refusal> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        });
        match self.0.ask("DELETE", &kinds::core(namespace, "pods", name), Some(&options)) {
            Ok(_) | Err(Refusal { code: 404 | 409, .. }) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// The text of a field, empty where it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The attribute of the tokens.
const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";
