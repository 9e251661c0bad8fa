//! The CSIDriver's tokenRequests, which are the administrator's unless the object says otherwise.

use serde_json::{Value, json};

use super::stage::{CSI_DRIVER, REQUEST, STATICS, Stage, store};
use crate::support::api_server::Matcher;

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
    stage.api.fail_always(Matcher::verb("get").and_path("/csidrivers/"), 403);
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

#[test]
fn a_server_that_refuses_a_change_is_given_a_new_driver_with_the_same_list() {
    let (stage, _operator) = Stage::installed();
    let by_hand = json!([{"audience": "by-hand"}]);
    stage.edit(CSI_DRIVER, |object| object["spec"]["tokenRequests"] = by_hand.clone());
    let uid = stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"].clone();
    stage.api.fail_next(1, Matcher::verb("update").and_path("/csidrivers/"), 422, None);
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("there is a new one", |api| {
        api.get(CSI_DRIVER).is_some_and(|object| object["spec"]["requiresRepublish"] == false)
    });
    assert_ne!(stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"], uid);
    assert_eq!(tokens(&stage), by_hand);
}
