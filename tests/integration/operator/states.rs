//! The management states, and the way from each to the others.

use serde_json::{Value, json};

use super::stage::{
    AVAILABLE, DAEMON_SET, FINALIZER, MANAGEMENT, NODE_DEGRADED, PIECES, REQUEST, STATICS, Stage,
};

fn image(stage: &Stage) -> Value {
    stage.api.get(DAEMON_SET).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

/// Edits the pods and waits until the operator has looked at the edit, or would have.
fn edit_image(stage: &Stage) {
    stage.edit(DAEMON_SET, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("by-hand");
    });
    stage.api.forget_requests();
    let mut nudges = 0;
    // The first look may have begun before the edit.
    stage.wait("it has looked twice", |api| {
        let looks = api.count("get", "clustercsidrivers/");
        if looks >= nudges && looks < 2 {
            nudges += 1;
            stage.nudge(&nudges.to_string());
        }
        looks >= 2
    });
}

#[test]
fn unmanaged_leaves_everything_as_it_is_and_managed_takes_it_up_again() {
    let (stage, _operator) = Stage::installed();
    stage.ask(&json!({"managementState": "Unmanaged"}));
    edit_image(&stage);
    assert_eq!(image(&stage), "by-hand");
    assert_eq!(stage.condition(MANAGEMENT), "False -");
    assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]));
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait("it is put right", |_| image(&stage) == "registry.example/driver:v1");
}

#[test]
fn removed_takes_everything_down_and_managed_installs_it_again() {
    let (stage, _operator) = Stage::installed();
    stage.ask(&json!({"managementState": "Removed"}));
    stage.wait("everything is gone", |api| {
        PIECES.iter().all(|path| api.get(path).is_none()) && stage.condition(AVAILABLE) == "False Removed"
    });
    let request = stage.request();
    assert_eq!(request["metadata"].get("finalizers").cloned().unwrap_or(json!([])), json!([]));
    assert_eq!(request["status"]["generations"], json!([]));
    assert_eq!(
        (stage.condition(STATICS), stage.condition(NODE_DEGRADED)),
        ("False AsExpected".into(), "False AsExpected".into())
    );
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
}

#[test]
fn a_state_that_cannot_be_acted_on_is_reported_and_nothing_is_touched() {
    let (stage, _operator) = Stage::installed();
    for spec in [json!({"managementState": "Force"}), json!({}), json!({"managementState": "Sometimes"})] {
        stage.ask(&spec);
        stage.wait("it is reported", |_| stage.condition(MANAGEMENT) == "True Unknown");
        let given = spec["managementState"].as_str().unwrap_or("");
        stage.wait("the value is named", |_| stage.message(MANAGEMENT).contains(&format!("\"{given}\"")));
        edit_image(&stage);
        assert_eq!(image(&stage), "by-hand", "{spec}");
        stage.ask(&json!({"managementState": "Managed"}));
        stage.wait("it is fine again", |_| stage.condition(MANAGEMENT) == "False -");
        stage.wait_installed();
    }
}

#[test]
fn a_deletion_hangs_in_no_state_and_takes_down_only_what_was_handed_over() {
    for (state, is_taken_down) in
        [("Managed", true), ("Removed", true), ("Unmanaged", false), ("Force", false), ("", false)]
    {
        let (stage, _operator) = Stage::installed();
        // In one step, so that no turn in between prepares anything.
        stage.edit(REQUEST, |object| {
            object["spec"] = json!({"managementState": state});
            object["metadata"]["deletionTimestamp"] = json!("2026-04-01T09:08:07Z");
        });
        stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
        for path in PIECES {
            assert_eq!(stage.api.get(path).is_none(), is_taken_down, "{state}: {path}");
        }
    }
}

#[test]
fn an_object_that_cannot_be_read_can_still_be_deleted() {
    let (stage, _operator) = Stage::installed();
    stage.edit(REQUEST, |object| {
        object["spec"] = json!({"managementState": "Managed", "driverConfig": "nonsense"});
        object["metadata"]["deletionTimestamp"] = json!("2026-04-01T09:08:07Z");
    });
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    assert!(PIECES.iter().all(|path| stage.api.get(path).is_none()));
}
