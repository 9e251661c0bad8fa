//! An API server, operators, and what an administrator and the controllers of a cluster do.

use std::sync::Arc;

use serde_json::{Value, json};

use api_server::ApiServer;
use kit::PATIENCE;
use kit::driver::{DriverProcess, program};

pub const NAMESPACE: &str = "storage";
pub const REQUEST: &str = "/apis/operator.openshift.io/v1/clustercsidrivers/secrets-store.csi.k8s.io";
pub const ACCOUNT: &str = "/api/v1/namespaces/storage/serviceaccounts/secrets-store-csi-driver-node-sa";
pub const CSI_DRIVER: &str = "/apis/storage.k8s.io/v1/csidrivers/secrets-store.csi.k8s.io";
pub const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/secretproviderclasses-role";
pub const BINDING: &str =
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/secretproviderclasses-rolebinding";
pub const POLICY: &str =
    "/apis/networking.k8s.io/v1/namespaces/storage/networkpolicies/sscsi-allow-ingress-to-metrics-operand";
pub const DAEMON_SET: &str = "/apis/apps/v1/namespaces/storage/daemonsets/secrets-store-csi-driver-node";
pub const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/storage/leases/secrets-store-csi-driver-operator-lock";
pub const CONFIG_MAP: &str =
    "/api/v1/namespaces/storage/configmaps/secrets-store-csi-driver-trusted-ca-bundle";
pub const PRIVILEGED_ROLE: &str =
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/secrets-store-privileged-role";
pub const PRIVILEGED_BINDING: &str =
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/secrets-store-node-privileged-binding";
pub const FINALIZER: &str =
    "secrets-store-csi-driver-operator.operator.openshift.io/SecretsStoreDriverNodeServiceController";

/// What is installed on any Kubernetes, the pods last.
pub const PIECES: [&str; 6] = [ACCOUNT, CSI_DRIVER, ROLE, BINDING, POLICY, DAEMON_SET];

