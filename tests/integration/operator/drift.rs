//! What somebody else changes or deletes is put right, and what is theirs stays.

use serde_json::{Value, json};

use super::stage::{ACCOUNT, BINDING, CSI_DRIVER, DAEMON_SET, PIECES, POLICY, ROLE, STATICS, Stage};

/// Without what a server writes.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    object
}

#[test]
fn every_object_that_is_deleted_is_made_again() {
    let (stage, _operator) = Stage::installed();
    for path in PIECES {
        let before = content(&stage.api.get(path).unwrap());
        stage.api.delete(path);
        stage.wait(path, |api| api.get(path).is_some_and(|object| content(&object) == before));
    }
    stage.wait_installed();
}

#[test]
fn every_object_that_is_changed_is_put_right_and_what_is_others_stays() {
    let (stage, _operator) = Stage::installed();
    let edits: [(&str, &str, Value); 6] = [
        (CSI_DRIVER, "/spec/podInfoOnMount", json!(false)),
        (ROLE, "/rules/0/verbs", json!(["*"])),
        (
            BINDING,
            "/subjects",
            json!([
                {"kind": "ServiceAccount", "name": "secrets-store-csi-driver-node-sa", "namespace": "storage"},
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"},
            ]),
        ),
        (POLICY, "/spec/ingress", json!([{}])),
        (DAEMON_SET, "/spec/template/spec/containers/0/image", json!("by-hand")),
        (CSI_DRIVER, "/metadata/annotations/csi.openshift.io~1managed", json!("false")),
    ];
    for (path, pointer, value) in edits {
        let before = stage.api.get(path).unwrap();
        stage.edit(path, |object| {
            *object.pointer_mut(pointer).unwrap() = value;
            object["metadata"]["labels"]["team"] = json!("theirs");
            object["metadata"]["annotations"]["note"] = json!("theirs");
            object["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]);
        });
        stage.wait(&format!("{path} {pointer}"), |api| {
            api.get(path).is_some_and(|object| object.pointer(pointer) == before.pointer(pointer))
        });
        let after = stage.api.get(path).unwrap();
        assert_eq!(after["metadata"]["labels"]["team"], "theirs", "{path}");
        assert_eq!(after["metadata"]["annotations"]["note"], "theirs", "{path}");
        assert_eq!(after["metadata"]["ownerReferences"][0]["name"], "x", "{path}");
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{path}: it is the same object");
    }
    stage.wait_installed();
}

#[test]
fn the_profile_of_an_administrator_stays_and_a_removed_one_comes_back() {
    let (stage, _operator) = Stage::installed();
    let label = "security.openshift.io/csi-ephemeral-volume-profile";
    let profile = || stage.api.get(CSI_DRIVER).unwrap()["metadata"]["labels"][label].clone();
    assert_eq!(profile(), "restricted");
    stage.edit(CSI_DRIVER, |object| {
        object["metadata"]["labels"][label] = json!("baseline");
        object["spec"]["podInfoOnMount"] = json!(false);
    });
    stage.wait("the rest is put right", |api| api.get(CSI_DRIVER).unwrap()["spec"]["podInfoOnMount"] == true);
    assert_eq!(profile(), "baseline");
    stage.edit(CSI_DRIVER, |object| {
        object["metadata"]["labels"].as_object_mut().unwrap().remove(label);
    });
    stage.wait("it comes back", |_| profile() == "restricted");
}

#[test]
fn an_object_that_somebody_holds_in_deletion_is_reported_and_made_again_when_it_is_gone() {
    let (stage, _operator) = Stage::installed();
    stage.edit(POLICY, |object| {
        object["metadata"]["finalizers"] = json!(["example.com/theirs"]);
        object["metadata"]["deletionTimestamp"] = json!("2026-04-01T09:08:07Z");
    });
    stage.wait("it is reported", |_| stage.condition(STATICS) == "True SyncError");
    assert!(stage.message(STATICS).contains("it is still being deleted"), "{}", stage.message(STATICS));
    stage.api.delete(POLICY);
    stage.wait("it is made again", |api| api.get(POLICY).is_some());
    stage.wait_installed();
}

#[test]
fn a_service_account_keeps_what_others_gave_it() {
    let (stage, operator) = Stage::installed();
    stage.edit(ACCOUNT, |object| object["imagePullSecrets"] = json!([{"name": "registry"}]));
    stage.look(&operator, "look at it");
    assert_eq!(stage.api.get(ACCOUNT).unwrap()["imagePullSecrets"], json!([{"name": "registry"}]));
}
