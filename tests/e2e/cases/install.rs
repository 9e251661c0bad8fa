//! What applying deploy/ gives a cluster.

use serde_json::{Value, json};

use super::Case;
use crate::stage::Stage;
use crate::workloads::{DRIVER, class};
use e2e::kinds;
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "both kinds of objects are served, in both versions", play: kinds_are_served },
    Case { sentence: "the roles have the names that instructions out there use", play: roles_are_there },
    Case { sentence: "kubelet learns to call again and to hand over tokens", play: driver_is_described },
    Case { sentence: "whoever may edit a namespace may write classes, a viewer may read them", play: people },
    Case { sentence: "the API server refuses a class whose parameters are no texts", play: bad_class },
];

fn kinds_are_served(stage: &mut Stage) {
    for plural in ["secretproviderclasses", "secretproviderclasspodstatuses"] {
        let name = format!("{plural}.secrets-store.csi.x-k8s.io");
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let definition = stage.admin.get(&path).expect("it was applied");
        let conditions = definition["status"]["conditions"].as_array().expect("it was looked at");
        for wanted in ["Established", "NamesAccepted"] {
            let is_met = |condition: &Value| condition["type"] == wanted && condition["status"] == "True";
            assert!(conditions.iter().any(is_met), "{name} is not {wanted}");
        }
        for version in ["v1", "v1alpha1"] {
            stage.admin.list(&format!("/apis/secrets-store.csi.x-k8s.io/{version}/{plural}"));
        }
    }
}

fn roles_are_there(stage: &mut Stage) {
    let roles = [
        "secretproviderclasses-role",
        "secretproviderclasses-admin-role",
        "secretproviderclasses-viewer-role",
        "secretproviderclasspodstatuses-viewer-role",
        "secretprovidersyncing-role",
    ];
    let bindings = ["secretproviderclasses-rolebinding", "secretprovidersyncing-rolebinding"];
    for (plural, names) in [("clusterroles", &roles[..]), ("clusterrolebindings", &bindings[..])] {
        for name in names {
            assert!(stage.admin.get(&kinds::access(plural, name)).is_some(), "{plural} {name} is missing");
        }
    }
}

fn driver_is_described(stage: &mut Stage) {
    let path = format!("/apis/storage.k8s.io/v1/csidrivers/{DRIVER}");
    let spec = stage.admin.get(&path).expect("it was applied")["spec"].take();
    assert_eq!(spec["podInfoOnMount"], true);
    assert_eq!(spec["attachRequired"], false);
    assert_eq!(spec["requiresRepublish"], true);
    assert_eq!(spec["volumeLifecycleModes"], json!(["Ephemeral"]));
    assert_eq!(spec["tokenRequests"].as_array().map(Vec::len), Some(2));
}

fn people(stage: &mut Stage) {
    let namespace = stage.namespace("people");
    for (person, role) in [("ann", "edit"), ("vic", "view")] {
        stage.admin.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"namespace": namespace, "name": person},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}],
        }));
    }
    let may = |person: &str, verb: &str, resource: &str| {
        let asked = json!({
            "namespace": namespace,
            "group": "secrets-store.csi.x-k8s.io",
            "resource": resource,
            "verb": verb,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": person, "resourceAttributes": asked},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        stage.admin.post(path, &review)["status"]["allowed"] == true
    };
    // The roles are aggregated by a controller.
    until("an editor may write classes", || may("ann", "create", "secretproviderclasses"));
    until("a viewer may read classes", || may("vic", "get", "secretproviderclasses"));
    until("a viewer may read pod statuses", || may("vic", "list", "secretproviderclasspodstatuses"));
    assert!(!may("vic", "create", "secretproviderclasses"));
    assert!(!may("ann", "create", "secretproviderclasspodstatuses"), "only the driver says what is mounted");
}

fn bad_class(stage: &mut Stage) {
    let namespace = stage.namespace("bad-class");
    let mut class = class(&namespace, "bad", &["foo"]);
    class["spec"]["parameters"]["port"] = json!(5432);
    let path = format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasses");
    let refusal = stage.admin.ask("POST", &path, Some(&class)).expect_err("a number is no text");
    assert!(refusal.code == 422 && refusal.message.contains("spec.parameters.port"), "{refusal}");
}
