//! Objects that the API server takes or refuses by the definition that we ship, when they are created.

use serde_json::{Value, json};

use super::Case;
use crate::stage::{DRIVERS, Stage};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "every object that makes sense is accepted", play: accepted },
    Case { sentence: "an object that says nothing gets the usual log levels", play: defaults },
    Case { sentence: "every object that makes none is refused with a reason", play: refused },
    Case { sentence: "only the object of this driver's name can be made", play: another_name },
    Case { sentence: "what it takes it keeps as it was given", play: kept },
];

/// A name for the row, and the spec.
type Row = (&'static str, Value);

fn accepted(stage: &mut Stage) {
    let rows = good();
    for (name, spec) in &rows {
        try_create(stage, NAME, spec).unwrap_or_else(|why| panic!("{name}: refused with {why}"));
    }
    stage.remark(format!("{} objects", rows.len()));
}

fn good() -> Vec<Row> {
    let audiences = |list: Value| tokens(&json!({"type": "Managed", "managed": {"audiences": list}}));
    vec![
        ("nothing", json!({})),
        ("no driverConfig", json!({"managementState": "Managed", "logLevel": "Debug"})),
        ("removed", json!({"managementState": "Removed"})),
        ("unmanaged", json!({"managementState": "Unmanaged"})),
        ("forced", json!({"managementState": "Force"})),
        ("empty log levels", json!({"logLevel": "", "operatorLogLevel": ""})),
        ("one audience", audiences(json!([{"audience": "vault"}]))),
        ("three audiences", audiences(json!([{"audience": "a"}, {"audience": "b"}, {"audience": "c"}]))),
        ("the API server's audience", audiences(json!([{"audience": ""}]))),
        ("the longest audience", audiences(json!([{"audience": "a".repeat(253)}]))),
        ("no audience", audiences(json!([]))),
        ("as many audiences as may be", audiences(many_audiences(10))),
        ("two hours", audiences(json!([{"audience": "vault", "expirationSeconds": 7200}]))),
        ("ten minutes", audiences(json!([{"audience": "vault", "expirationSeconds": 600}]))),
        ("ten years", audiences(json!([{"audience": "vault", "expirationSeconds": 315_360_000}]))),
        ("somebody else's tokens", tokens(&json!({"type": "Unmanaged"}))),
        ("no rotation", rotation(&json!({"type": "None"}))),
        ("the shortest age", rotation(&json!({"type": "Custom", "custom": {"minimumRefreshAge": 1}}))),
        (
            "the longest age",
            rotation(&json!({"type": "Custom", "custom": {"minimumRefreshAge": 31_560_000}})),
        ),
        ("everything", everything()),
    ]
}

fn refused(stage: &mut Stage) {
    let rows = bad();
    for (name, spec, reason) in &rows {
        let why = try_create(stage, NAME, spec).expect_err(name);
        assert!(why.contains(reason), "{name}: refused with {why:?}, and not with {reason:?}");
    }
    stage.remark(format!("{} objects", rows.len()));
}

fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let config = |config: Value| json!({"driverConfig": config});
    let store = |store: Value| json!({"driverConfig": {"driverType": "SecretsStore", "secretsStore": store}});
    let managed = |list: Value| tokens(&json!({"type": "Managed", "managed": {"audiences": list}}));
    let age = |age: i64| rotation(&json!({"type": "Custom", "custom": {"minimumRefreshAge": age}}));
    let some = json!({"secretRotation": {"type": "None"}});
    let vault = |seconds: i64| json!([{"audience": "vault", "expirationSeconds": seconds}]);
    vec![
        ("no such state", json!({"managementState": "Manged"}), r#"supported values: "Managed""#),
        ("an empty state", json!({"managementState": ""}), r#"supported values: "Managed""#),
        ("no such log level", json!({"logLevel": "Loud"}), r#"spec.logLevel: Unsupported value: "Loud""#),
        ("no such level of the operator's", json!({"operatorLogLevel": "Loud"}), "spec.operatorLogLevel"),
        ("no type", config(json!({"secretsStore": some})), "spec.driverConfig.driverType: Required value"),
        (
            "a type without its settings",
            config(json!({"driverType": "SecretsStore"})),
            "secretsStore is required when driverType is SecretsStore",
        ),
        (
            "another driver's type",
            config(json!({"driverType": "AWS"})),
            r#"supported values: "SecretsStore""#,
        ),
        (
            "settings with another driver's type",
            config(json!({"driverType": "AWS", "secretsStore": some})),
            r#"Unsupported value: "AWS""#,
        ),
        (
            "settings with the empty type",
            config(json!({"driverType": "", "secretsStore": some})),
            r#"supported values: "SecretsStore""#,
        ),
        ("empty settings", store(json!({})), "secretsStore in body should have at least 1 properties"),
        ("a rotation without a type", store(json!({"secretRotation": {}})), "secretRotation.type: Required"),
        ("no such rotation", rotation(&json!({"type": "Never"})), r#"supported values: "None", "Custom""#),
        ("a custom rotation without settings", rotation(&json!({"type": "Custom"})), CUSTOM),
        (
            "a rotation that is off and has settings",
            rotation(&json!({"type": "None", "custom": {"minimumRefreshAge": 60}})),
            CUSTOM,
        ),
        (
            "empty settings of a rotation",
            rotation(&json!({"type": "Custom", "custom": {}})),
            "custom in body should have at least 1 properties",
        ),
        ("no age", age(0), "minimumRefreshAge in body should be greater than or equal to 1"),
        ("a negative age", age(-1), "minimumRefreshAge in body should be greater than or equal to 1"),
        ("an age beyond a year", age(31_560_001), "should be less than or equal to 31560000"),
        ("tokens without a type", store(json!({"tokenRequests": {}})), "tokenRequests.type: Required"),
        (
            "no such type of tokens",
            tokens(&json!({"type": "Auto"})),
            r#"supported values: "Managed", "Unmanaged""#,
        ),
        ("managed tokens without a list", tokens(&json!({"type": "Managed"})), MANAGED),
        (
            "unmanaged tokens with a list",
            tokens(&json!({"type": "Unmanaged", "managed": {"audiences": []}})),
            MANAGED,
        ),
        (
            "managed tokens that say nothing",
            tokens(&json!({"type": "Managed", "managed": {}})),
            "managed in body should have at least 1 properties",
        ),
        ("an audience without a name", managed(json!([{"expirationSeconds": 600}])), "audience: Required"),
        (
            "one audience twice",
            managed(json!([{"audience": "vault"}, {"audience": "vault", "expirationSeconds": 600}])),
            r#"Duplicate value: {"audience":"vault"}"#,
        ),
        ("too many audiences", managed(many_audiences(11)), "must have at most 10 items"),
        (
            "an endless audience",
            managed(json!([{"audience": "a".repeat(254)}])),
            "may not be more than 253 bytes",
        ),
        (
            "five minutes",
            managed(vault(300)),
            "expirationSeconds in body should be greater than or equal to 600",
        ),
        ("beyond ten years", managed(vault(315_360_001)), "should be less than or equal to 315360000"),
    ]
}

fn defaults(stage: &mut Stage) {
    let made = try_create(stage, NAME, &json!({})).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(made["spec"], json!({"logLevel": "Normal", "operatorLogLevel": "Normal"}));
    let without = json!({
        "apiVersion": "operator.openshift.io/v1", "kind": "ClusterCSIDriver", "metadata": {"name": NAME},
    });
    let refusal = stage.admin.ask("POST", &format!("{DRIVERS}?dryRun=All"), Some(&without));
    let refusal = refusal.expect_err("an object without a spec");
    assert!(refusal.message.contains("spec: Required value"), "{refusal}");
}

fn another_name(stage: &mut Stage) {
    for name in ["ebs.csi.aws.com", "secrets-store.csi.k8s.io.example.com", "cluster"] {
        for (_, spec) in good().iter().filter(|(row, _)| ["nothing", "everything"].contains(row)) {
            let why = try_create(stage, name, spec).expect_err(name);
            assert!(why.contains(r#"supported values: "secrets-store.csi.k8s.io""#), "{name}: {why}");
        }
    }
}

fn kept(stage: &mut Stage) {
    let made = try_create(stage, NAME, &everything()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(made["spec"], everything());
    let lists = [json!([]), json!([{"audience": ""}])];
    for list in lists {
        let spec = tokens(&json!({"type": "Managed", "managed": {"audiences": list}}));
        let made = try_create(stage, NAME, &spec).unwrap_or_else(|why| panic!("{why}"));
        let kept = &made["spec"]["driverConfig"]["secretsStore"]["tokenRequests"]["managed"];
        assert_eq!(kept, &json!({"audiences": list}), "empty and absent are two things");
    }
}

/// Has the API server say what it would make of it; or why it would not.
fn try_create(stage: &Stage, name: &str, spec: &Value) -> Result<Value, String> {
    let object = json!({
        "apiVersion": "operator.openshift.io/v1",
        "kind": "ClusterCSIDriver",
        "metadata": {"name": name},
        "spec": spec,
    });
    let path = format!("{DRIVERS}?dryRun=All&fieldValidation=Strict");
    stage.admin.ask("POST", &path, Some(&object)).map_err(|refusal| {
        assert_eq!(refusal.code, 422, "refused, but not for what it says: {refusal}");
        refusal.message
    })
}

fn rotation(rotation: &Value) -> Value {
    json!({"driverConfig": {"driverType": "SecretsStore", "secretsStore": {"secretRotation": rotation}}})
}

fn tokens(tokens: &Value) -> Value {
    json!({"driverConfig": {"driverType": "SecretsStore", "secretsStore": {"tokenRequests": tokens}}})
}

fn many_audiences(count: u32) -> Value {
    (0..count).map(|number| json!({"audience": format!("audience-{number}")})).collect()
}

fn everything() -> Value {
    json!({
        "managementState": "Managed",
        "logLevel": "Trace",
        "operatorLogLevel": "TraceAll",
        "observedConfig": {"targetcsiconfig": {"servingInfo": {"minTLSVersion": "VersionTLS12"}}},
        "driverConfig": {
            "driverType": "SecretsStore",
            "secretsStore": {
                "secretRotation": {"type": "Custom", "custom": {"minimumRefreshAge": 300}},
                "tokenRequests": {
                    "type": "Managed",
                    "managed": {"audiences": [
                        {"audience": "vault", "expirationSeconds": 3600},
                        {"audience": "sts.amazonaws.com"},
                    ]},
                },
            },
        },
    })
}

const NAME: &str = "secrets-store.csi.k8s.io";
const CUSTOM: &str = "custom is required when type is Custom, and forbidden otherwise";
const MANAGED: &str = "managed is required when type is Managed, and forbidden otherwise";
