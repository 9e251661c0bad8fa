//! Changes that the API server takes or refuses by the definition that we ship.

use serde_json::{Value, json};

use super::Case;
use crate::stage::{DRIVER, DRIVERS, Stage, object};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "settings can be added, changed and handed to the operator", play: accepted },
    Case {
        sentence: "tokens that were the operator's stay the operator's, however one tries",
        play: one_way,
    },
    Case {
        sentence: "who reports the status can change nothing else, nor leave out a key of it",
        play: status,
    },
];

fn accepted(stage: &mut Stage) {
    let rows = [
        ("settings of rotation, later", json!({}), store(&json!({"secretRotation": {"type": "None"}}))),
        ("settings of tokens, later", json!({"managementState": "Managed"}), managed(&["vault"])),
        ("a log level without settings", json!({"logLevel": "Normal"}), json!({"logLevel": "Debug"})),
        (
            "tokens that nobody managed",
            store(&json!({"tokenRequests": {"type": "Unmanaged"}})),
            managed(&["a"]),
        ),
        ("more audiences", managed(&["a"]), managed(&["a", "b"])),
        ("no audience any more", managed(&["a"]), managed(&[])),
        ("no settings any more", store(&json!({"secretRotation": {"type": "None"}})), json!({})),
        ("removal, with managed tokens", managed(&["a"]), {
            let mut spec = managed(&["a"]);
            spec["managementState"] = json!("Removed");
            spec
        }),
    ];
    for (name, before, after) in &rows {
        try_change(stage, before, after).unwrap_or_else(|why| panic!("{name}: refused with {why}"));
    }
    stage.remark(format!("{} changes", rows.len()));
}

fn one_way(stage: &mut Stage) {
    let rows = [
        ("to unmanaged", store(&json!({"tokenRequests": {"type": "Unmanaged"}}))),
        (
            "to unmanaged, with another setting",
            store(&json!({"tokenRequests": {"type": "Unmanaged"}, "secretRotation": {"type": "None"}})),
        ),
        ("without tokenRequests", store(&json!({"secretRotation": {"type": "None"}}))),
        ("without driverConfig", json!({"managementState": "Managed"})),
    ];
    for (name, after) in &rows {
        let why = try_change(stage, &managed(&["vault"]), after).expect_err(name);
        assert!(why.contains("tokenRequests.type has been Managed and has to stay so"), "{name}: {why}");
    }
    // Two steps are no way around it.
    stage.admin.apply(&object(&managed(&["vault"])));
    stage.admin.apply(&object(&managed(&[])));
    let why = replace(stage, &json!({})).expect_err("the list is empty, and still the operator's");
    assert!(why.contains("has to stay so"), "{why}");
}

fn status(stage: &mut Stage) {
    stage.admin.apply(&object(&managed(&["vault"])));
    let path = format!("{DRIVER}/status");
    let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let generation = json!({
        "group": "apps", "resource": "daemonsets", "namespace": "n", "name": "d", "lastGeneration": 3,
    });
    let change = json!({
        "spec": {"managementState": "Removed", "driverConfig": null},
        "status": {"conditions": [condition], "generations": [generation]},
    });
    let changed = stage.admin.patch(&path, &change);
    assert_eq!(changed["spec"]["driverConfig"], managed(&["vault"])["driverConfig"]);
    assert!(changed["spec"]["managementState"].is_null());
    assert_eq!(changed["status"], change["status"]);
    for (list, bad, reason) in [
        ("conditions", json!([{"type": "Ready", "status": "True"}]), "lastTransitionTime: Required"),
        ("conditions", json!([condition, condition]), "Duplicate value"),
        ("conditions", json!([{"type": "Ready", "status": "Yes"}]), r#"Unsupported value: "Yes""#),
        (
            "generations",
            json!([{"group": "apps", "resource": "daemonsets", "name": "d"}]),
            "namespace: Required",
        ),
        ("generations", json!([generation, generation]), "Duplicate value"),
    ] {
        let refusal = stage.admin.ask("PATCH", &path, Some(&json!({"status": {list: bad}})));
        let refusal = refusal.expect_err(reason);
        assert!(refusal.code == 422 && refusal.message.contains(reason), "{refusal}");
    }
}

/// Makes an object anew with one spec, and says what becomes of a change to the other.
fn try_change(stage: &Stage, before: &Value, after: &Value) -> Result<(), String> {
    stage.admin.delete(DRIVER);
    stage.admin.post(DRIVERS, &object(before));
    replace(stage, after)
}

fn replace(stage: &Stage, spec: &Value) -> Result<(), String> {
    let mut now = stage.driver().expect("it was made");
    now["spec"] = spec.clone();
    stage.admin.ask("PUT", DRIVER, Some(&now)).map(drop).map_err(|refusal| {
        assert_eq!(refusal.code, 422, "refused, but not for what it says: {refusal}");
        refusal.message
    })
}

fn store(store: &Value) -> Value {
    json!({"driverConfig": {"driverType": "SecretsStore", "secretsStore": store}})
}

fn managed(audiences: &[&str]) -> Value {
    let audiences: Vec<Value> = audiences.iter().map(|audience| json!({"audience": audience})).collect();
    store(&json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": audiences}}}))
}
