//! Taking the driver down: everything, in order, and only then the object.

use serde_json::json;

use super::stage::{CSI_DRIVER, DAEMON_SET, PIECES, REQUEST, STATICS, Stage};
use api_server::Matcher;

#[test]
fn the_pods_go_first_and_the_finalizer_last() {
    let (stage, _operator) = Stage::installed();
    stage.api.forget_requests();
    stage.delete_request();
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    let is_finalizer = |write: &String| {
        write.starts_with("patch ") && write.contains("clustercsidrivers") && !write.contains("/status")
    };
    stage.wait("its last change is recorded", |_| stage.writes().iter().any(is_finalizer));
    let writes = stage.writes();
    let deletions: Vec<&String> = writes.iter().filter(|write| write.starts_with("delete ")).collect();
    assert_eq!(deletions.len(), PIECES.len(), "{writes:?}");
    assert!(deletions[0].contains(DAEMON_SET), "{writes:?}");
    let finalizer = writes.iter().position(is_finalizer);
    let last = writes.iter().rposition(|write| write.starts_with("delete ")).unwrap();
    assert!(finalizer.unwrap() > last, "{writes:?}");
}

#[test]
fn an_object_that_cannot_be_deleted_holds_the_finalizer_and_is_reported() {
    let (stage, _operator) = Stage::installed();
    stage.api.fail_always(Matcher::verb("delete").and_path("/csidrivers"), 403);
    stage.delete_request();
    stage.wait("it is reported", |_| stage.condition(STATICS) == "True SyncError");
    assert!(stage.message(STATICS).starts_with("CSIDriver secrets-store.csi.k8s.io: "));
    assert!(stage.api.get(CSI_DRIVER).is_some() && stage.api.get(DAEMON_SET).is_none());
    stage.api.clear_faults();
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    assert!(PIECES.iter().all(|path| stage.api.get(path).is_none()));
}

#[test]
fn what_users_have_made_stays() {
    let (stage, _operator) = Stage::installed();
    let class = stage.api.put(json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": "db", "namespace": "team"}, "spec": {"provider": "test"},
    }));
    stage.delete_request();
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    let path = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team/secretproviderclasses/db";
    assert_eq!(stage.api.get(path), Some(class));
}

#[test]
fn somebody_elses_finalizer_stays() {
    let (stage, _operator) = Stage::installed();
    stage.edit(REQUEST, |object| {
        object["metadata"]["finalizers"].as_array_mut().unwrap().push(json!("example.com/theirs"));
    });
    stage.delete_request();
    stage
        .wait("ours is gone", |_| stage.request()["metadata"]["finalizers"] == json!(["example.com/theirs"]));
    assert!(PIECES.iter().all(|path| stage.api.get(path).is_none()));
}
