//! kube-controller-manager: what makes pods of Deployments and DaemonSets, and removes what has lost its owner.

use std::path::Path;

use serde_json::json;

use super::credentials::Credentials;
use super::daemon::Daemon;

/// The running controllers.
pub struct ControllerManager(Daemon);

impl ControllerManager {
    /// Starts them. The garbage collector knows the kinds that exist now, and looks for others twice a minute.
    pub fn start(
        program: &Path,
        api_server: &str,
        credentials: &Credentials,
        logs: &Path,
    ) -> ControllerManager {
        let config = credentials.path("controller-manager.json");
        let authority = credentials.path(super::credentials::AUTHORITY);
        let [certificate, key] =
            ["crt", "key"].map(|ending| credentials.path(&format!("controller-manager.{ending}")));
        // As JSON, which every reader of YAML reads.
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": api_server, "certificate-authority": authority}}],
            "users": [{"name": "u", "user": {"client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(&config, content.to_string()).expect("the directory takes files");
        let arguments = [
            format!("--kubeconfig={config}"),
            "--leader-elect=false".to_owned(),
            // Serves nothing.
            "--secure-port=0".to_owned(),
            // Each controller is somebody of its own, with no more rights than it has in a cluster.
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", credentials.path("service-accounts.key")),
            format!("--controllers={}", CONTROLLERS.join(",")),
            "--concurrent-gc-syncs=8".to_owned(),
            // The usual limits are for a cluster's sake, which this is not.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ];
        ControllerManager(Daemon::start("kube-controller-manager", program, &arguments, logs))
    }

    /// Panics with the end of the log if it has ended.
    pub fn expect_running(&mut self) {
        self.0.expect_running();
    }
}

const CONTROLLERS: [&str; 7] = [
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
];
