//! An API server that is killed and comes back.

use std::thread;

use serde_json::Value;

use super::Case;
use crate::kubelet::Seen;
use crate::stage::{A_WHILE, Stage};
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::{throughout, until};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "running pods get new secrets even while the API server is away, and it learns of them later",
        play: away,
    },
    Case { sentence: "pods that start while the API server dies run once it is back", play: under_load },
    Case {
        sentence: "a driver that starts while the API server is away serves once it is back",
        play: started_alone,
    },
];

fn away(stage: &mut Stage) {
    let namespace = stage.namespace("away");
    let pods = some_running(stage, &namespace);
    stage.control_plane.api_server.stop();
    stage.node.set_content("foo", "new");
    stage.all_read(&pods, "foo", "new");
    stage.control_plane.api_server.start_again();
    until("every pod status tells the new version", || {
        let statuses = stage.admin.list(&kinds::pod_statuses(&namespace));
        let is_new = |status: &Value| status["status"]["objects"][0]["version"] != "v1";
        statuses.len() == PODS && statuses.iter().all(is_new)
    });
    let failures: Vec<String> =
        pods.iter().flat_map(|pod| stage.running(&namespace, &pod.name).failures).collect();
    assert!(failures.is_empty(), "kubelet was told of failures that it would punish: {failures:?}");
}

fn under_load(stage: &mut Stage) {
    let namespace = stage.namespace("load");
    let mut pods = some_running(stage, &namespace);
    for number in 0..PODS {
        stage.admin.apply(&Workload::named(&namespace, &format!("late-{number}")).mounting("one").pod());
    }
    // Some of these are being mounted by now, others not even seen by kubelet.
    stage.control_plane.api_server.stop();
    stage.node.set_content("foo", "new");
    thread::sleep(A_WHILE / 2);
    stage.control_plane.api_server.start_again();
    pods.extend(stage.all_running(&namespace, "late-", PODS));
    stage.all_read(&pods, "foo", "new");
}

fn started_alone(stage: &mut Stage) {
    let namespace = stage.namespace("alone");
    let pods = some_running(stage, &namespace);
    stage.control_plane.api_server.stop();
    stage.node.start_driver();
    stage.node.set_content("foo", "new");
    throughout(A_WHILE / 2, "every pod has its secret", || {
        pods.iter().all(|pod| pod.volume("one").read("foo") == "secret")
    });
    stage.control_plane.api_server.start_again();
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("one").pod());
    let after = stage.running(&namespace, "after");
    stage.all_read(&[pods, vec![after]].concat(), "foo", "new");
}

fn some_running(stage: &mut Stage, namespace: &str) -> Vec<Seen> {
    stage.admin.apply(&class(namespace, "one", &["foo"]));
    for number in 0..PODS {
        stage.admin.apply(&Workload::named(namespace, &format!("early-{number}")).mounting("one").pod());
    }
    stage.all_running(namespace, "early-", PODS)
}

const PODS: usize = 20;
