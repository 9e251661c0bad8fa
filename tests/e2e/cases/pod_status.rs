//! The SecretProviderClassPodStatus of a pod, which tells users what is mounted.

use serde_json::{Value, json};

use super::Case;
use crate::stage::Stage;
use crate::workloads::{NODE, Workload, class};
use e2e::kinds;
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "a pod status tells the versions, the node and the pod", play: tells },
    Case { sentence: "a pod status that belonged to another node is taken over", play: of_another_node },
    Case { sentence: "a pod status of an earlier pod of that name is taken over", play: of_another_pod },
    Case { sentence: "a pod status that somebody deleted comes back with the next change", play: deleted },
];

const NODE_LABEL: &str = "internal.secrets-store.csi.k8s.io/node-name";

fn tells(stage: &mut Stage) {
    let namespace = stage.namespace("status");
    stage.admin.apply(&class(&namespace, "both", &["fookey", "foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("both").pod());
    let pod = stage.running(&namespace, "web");
    let status = stage.admin.get(&path(&namespace, "both")).expect("there is a pod status");
    let versions = json!([{"id": "secret/foo", "version": "v1"}, {"id": "secret/fookey", "version": "v1"}]);
    assert_eq!(status["status"]["objects"], versions);
    assert_eq!(status["status"]["mounted"], true);
    assert_eq!(status["status"]["podName"], "web");
    assert_eq!(status["status"]["secretProviderClassName"], "both");
    assert_eq!(status["status"]["targetPath"], json!(pod.volume("both").target));
    expect_owned(&status, &pod.uid);
}

fn of_another_node(stage: &mut Stage) {
    let namespace = stage.namespace("moved");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    // No owner: the garbage collector would be faster.
    stage.admin.apply(&left_behind(&namespace, None));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    let status = stage.admin.get(&path(&namespace, "one")).expect("there is a pod status");
    expect_owned(&status, &pod.uid);
    assert_eq!(status["status"]["objects"], json!([{"id": "secret/foo", "version": "v1"}]));
    assert_eq!(status["metadata"]["labels"]["of"], "somebody", "labels of others stay");
}

fn of_another_pod(stage: &mut Stage) {
    let namespace = stage.namespace("again");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    let past = json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "of-the-past"}]);
    stage.admin.apply(&left_behind(&namespace, Some(past)));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    // The garbage collector may be at it, too: what counts is what is there when both are done.
    until("the pod status is that of the pod", || {
        let status = stage.admin.get(&path(&namespace, "one")).unwrap_or_default();
        status["metadata"]["ownerReferences"][0]["uid"] == json!(pod.uid)
    });
}

fn deleted(stage: &mut Stage) {
    let namespace = stage.namespace("deleted");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.admin.delete(&path(&namespace, "one"));
    stage.node.set_content("foo", "changed");
    until("the pod status is there again", || stage.admin.get(&path(&namespace, "one")).is_some());
    let status = stage.admin.get(&path(&namespace, "one")).unwrap_or_default();
    expect_owned(&status, &pod.uid);
}

fn path(namespace: &str, class: &str) -> String {
    format!("{}/web-{namespace}-{class}", kinds::pod_statuses(namespace))
}

fn expect_owned(status: &Value, uid: &str) {
    assert_eq!(status["metadata"]["labels"][NODE_LABEL], NODE);
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": uid}]);
    assert_eq!(status["metadata"]["ownerReferences"], owner);
}

/// What a driver on another node has written about an earlier pod `web`.
fn left_behind(namespace: &str, owners: Option<Value>) -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {
            "namespace": namespace,
            "name": format!("web-{namespace}-one"),
            "labels": {NODE_LABEL: "node-2", "of": "somebody"},
            "ownerReferences": owners.unwrap_or_else(|| json!([])),
        },
        "status": {
            "podName": "web",
            "secretProviderClassName": "one",
            "mounted": true,
            "targetPath": "/elsewhere",
            "objects": [{"id": "secret/foo", "version": "v0"}],
        },
    })
}
