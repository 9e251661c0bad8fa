//! The operator: what it costs when there is nothing to do, and how soon a change of its object is in the DaemonSet.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Latencies;
use crate::process::{Cost, Snapshot};
use crate::report::{Aim, Report, millis, number};
use api_server::{ApiServer, Settings};
use kit::PATIENCE;
use kit::driver::{DriverProcess, program};

use super::Stage;

impl Stage {
    /// One operator with an API server double of its own, in this process.
    pub fn operator(&mut self, report: &mut Report) {
        self.say("the operator: this takes a quarter of a minute");
        let token = Some(TOKEN.to_owned()).filter(|_| !self.plain_http);
        let api = ApiServer::with(Settings { tls: !self.plain_http, token });
        let files = tempfile::tempdir().expect("a temporary directory");
        let mut flags = vec![
            format!("--kube-api-server={}", api.url()),
            format!("--namespace={NAMESPACE}"),
            "--listen=127.0.0.1:0".to_owned(),
        ];
        if !self.plain_http {
            let file = |name: &str, content: &str| {
                fs::write(files.path().join(name), content).expect("the directory takes files");
                files.path().join(name).display().to_string()
            };
            flags.push(format!("--kube-ca-file={}", file("ca.crt", &api.ca_pem())));
            flags.push(format!("--kube-token-file={}", file("token", TOKEN)));
        }
        let variables = [("DRIVER_IMAGE", "driver"), ("POD_NAME", "operator")];
        let operator = DriverProcess::spawn_with(&program("secrets-store-csi-operator"), &flags, &variables);
        let mut times = Latencies::default();
        for round in 0..ROUNDS {
            let age = 60 * (round + 1);
            // The first one waits for the operator to start, and is a whole installation.
            let roll_out = || {
                ask(&api, age);
                let interval = format!("--rotation-poll-interval={}m", round + 1);
                let is_there = |api: &ApiServer| {
                    api.get(DAEMON_SET).is_some_and(|object| object.to_string().contains(&interval))
                };
                assert!(api.wait(PATIENCE, is_there), "no roll-out:\n{}", operator.log());
            };
            if round == 0 {
                roll_out()
            } else {
                times.time(roll_out)
            };
            // Reported, and at rest.
            thread::sleep(REST);
        }
        api.forget_requests();
        let before = Cost::of(operator.id());
        thread::sleep(PEACE);
        let used = Cost::of(operator.id()).since(before);
        let is_write = |verb: &str| !matches!(verb, "get" | "list" | "watch");
        let writes = api.requests().into_iter().filter(|seen| is_write(seen.verb));
        let writes = writes.filter(|seen| !seen.path.contains("/leases/")).count();
        report.section("operator");
        report.latency("change to DaemonSet", &times);
        report.figure(
            "change to DaemonSet, longest",
            millis(times.percentile(100)),
            "ms",
            Some(Aim::AtMost(1000.0)),
        );
        let writes = number(u64::try_from(writes).expect("few"));
        report.figure("API writes in peace, but for the lease", writes, "", Some(Aim::AtMost(0.0)));
        let seconds = PEACE.as_secs_f64();
        report.figure("millicores in peace", used.processor.as_secs_f64() * 1000.0 / seconds, "", None);
        report.snapshot("operator in peace", Snapshot::of(operator.id()), Some(Aim::AtMost(12.0)));
    }
}

fn ask(api: &ApiServer, age: u64) {
    let mut object = api.get(REQUEST).unwrap_or_else(|| {
        json!({
            "apiVersion": "operator.openshift.io/v1", "kind": "ClusterCSIDriver",
            "metadata": {"name": "secrets-store.csi.k8s.io"},
        })
    });
    let rotation: Value = json!({"type": "Custom", "custom": {"minimumRefreshAge": age}});
    object["spec"] = json!({
        "managementState": "Managed",
        "driverConfig": {"driverType": "SecretsStore", "secretsStore": {"secretRotation": rotation}},
    });
    api.put(object);
}

const TOKEN: &str = "operator";
const NAMESPACE: &str = "storage";
const REQUEST: &str = "/apis/operator.openshift.io/v1/clustercsidrivers/secrets-store.csi.k8s.io";
const DAEMON_SET: &str = "/apis/apps/v1/namespaces/storage/daemonsets/secrets-store-csi-driver-node";
const ROUNDS: u64 = 11;
const REST: Duration = Duration::from_millis(500);
const PEACE: Duration = Duration::from_secs(5);
