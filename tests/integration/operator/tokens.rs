//! The CSIDriver's tokenRequests, which are the administrator's unless the object says otherwise.

use serde_json::{Value, json};

use super::stage::{AVAILABLE, CSI_DRIVER, REQUEST, STATICS, Stage, store};
use api_server::Matcher;

fn tokens(stage: &Stage) -> Value {
    stage.api.get(CSI_DRIVER).unwrap_or_default()["spec"]["tokenRequests"].clone()
}

fn managed(audiences: Value) -> Value {
    store(json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": audiences}}}))
}

#[test]
fn a_list_that_was_made_by_hand_stays_until_the_object_has_one() {
    let (stage, _operator) = Stage::installed();
    let by_hand = json!([{"audience": "by-hand"}]);
    stage.edit(CSI_DRIVER, |object| object["spec"]["tokenRequests"] = by_hand.clone());
    stage.ask(&store(json!({"tokenRequests": {"type": "Unmanaged"}, "secretRotation": {"type": "None"}})));
    stage.wait("the rest is changed", |api| {
        api.get(CSI_DRIVER).unwrap()["spec"]["requiresRepublish"] == false
    });
    assert_eq!(tokens(&stage), by_hand);
    let two = json!([{"audience": "a", "expirationSeconds": 7200}, {"audience": ""}]);
    stage.ask(&managed(two.clone()));
    stage.wait("the list is the object's", |_| tokens(&stage) == two);
    stage.edit(CSI_DRIVER, |object| {
        object["spec"]["tokenRequests"].as_array_mut().unwrap().push(json!({"audience": "by-hand"}));
    });
    stage.wait("what was added goes", |_| tokens(&stage) == two);
    stage.ask(&managed(json!([])));
    stage.wait("the list is empty", |_| tokens(&stage).is_null());
}

#[test]
fn a_driver_that_is_made_anew_keeps_the_list_even_if_the_operator_dies_in_between() {
    let (stage, operator) = Stage::installed();
    let by_hand = json!([{"audience": "by-hand", "expirationSeconds": 3600}]);
    stage.api.hang(Matcher::verb("create").and_path("/csidrivers"));
    stage.edit(CSI_DRIVER, |object| {
        object["spec"]["tokenRequests"] = by_hand.clone();
        object["spec"]["volumeLifecycleModes"] = json!(["Persistent"]);
    });
    stage.wait("the old one is deleted", |api| api.get(CSI_DRIVER).is_none());
    operator.kill();
    let kept = |stage: &Stage| stage.request()["metadata"]["annotations"].to_string();
    assert!(kept(&stage).contains("by-hand"), "{}", kept(&stage));
    // The request that hangs dies with its connection, as one does that never arrived.
    stage.api.close_connections();
    let _next = stage.operator();
    stage.api.clear_faults();
    stage.wait("it is there again", |api| api.get(CSI_DRIVER).is_some());
    assert_eq!(tokens(&stage), by_hand);
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["spec"]["volumeLifecycleModes"], json!(["Ephemeral"]));
    stage.wait("the note is gone", |_| !kept(&stage).contains("by-hand"));
    assert!(stage.api.get(REQUEST).is_some());
}

#[test]
fn a_driver_that_cannot_be_read_is_not_written_over() {
    let (stage, _operator) = Stage::installed();
    let by_hand = json!([{"audience": "by-hand"}]);
    stage.edit(CSI_DRIVER, |object| object["spec"]["tokenRequests"] = by_hand.clone());
    for verb in ["get", "list", "watch"] {
        stage.api.fail_always(Matcher::verb(verb).and_path("/csidrivers"), 403);
    }
    stage.api.end_watches();
    stage.wait("nothing tells of it any more", |api| {
        api.requests().iter().any(|seen| seen.path.ends_with("/csidrivers") && seen.code == 403)
    });
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("it is reported", |_| stage.condition(STATICS) == "True SyncError");
    assert!(stage.message(STATICS).starts_with("CSIDriver secrets-store.csi.k8s.io: "));
    assert_eq!(tokens(&stage), by_hand);
    stage.wait("the pods are changed all the same", |_| {
        stage.arguments().contains(&"--enable-secret-rotation=false".to_owned())
    });
    stage.api.clear_faults();
    stage.wait_installed();
    assert_eq!(tokens(&stage), by_hand);
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["spec"]["requiresRepublish"], false);
}

