//! From the object to the driver's pods.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::{
    AVAILABLE, CSI_DRIVER, DAEMON_SET, FINALIZER, MANAGEMENT, NODE_DEGRADED, PIECES, PROGRESSING, STATICS,
    Stage, store,
};
use api_server::Matcher;

#[test]
fn one_object_installs_everything_and_is_told_how_it_goes() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(stage.condition(MANAGEMENT), "False -");
    assert_eq!(stage.condition("ConfigObservationDegraded"), "False -");
    assert_eq!(stage.condition(AVAILABLE), "False Deploying");
    assert_eq!(stage.condition(PROGRESSING), "True Deploying");
    stage.roll_out(2);
    stage.wait("the roll-out is complete", |_| stage.condition(PROGRESSING) == "False AsExpected");
    assert_eq!(stage.condition(AVAILABLE), "True AsExpected");
    let stable = stage.api.get(DAEMON_SET).unwrap()["metadata"]["annotations"]
        ["storage.openshift.io/stable-generation"]
        .clone();
    assert_eq!(stable, "1");
    for path in ["securitycontextconstraints", "secrets-store-privileged-role", "configmaps"] {
        let writes = stage.writes();
        assert!(writes.iter().all(|write| !write.contains(path)), "{path}: {writes:?}");
    }
}

#[test]
fn the_operator_waits_for_the_object_and_touches_nothing_before() {
    let stage = Stage::new();
    let operator = stage.operator();
    operator.wait_for_log("there is no such ClusterCSIDriver");
    assert_eq!(stage.writes(), [""; 0]);
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
}

#[test]
fn a_change_is_rolled_out_within_a_second_of_its_event() {
    let (stage, _operator) = Stage::installed();
    for (age, interval) in [(300, "5m"), (90, "1m30s"), (60, "1m")] {
        let begun = Instant::now();
        stage
            .ask(&store(json!({"secretRotation": {"type": "Custom", "custom": {"minimumRefreshAge": age}}})));
        let argument = format!("--rotation-poll-interval={interval}");
        stage.wait("the interval is in the pods", |_| stage.arguments().contains(&argument));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        stage.wait_installed();
    }
}

#[test]
fn rotation_that_is_switched_off_reaches_the_pods_and_kubelet() {
    let (stage, _operator) = Stage::installed();
    let uid = stage.api.get(CSI_DRIVER).unwrap()["metadata"]["uid"].clone();
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("rotation is off", |_| {
        stage.arguments().contains(&"--enable-secret-rotation=false".to_owned())
    });
    let driver = stage.api.get(CSI_DRIVER).unwrap();
    assert_eq!(driver["spec"]["requiresRepublish"], false);
    assert_eq!(driver["metadata"]["uid"], uid, "it was changed in place, and was never away");
}

#[test]
fn the_log_level_of_the_operator_follows_at_run_time() {
    let (stage, operator) = Stage::installed();
    stage.ask(&json!({"managementState": "Managed", "operatorLogLevel": "Trace"}));
    operator.wait_for_log("\"the log follows operatorLogLevel\" v=6");
}

#[test]
fn one_object_that_cannot_be_written_does_not_keep_the_others_from_it_and_has_its_line() {
    let stage = Stage::new();
    stage.api.fail_always(Matcher::verb("create").and_path("/clusterroles"), 403);
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait("it is reported", |_| stage.condition(STATICS) == "True SyncError");
    assert_eq!(stage.condition(NODE_DEGRADED), "False AsExpected");
    let message = stage.message(STATICS);
    assert!(message.starts_with("ClusterRole secretproviderclasses-role: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let there: Vec<&str> = PIECES.into_iter().filter(|path| stage.api.get(path).is_some()).collect();
    assert_eq!(there.len(), PIECES.len() - 1, "{there:?}");
    stage.api.clear_faults();
    // Nobody has to tell the operator.
    stage.wait_installed();
}

#[test]
fn what_keeps_the_operator_from_beginning_is_reported_too() {
    let stage = Stage::new();
    stage.api.fail_always(Matcher::verb("get").and_path("/clusterrolebindings/"), 403);
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait("it is reported", |_| stage.condition(NODE_DEGRADED) == "True SyncError");
    assert!(stage.api.get(DAEMON_SET).is_none());
    stage.api.clear_faults();
    stage.wait_installed();
}

#[test]
fn writes_are_told_in_events_and_each_of_them_once() {
    let stage = Stage::new();
    let pod = stage.api.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "storage"},
    }));
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    let events = || stage.api.list("/api/v1/namespaces/storage/events");
    stage.wait("they are posted", |_| events().len() >= PIECES.len());
    let created = events().into_iter().find(|event| event["reason"] == "DaemonSetCreated").unwrap();
    assert_eq!(created["involvedObject"]["kind"], "Pod");
    assert_eq!(created["involvedObject"]["name"], "one");
    assert_eq!(created["involvedObject"]["uid"], pod["metadata"]["uid"], "kubectl describe looks for it");
    assert_eq!(created["type"], "Normal");
    assert_eq!(events().len(), PIECES.len());
}

#[test]
fn a_spec_that_cannot_be_is_reported_and_nothing_is_guessed_from_it() {
    let (stage, _operator) = Stage::installed();
    let before = stage.arguments();
    stage.ask(&store(json!({"secretRotation": {"type": "Custom", "custom": {"minimumRefreshAge": "soon"}}})));
    stage.wait("it is reported", |_| stage.condition(NODE_DEGRADED) == "True SyncError");
    let message = stage.message(NODE_DEGRADED);
    assert!(message.contains("secretRotation.minimumRefreshAge must be a whole number"), "{message}");
    assert_eq!(stage.arguments(), before);
}
