//! What the API server does not let the operator do, and what somebody does time and again.

use serde_json::{Value, json};

use super::Case;
use crate::operand::CSI_DRIVER;
use crate::stage::{A_WHILE, NAMESPACE, Stage};
use e2e::patience::{throughout, until, until_some};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "a policy that refuses a change leaves the CSIDriver there is, and is reported",
        play: refused_change,
    },
    Case {
        sentence: "a CSIDriver that a policy would not let be made anew is not deleted",
        play: refused_creation,
    },
    Case { sentence: "a field that cannot be changed is put right by a new CSIDriver", play: immutable },
    Case { sentence: "what somebody changes time and again is one event, which counts it", play: counted },
];

const STATICS: &str = "SecretsStoreConditionalStaticResourcesControllerDegraded";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// A policy of the cluster by which nobody but the administrator may do that with a CSIDriver.
fn forbid(stage: &Stage, operation: &str) {
    lift(stage);
    stage.admin.post(
        POLICIES,
        &json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "frozen"},
            "spec": {
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["storage.k8s.io"], "apiVersions": ["v1"], "resources": ["csidrivers"],
                    "operations": [operation],
                }]},
                "validations": [{
                    "expression": "!request.userInfo.username.startsWith('system:serviceaccount:')",
                    "message": "no changes today",
                }],
            },
        }),
    );
    stage.admin.post(
        BINDINGS,
        &json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "frozen"},
            "spec": {"policyName": "frozen", "validationActions": ["Deny"]},
        }),
    );
}

fn lift(stage: &Stage) {
    stage.admin.delete(&format!("{BINDINGS}/frozen"));
    stage.admin.delete(&format!("{POLICIES}/frozen"));
}

/// Waits until the operator has met the policy, which the API server takes up when it likes.
fn is_refused(stage: &Stage, provoke: impl Fn(&Stage)) {
    until("the refusal is reported", || {
        provoke(stage);
        stage
            .condition(STATICS)
            .is_some_and(|[status, _, message]| status == "True" && message.contains("no changes today"))
    });
}

fn uid(stage: &Stage) -> Value {
    stage.csi_driver()["metadata"]["uid"].take()
}

fn refused_change(stage: &mut Stage) {
    stage.install();
    let before = uid(stage);
    forbid(stage, "UPDATE");
    is_refused(stage, |stage| {
        stage.admin.patch(CSI_DRIVER, &json!({"spec": {"podInfoOnMount": false}}));
    });
    throughout(A_WHILE, "the CSIDriver is there", || uid(stage) == before);
    lift(stage);
    until("it is put right", || stage.csi_driver()["spec"]["podInfoOnMount"] == true);
    assert_eq!(uid(stage), before);
    stage.is(STATICS, "False");
}

fn refused_creation(stage: &mut Stage) {
    stage.install();
    forbid(stage, "CREATE");
    // Only who makes it anew can give it another value there.
    let spoil = |stage: &Stage| {
        if stage.csi_driver()["spec"]["attachRequired"] == false {
            let mut spoiled = stage.csi_driver();
            stage.admin.delete(CSI_DRIVER);
            spoiled["metadata"] = json!({"name": "secrets-store.csi.k8s.io"});
            spoiled["spec"]["attachRequired"] = json!(true);
            // The operator may be faster, as long as the policy is not in force.
            if let Err(refusal) =
                stage.admin.ask("POST", "/apis/storage.k8s.io/v1/csidrivers", Some(&spoiled))
            {
                assert_eq!(refusal.code, 409, "{refusal}");
            }
        }
    };
    is_refused(stage, spoil);
    let before = uid(stage);
    throughout(A_WHILE, "the CSIDriver is there", || uid(stage) == before);
    lift(stage);
    until("it is put right", || stage.csi_driver()["spec"]["attachRequired"] == false);
    assert_ne!(uid(stage), before);
    stage.is(STATICS, "False");
}

fn immutable(stage: &mut Stage) {
    stage.install();
    let tokens = json!([{"audience": "by-hand"}]);
    let mut spoiled = stage.csi_driver();
    let spec = spoiled["spec"].take();
    stage.stop_operator();
    stage.admin.delete(CSI_DRIVER);
    let mut spoiled = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
        "metadata": {"name": "secrets-store.csi.k8s.io"}, "spec": spec,
    });
    spoiled["spec"]["volumeLifecycleModes"] = json!(["Persistent"]);
    spoiled["spec"]["tokenRequests"] = tokens.clone();
    let before = stage.admin.post("/apis/storage.k8s.io/v1/csidrivers", &spoiled)["metadata"]["uid"].take();
    stage.start_operator();
    until("it is put right", || stage.csi_driver()["spec"]["volumeLifecycleModes"] == json!(["Ephemeral"]));
    assert_ne!(uid(stage), before);
    assert_eq!(stage.csi_driver()["spec"]["tokenRequests"][0]["audience"], "by-hand");
}

fn counted(stage: &mut Stage) {
    stage.install();
    let updates = |stage: &Stage| -> Vec<Value> {
        let events = stage.admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/events"));
        let leads = stage.admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods"));
        let is_of_a_pod =
            |event: &Value| leads.iter().any(|pod| pod["metadata"]["uid"] == event["involvedObject"]["uid"]);
        let is_update = |event: &Value| event["reason"] == "CSIDriverUpdated" && event["count"] != 1;
        events.into_iter().filter(|event| is_update(event) && is_of_a_pod(event)).collect()
    };
    let event = until_some("an event is counted", || {
        stage.admin.patch(CSI_DRIVER, &json!({"spec": {"podInfoOnMount": false}}));
        until("it is put right", || stage.csi_driver()["spec"]["podInfoOnMount"] == true);
        updates(stage).pop()
    });
    assert!(event["count"].as_u64().is_some_and(|count| count > 1), "{event}");
    stage.remark(format!("one event says that it happened {} times", event["count"]));
}