/// What the API server says of a field that keeps its value.
fn immutable() -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid",
        "message": "CSIDriver.storage.k8s.io \"secrets-store.csi.k8s.io\" is invalid",
        "details": {"causes": [{
            "reason": "FieldValueInvalid", "field": "spec.podInfoOnMount",
            "message": "Invalid value: true: field is immutable",
        }]},
    })
    .to_string()
}

/// What the API server says when a policy refuses a request.
fn policy() -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid",
        "message": "ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no changes today",
        "details": {"causes": [{"message": "ValidatingAdmissionPolicy 'frozen' denied request: no changes today"}]},
    })
    .to_string()
}

#[test]
fn a_server_that_cannot_change_a_field_is_given_a_new_driver_with_the_same_list() {
    let (stage, _operator) = Stage::installed();
    let by_hand = json!([{"audience": "by-hand"}]);
    stage.edit(CSI_DRIVER, |object| object["spec"]["tokenRequests"] = by_hand.clone());
    let uid = stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"].clone();
    stage.api.answer_next(1, Matcher::verb("update").and_path("/csidrivers/"), 422, immutable());
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("there is a new one", |api| {
        api.get(CSI_DRIVER).is_some_and(|object| object["spec"]["requiresRepublish"] == false)
    });
    assert_ne!(stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"], uid);
    assert_eq!(tokens(&stage), by_hand);
}

#[test]
fn a_policy_that_refuses_a_change_leaves_the_driver_there_is_and_is_reported() {
    let (stage, _operator) = Stage::installed();
    let uid = stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"].clone();
    stage.api.answer_next(usize::MAX, Matcher::verb("update").and_path("/csidrivers/"), 422, policy());
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("it is reported", |_| stage.condition(STATICS) == "True SyncError");
    assert!(stage.message(STATICS).contains("no changes today"), "{}", stage.message(STATICS));
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"], uid);
    stage.api.clear_faults();
    stage.wait_installed();
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"], uid);
}

#[test]
fn a_driver_that_could_not_be_made_anew_is_not_deleted() {
    let (stage, _operator) = Stage::installed();
    let uid = stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"].clone();
    stage.api.answer_next(usize::MAX, Matcher::verb("check").and_path("/csidrivers"), 422, policy());
    stage.edit(CSI_DRIVER, |object| object["spec"]["attachRequired"] = json!(true));
    stage.wait("it is reported", |_| stage.message(STATICS).contains("no changes today"));
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"], uid);
    assert_eq!(stage.api.count("delete", "csidrivers"), 0);
    stage.api.clear_faults();
    stage.wait_installed();
    assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["spec"]["attachRequired"], false);
}

#[test]
fn without_a_csi_driver_the_driver_is_not_available() {
    let (stage, _operator) = Stage::installed();
    stage.roll_out(1);
    stage.wait("it is available", |_| stage.condition(AVAILABLE) == "True AsExpected");
    stage.api.answer_next(usize::MAX, Matcher::verb("create").and_path("/csidrivers"), 422, policy());
    stage.api.delete(CSI_DRIVER);
    stage.wait("it is reported", |_| stage.condition(AVAILABLE) == "False NoCSIDriver");
    stage.api.clear_faults();
    stage.wait("it is available again", |_| stage.condition(AVAILABLE) == "True AsExpected");
}

#[test]
fn how_tokens_come_goes_with_the_last_token_that_is_asked_for() {
    let (stage, _operator) = Stage::installed();
    stage.edit(CSI_DRIVER, |object| {
        object["spec"]["tokenRequests"] = json!([{"audience": "by-hand"}]);
        object["spec"]["serviceAccountTokenInSecrets"] = json!(true);
    });
    let spec = || stage.api.get(CSI_DRIVER).unwrap()["spec"].clone();
    stage.nudge("look at it");
    assert_eq!(spec()["serviceAccountTokenInSecrets"], true);
    stage.ask(&store(json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": []}}})));
    stage.wait("no token is asked for", |_| spec().get("tokenRequests").is_none());
    assert_eq!(spec().get("serviceAccountTokenInSecrets"), None);
    stage.wait_installed();
}