/// The cluster.
pub struct Stage {
    pub api: Arc<ApiServer>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage { api: Arc::new(ApiServer::start()) }
    }

    /// With an operator that has installed the driver.
    pub fn installed() -> (Stage, DriverProcess) {
        let stage = Stage::new();
        let operator = stage.operator();
        stage.ask(&json!({"managementState": "Managed"}));
        stage.wait_installed();
        (stage, operator)
    }

    /// An operator in the pod `one`.
    pub fn operator(&self) -> DriverProcess {
        self.operator_in("one", &[])
    }

    /// An operator in that pod, with these flags besides.
    pub fn operator_in(&self, pod: &str, flags: &[&str]) -> DriverProcess {
        let server = format!("--kube-api-server={}", self.api.url());
        let namespace = format!("--namespace={NAMESPACE}");
        let times = ["--lease-duration=4s", "--lease-renew-deadline=3s", "--lease-retry-period=200ms"];
        let mut arguments = vec!["start".to_owned(), server, namespace, "--listen=127.0.0.1:0".to_owned()];
        arguments.push("--metrics-listen=0".to_owned());
        arguments.extend(times.iter().chain(flags).map(|flag| (*flag).to_owned()));
        let variables = [("DRIVER_IMAGE", "registry.example/driver:v1"), ("POD_NAME", pod)];
        DriverProcess::spawn_with(&program("secrets-store-csi-operator"), &arguments, &variables)
    }

    /// Creates the object, or changes its spec. Unless that says otherwise, the operator logs each turn.
    pub fn ask(&self, spec: &Value) {
        let mut object = self.api.get(REQUEST).unwrap_or_else(|| {
            json!({
                "apiVersion": "operator.openshift.io/v1", "kind": "ClusterCSIDriver",
                "metadata": {"name": "secrets-store.csi.k8s.io"},
            })
        });
        object["spec"] = spec.clone();
        if object["spec"]["operatorLogLevel"].is_null() {
            object["spec"]["operatorLogLevel"] = json!("Trace");
        }
        self.api.put(object);
    }

    /// Deletes the object, as far as its finalizers let it go.
    pub fn delete_request(&self) {
        let mut object = self.request();
        if object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            self.api.delete(REQUEST);
            return;
        }
        object["metadata"]["deletionTimestamp"] = json!("2026-04-01T09:08:07Z");
        // That it is marked has to be a change of its own.
        object["metadata"]["annotations"]["deleted-by"] = json!("test");
        self.api.put(object);
    }

    /// Wakes the operator without changing anything that it looks at.
    pub fn nudge(&self, how: &str) {
        let mut object = self.request();
        object["metadata"]["annotations"]["nudge"] = json!(how);
        self.api.put(object);
    }

    /// Waits until the operator has looked at everything once more, since it asks the API server nothing to do so.
    #[track_caller]
    pub fn look(&self, operator: &DriverProcess, how: &str) {
        let turns = || operator.count_log("the loop has turned");
        let before = turns();
        self.nudge(how);
        kit::eventually("the loop turns", || turns() > before);
    }

    pub fn request(&self) -> Value {
        self.api.get(REQUEST).expect("the ClusterCSIDriver is there")
    }

    /// Changes an object by hand.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.api.get(path).unwrap_or_else(|| panic!("{path} is there"));
        edit(&mut object);
        self.api.put(object);
    }

    /// Status and reason of a condition.
    pub fn condition(&self, name: &str) -> String {
        let object = self.api.get(REQUEST).unwrap_or_default();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == name);
        found.map_or_else(String::new, |condition| {
            let text = |field: &str| condition[field].as_str().filter(|text| !text.is_empty()).unwrap_or("-");
            format!("{} {}", text("status"), text("reason"))
        })
    }

    pub fn message(&self, name: &str) -> String {
        let object = self.request();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == name);
        found.and_then(|condition| condition["message"].as_str()).unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl FnMut(&ApiServer) -> bool) {
        assert!(
            self.api.wait(PATIENCE, condition),
            "waited in vain until {what}; {}",
            self.api.get(REQUEST).unwrap_or_default()
        );
    }

    /// Waits until everything is there and the operator has written down where it left the pods.
    #[track_caller]
    pub fn wait_installed(&self) {
        self.wait("everything is installed and reported", |api| self.is_installed(api));
    }

    pub fn is_installed(&self, api: &ApiServer) -> bool {
        let generation = api.get(DAEMON_SET).map(|object| object["metadata"]["generation"].clone());
        PIECES.iter().all(|path| api.get(path).is_some())
            && self.condition(STATICS) == "False AsExpected"
            && self.condition(NODE_DEGRADED) == "False AsExpected"
            && generation.is_some_and(|at| self.recorded_generation() == at)
    }

    /// The generation of the DaemonSet that the operator has written down.
    fn recorded_generation(&self) -> Value {
        let object = self.request();
        let all = object["status"]["generations"].as_array().into_iter().flatten();
        let of_pods = |entry: &&Value| entry["resource"] == "daemonsets" && entry["namespace"] == NAMESPACE;
        all.filter(of_pods).map(|entry| entry["lastGeneration"].clone()).next().unwrap_or_default()
    }

    /// Has the pods of the DaemonSet run on that many nodes, as its controller would report.
    pub fn roll_out(&self, nodes: i64) {
        self.roll_out_to(nodes, nodes);
    }

    /// The same while that many of the nodes have the latest kind.
    pub fn roll_out_to(&self, updated: i64, nodes: i64) {
        self.edit(DAEMON_SET, |object| {
            object["status"] = json!({
                "observedGeneration": object["metadata"]["generation"],
                "desiredNumberScheduled": nodes, "currentNumberScheduled": nodes,
                "updatedNumberScheduled": updated, "numberAvailable": nodes, "numberReady": nodes,
                "numberMisscheduled": 0,
            });
        });
    }

    /// Arguments of the driver's container.
    pub fn arguments(&self) -> Vec<String> {
        let object = self.api.get(DAEMON_SET).unwrap_or_default();
        let all = object["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned();
        all.unwrap_or_default().iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
    }

    /// Requests that change something, but for the lease and events.
    pub fn writes(&self) -> Vec<String> {
        let changes = |verb: &str| !matches!(verb, "get" | "list" | "watch");
        let all = self.api.requests().into_iter().filter(|seen| changes(seen.verb));
        let all = all.filter(|seen| !seen.path.contains("/leases") && !seen.path.contains("/events"));
        all.map(|seen| format!("{} {} {}", seen.verb, seen.path, seen.code)).collect()
    }
}

pub const STATICS: &str = "SecretsStoreConditionalStaticResourcesControllerDegraded";
pub const NODE_DEGRADED: &str = "SecretsStoreDriverNodeServiceControllerDegraded";
pub const AVAILABLE: &str = "SecretsStoreDriverNodeServiceControllerAvailable";
pub const PROGRESSING: &str = "SecretsStoreDriverNodeServiceControllerProgressing";
pub const MANAGEMENT: &str = "ManagementStateDegraded";

/// The driver's part of a spec.
pub fn store(store: Value) -> Value {
    json!({
        "managementState": "Managed",
        "driverConfig": {"driverType": "SecretsStore", "secretsStore": store},
    })
}
