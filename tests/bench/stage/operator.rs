//! The operator: how soon a change of its object is in the DaemonSet, what a roll-out on a hundred nodes costs the API
//! server, and what it costs when there is nothing to do.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::Latencies;
use crate::process::{Cost, Snapshot};
use crate::report::{Aim, Report, millis, number};
use api_server::{ApiServer, Settings};
use kit::PATIENCE;
use kit::driver::{DriverProcess, program};

use super::Stage;

impl Stage {
    /// One operator by itself.
    pub fn operator(&mut self, report: &mut Report) {
        self.say("the operator: this takes one and a half minutes");
        let Cluster { api, operator, .. } = &Cluster::start(self.plain_http);
        let mut times = Latencies::default();
        for round in 0..ROUNDS {
            let age = 60 * (round + 1);
            // The first one waits for the operator to start, and is a whole installation.
            let roll_out = || {
                ask(api, age);
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
        report.section("operator");
        report.latency("change to DaemonSet", &times);
        report.figure(
            "change to DaemonSet, longest",
            millis(times.percentile(100)),
            "ms",
            Some(Aim::AtMost(1000.0)),
        );

        replace_pods(api, operator);
        api.forget_requests();
        ask(api, 60 * (ROUNDS + 1));
        replace_pods(api, operator);
        let [requests, writes] = asked(api);
        report.figure("API requests, roll-out on 100 nodes", requests, "", Some(Aim::AtMost(132.0)));
        report.figure("API writes, roll-out on 100 nodes", writes, "", Some(Aim::AtMost(8.0)));

        api.forget_requests();
        let before = Cost::of(operator.id());
        thread::sleep(PEACE);
        let used = Cost::of(operator.id()).since(before);
        let [requests, writes] = asked(api);
        report.figure("API requests in a minute of peace", requests, "", None);
        report.figure(
            "API writes in a minute of peace, but for the lease",
            writes,
            "",
            Some(Aim::AtMost(0.0)),
        );
        let seconds = PEACE.as_secs_f64();
        report.figure("millicores in peace", used.processor.as_secs_f64() * 1000.0 / seconds, "", None);
        report.snapshot("operator in peace", Snapshot::of(operator.id()), Some(Aim::AtMost(12.0)));
    }
}

/// One operator with an API server double of its own, in this process.
struct Cluster {
    api: ApiServer,
    operator: DriverProcess,
    _files: TempDir,
}

impl Cluster {
    fn start(plain_http: bool) -> Cluster {
        let token = Some(TOKEN.to_owned()).filter(|_| !plain_http);
        let api = ApiServer::with(Settings { tls: !plain_http, token });
        let files = tempfile::tempdir().expect("a temporary directory");
        let mut flags = vec![
            format!("--kube-api-server={}", api.url()),
            format!("--namespace={NAMESPACE}"),
            "--listen=127.0.0.1:0".to_owned(),
            "--metrics-listen=127.0.0.1:0".to_owned(),
        ];
        if !plain_http {
            let file = |name: &str, content: &str| {
                fs::write(files.path().join(name), content).expect("the directory takes files");
                files.path().join(name).display().to_string()
            };
            flags.push(format!("--kube-ca-file={}", file("ca.crt", &api.ca_pem())));
            flags.push(format!("--kube-token-file={}", file("token", TOKEN)));
        }
        let variables = [("DRIVER_IMAGE", "driver"), ("POD_NAME", "operator")];
        let operator = DriverProcess::spawn_with(&program("secrets-store-csi-operator"), &flags, &variables);
        Cluster { api, operator, _files: files }
    }
}

/// Requests that were made, and those of them that change something, but for the lease.
fn asked(api: &ApiServer) -> [f64; 2] {
    let all = api.requests();
    let is_write = |verb: &str| !matches!(verb, "get" | "list" | "watch");
    let writes = all.iter().filter(|seen| is_write(seen.verb) && !seen.path.contains("/leases/")).count();
    [all.len(), writes].map(|count| number(u64::try_from(count).expect("few")))
}

/// Plays the controller of DaemonSets on a hundred nodes: it replaces one pod after the other.
fn replace_pods(api: &ApiServer, operator: &DriverProcess) {
    let is_seen = |api: &ApiServer| {
        let object = api.get(DAEMON_SET).unwrap_or_default();
        object["metadata"]["generation"] != object["status"]["observedGeneration"]
    };
    assert!(api.wait(PATIENCE, is_seen), "no roll-out:\n{}", operator.log());
    for updated in 0..=NODES {
        let mut object = api.get(DAEMON_SET).expect("the DaemonSet is there");
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"], "desiredNumberScheduled": NODES,
            "currentNumberScheduled": NODES, "updatedNumberScheduled": updated, "numberMisscheduled": 0,
            "numberAvailable": NODES - 1 + updated / NODES, "numberReady": NODES - 1 + updated / NODES,
            "numberUnavailable": 1 - updated / NODES,
        });
        api.put(object);
        thread::sleep(NEXT_POD);
    }
    let is_over = |api: &ApiServer| {
        let conditions = api.get(REQUEST).unwrap_or_default()["status"]["conditions"].take();
        conditions.as_array().into_iter().flatten().any(|condition| {
            condition["type"] == "SecretsStoreDriverNodeServiceControllerProgressing"
                && condition["status"] == "False"
        })
    };
    assert!(api.wait(PATIENCE, is_over), "the end is not reported:\n{}", operator.log());
    // What belongs to it is written.
    thread::sleep(4 * REST);
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
const PEACE: Duration = Duration::from_secs(60);
const NODES: u64 = 100;
/// A tenth of what the fastest node takes.
const NEXT_POD: Duration = Duration::from_millis(100);
