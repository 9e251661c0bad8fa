//! An installation by other means is reported and not taken over.

use serde_json::{Value, json};

use api_server::Matcher;

use super::stage::{BINDING, CSI_DRIVER, DAEMON_SET, NODE_DEGRADED, PIECES, REQUEST, ROLE, STATICS, Stage};

const THEIRS: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/csi-secrets-store";

/// What upstream's manifests have put there.
fn upstream(stage: &Stage) -> Vec<Value> {
    let objects = [
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "csi-secrets-store", "namespace": "kube-system"},
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
            "metadata": {"name": "secrets-store.csi.k8s.io"},
            "spec": {"podInfoOnMount": true, "attachRequired": false, "volumeLifecycleModes": ["Ephemeral"]},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "secretproviderclasses-role"}, "rules": [],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "secretproviderclasses-rolebinding"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secretproviderclasses-role",
            },
            "subjects": [{
                "kind": "ServiceAccount", "name": "secrets-store-csi-driver", "namespace": "kube-system",
            }],
        }),
    ];
    objects.into_iter().map(|object| stage.api.put(object)).collect()
}

fn theirs(stage: &Stage) -> Vec<Value> {
    [THEIRS, CSI_DRIVER, ROLE, BINDING].iter().map(|path| stage.api.get(path).unwrap_or_default()).collect()
}

#[test]
fn an_installation_of_upstream_is_reported_and_stays_as_it_is() {
    let stage = Stage::new();
    let before = upstream(&stage);
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait("it is reported", |_| stage.condition(NODE_DEGRADED) == "True SyncError");
    assert_eq!(stage.condition(STATICS), "True SyncError");
    let message = stage.message(NODE_DEGRADED);
    assert!(message.contains("DaemonSet kube-system/csi-secrets-store"), "{message}");
    assert_eq!(theirs(&stage), before);
    assert!(stage.api.get(DAEMON_SET).is_none());

    stage.api.delete(THEIRS);
    stage.nudge("the pods are gone, but not the binding");
    stage.wait("the binding is reported", |_| {
        stage.message(NODE_DEGRADED).contains("kube-system/secrets-store-csi-driver")
    });
    stage.api.delete(BINDING);
    stage.nudge("now everything is gone");
    stage.wait_installed();
}

#[test]
fn a_removal_leaves_what_another_installation_has_under_the_same_names() {
    let (stage, _operator) = Stage::installed();
    let before = upstream(&stage);
    stage.nudge("look");
    stage.wait("it is reported", |_| stage.condition(NODE_DEGRADED) == "True SyncError");
    assert_eq!(theirs(&stage)[0], before[0]);
    let shared = || [CSI_DRIVER, ROLE, BINDING].map(|path| stage.api.get(path).is_some());
    stage.delete_request();
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    assert_eq!(shared(), [true; 3]);
    let ours = PIECES.into_iter().filter(|path| ![CSI_DRIVER, ROLE, BINDING].contains(path));
    assert!(ours.into_iter().all(|path| stage.api.get(path).is_none()));
    assert!(stage.api.get(THEIRS).is_some());
}

#[test]
fn who_may_not_look_for_another_installation_installs_and_removes_all_the_same_and_says_so_once() {
    let stage = Stage::new();
    stage.api.fail_always(Matcher::verb("get").and_path("/namespaces/kube-system/"), 403);
    let operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    stage.nudge("another turn");
    stage.ask(&json!({"managementState": "Removed"}));
    stage.wait("everything is removed", |api| PIECES.iter().all(|path| api.get(path).is_none()));
    let log = operator.log();
    assert_eq!(
        log.matches("whether the driver is installed by other means is not known").count(),
        1,
        "{log}"
    );
}
