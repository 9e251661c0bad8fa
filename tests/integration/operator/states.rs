//! The management states, and the way from each to the others.

use std::time::Duration;

use serde_json::{Value, json};

use api_server::Matcher;
use kit::driver::DriverProcess;

use super::stage::{
    AVAILABLE, DAEMON_SET, FINALIZER, MANAGEMENT, NODE_DEGRADED, PIECES, PROGRESSING, REQUEST, ROLE, STATICS,
    Stage,
};

fn image(stage: &Stage) -> Value {
    stage.api.get(DAEMON_SET).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

/// Edits the pods and waits until the operator has looked at the edit, or would have.
fn edit_image(stage: &Stage, operator: &DriverProcess) {
    stage.edit(DAEMON_SET, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("by-hand");
    });
    // The first look may have begun before the edit.
    for how in ["one", "two"] {
        stage.look(operator, how);
    }
}

#[test]
fn unmanaged_leaves_everything_as_it_is_and_managed_takes_it_up_again() {
    let (stage, operator) = Stage::installed();
    stage.ask(&json!({"managementState": "Unmanaged"}));
    stage.wait("it is left alone", |_| stage.condition(MANAGEMENT) == "False -");
    edit_image(&stage, &operator);
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
    let (stage, operator) = Stage::installed();
    for spec in [json!({"managementState": "Force"}), json!({}), json!({"managementState": "Sometimes"})] {
        stage.ask(&spec);
        stage.wait("it is reported", |_| stage.condition(MANAGEMENT) == "True Unknown");
        let given = spec["managementState"].as_str().unwrap_or("");
        stage.wait("the value is named", |_| stage.message(MANAGEMENT).contains(&format!("\"{given}\"")));
        edit_image(&stage, &operator);
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

#[test]
fn what_a_former_operator_reported_is_taken_over_and_then_nothing_is_written() {
    let stage = Stage::new();
    let former = |kind: &str| {
        json!({
            "type": kind, "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "AsExpected", "message": "AsExpected: old trouble of the former operator",
        })
    };
    let generation = |namespace: &str, resource: &str, name: &str| {
        json!({
            "group": "apps", "resource": resource, "namespace": namespace, "name": name, "lastGeneration": 7,
            "hash": "of-the-former",
        })
    };
    let node = "secrets-store-csi-driver-node";
    stage.ask(&json!({"managementState": "Managed"}));
    stage.edit(REQUEST, |object| {
        object["status"] = json!({
            "conditions": [former(STATICS), former(MANAGEMENT), former("ForeignDegraded")],
            "generations": [
                generation("storage", "daemonsets", node),
                generation("openshift-cluster-csi-drivers", "daemonsets", node),
                generation("storage", "deployments", "of-somebody"),
            ],
        });
    });
    let operator = stage.operator();
    stage.wait_installed();
    stage.roll_out(1);
    stage.wait("it is available", |_| stage.condition(PROGRESSING) == "False AsExpected");
    assert_eq!((stage.message(STATICS), stage.message(MANAGEMENT)), (String::new(), String::new()));
    let generations = || {
        let all = stage.request()["status"]["generations"].as_array().cloned().unwrap_or_default();
        let place = |entry: &Value| {
            format!("{}/{}", entry["namespace"].as_str().unwrap(), entry["name"].as_str().unwrap())
        };
        let mut places: Vec<_> = all.iter().map(place).collect();
        places.sort();
        places
    };
    assert_eq!(generations(), ["storage/of-somebody".to_owned(), format!("storage/{node}")]);

    // What belongs to the roll-out has the time to end.
    stage.api.wait(Duration::from_millis(500), |_| false);
    stage.api.forget_requests();
    stage.look(&operator, "a quiet minute");
    stage.api.wait(Duration::from_millis(500), |_| false);
    assert_eq!(stage.writes(), [""; 0]);

    stage.ask(&json!({"managementState": "Removed"}));
    stage.wait("it is removed", |_| stage.condition(AVAILABLE) == "False Removed");
    stage.wait("its generation goes too", |_| generations() == ["storage/of-somebody"]);
}

/// The role of another operator, which let the driver do more.
fn former_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "secretproviderclasses-role"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete", "update"]}],
    })
}

fn lets_delete_secrets(stage: &Stage) -> bool {
    let rules = stage.api.get(ROLE).unwrap_or_default()["rules"].clone();
    rules.as_array().into_iter().flatten().any(|rule| rule["verbs"].to_string().contains("delete"))
}

#[test]
fn the_rights_of_a_former_operators_pods_stay_until_each_of_them_is_replaced() {
    let stage = Stage::new();
    stage.api.put(former_role());
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    assert!(lets_delete_secrets(&stage), "the former pods still run");
    let rules = stage.api.get(ROLE).unwrap()["rules"].to_string();
    assert!(rules.contains("secretproviderclasses"), "the new ones have what they need: {rules}");
    stage.roll_out(3);
    stage.wait("the role is as narrow as ever", |_| !lets_delete_secrets(&stage));

    // By now it is the operator's own.
    stage.edit(ROLE, |role| role["rules"] = former_role()["rules"].clone());
    stage.wait("an edit by hand is taken back", |_| !lets_delete_secrets(&stage));
}

#[test]
fn rights_that_the_operator_may_not_give_are_not_kept_and_the_driver_is_installed_all_the_same() {
    let stage = Stage::new();
    stage.api.put(former_role());
    stage.api.fail_next(1, Matcher::verb("update").and_path("/clusterroles/"), 403, None);
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    assert!(!lets_delete_secrets(&stage));
}
