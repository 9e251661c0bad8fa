//! This operator's image in the place of OpenShift's: with the rights, the arguments and the variables that the
//! ClusterServiceVersion of OpenShift's operator gives it, and no others.

use serde_json::{Value, json};

use super::Case;
use crate::manifest;
use crate::operand;
use crate::stage::Stage;
use e2e::kinds;
use e2e::operator::{ACCOUNT, NAMESPACE};
use e2e::patience::until;
use e2e::runner::CaseStage;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "with the rights and arguments of OpenShift's operator it installs, follows and removes the driver",
    play: drop_in,
}];

/// In the whole cluster: groups, resources, names where there are any, verbs. An event has a right in every group.
const CLUSTER: &[[&str; 4]] = &[
    ["security.openshift.io", "securitycontextconstraints", "privileged", "use"],
    ["operator.openshift.io", "clustercsidrivers", "", "get list watch update patch"],
    ["operator.openshift.io", "clustercsidrivers/status", "", "get list watch update patch"],
    ["", "configmaps", "extension-apiserver-authentication secrets-store-csi-driver-operator-lock", ALL],
    ["rbac.authorization.k8s.io", "clusterroles clusterrolebindings roles rolebindings", "", ALL],
    ["", "serviceaccounts", "", ALL],
    ["coordination.k8s.io", "leases", "", ALL],
    ["storage.k8s.io", "volumeattachments", "", ALL],
    ["storage.k8s.io", "volumeattachments/status", "", "patch"],
    ["storage.k8s.io", "storageclasses csinodes", "", "get list watch create update delete"],
    ["apiextensions.k8s.io", "customresourcedefinitions", "", "list watch create delete"],
    ["*", "events", "", ALL],
    ["storage.k8s.io", "csidrivers", "", "get list watch create update delete"],
    ["config.openshift.io", "infrastructures proxies apiservers", "", "get list watch"],
    ["authentication.k8s.io", "tokenreviews", "", "create"],
    ["", "nodes pods", "", "get list watch"],
    ["", "secrets", "", ALL],
    ["secrets-store.csi.x-k8s.io", "secretproviderclasses", "", "get list watch"],
    ["secrets-store.csi.x-k8s.io", "secretproviderclasspodstatuses", "", ALL],
    ["secrets-store.csi.x-k8s.io", "secretproviderclasspodstatuses/status", "", "get update patch"],
];
/// In the operator's namespace.
const OWN: &[[&str; 4]] = &[
    ["networking.k8s.io", "networkpolicies", "", ALL],
    ["", "pods services endpoints events configmaps secrets", "", ALL],
    ["apps", "deployments daemonsets replicasets", "", ALL],
    ["monitoring.coreos.com", "servicemonitors", "", "get create update patch delete"],
];
const ALL: &str = "get list watch create update patch delete";

fn rules(rows: &[[&str; 4]]) -> Value {
    let words =
        |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let rule = |[group, resources, names, verbs]: &[&str; 4]| {
        json!({
            "apiGroups": [group], "resources": words(resources), "resourceNames": words(names), "verbs": words(verbs),
        })
    };
    rows.iter().map(rule).collect()
}

/// The container, as far as it has to do with what the program is told.
fn container() -> Value {
    let certificate = "--terminate-on-files=/var/run/secrets/serving-cert/tls";
    json!({
        "args": ["start", "-v=2", format!("{certificate}.crt"), format!("{certificate}.key")],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DRIVER_IMAGE", "value": "registry.example/driver:1"},
            {"name": "NODE_DRIVER_REGISTRAR_IMAGE", "value": "registry.example/registrar:1"},
            {"name": "LIVENESS_PROBE_IMAGE", "value": "registry.example/livenessprobe:1"},
            {"name": "OPERATOR_NAME", "value": "secrets-store-csi-driver-operator"},
        ],
    })
}

fn drop_in(stage: &mut Stage) {
    for (group, plural, kind) in manifest::OPENSHIFT {
        stage.admin.apply(&manifest::open_kind(group, plural, kind));
        let path = format!("/apis/{group}/v1/{plural}");
        until(&format!("{plural} are served"), || stage.admin.get(&path).is_some());
    }
    for object in manifest::program() {
        stage.admin.apply(&object);
    }
    let role = |namespace: &str| {
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{ACCOUNT}")
    };
    stage.admin.patch(&kinds::access("clusterroles", ACCOUNT), &json!({"rules": rules(CLUSTER)}));
    stage.admin.patch(&role(NAMESPACE), &json!({"rules": rules(OWN)}));
    stage.admin.delete(&role("kube-system"));
    stage.launch_as(&container());
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    for piece in operand::extras() {
        until(&format!("{} is there", piece.path), || stage.admin.get(&piece.path).is_some());
    }
    let names: Vec<Value> = {
        let containers = stage.daemon_set()["spec"]["template"]["spec"]["containers"].take();
        containers.as_array().into_iter().flatten().map(|container| container["name"].clone()).collect()
    };
    assert_eq!(names.len(), 3, "the sidecars' images are named, so there are sidecars: {names:?}");
    for name in
        ["SecretsStoreConditionalStaticResourcesController", "SecretsStoreDriverNodeServiceController"]
    {
        stage.is(&format!("{name}Degraded"), "False");
    }
    stage.ask_for(&json!({"managementState": "Managed", "logLevel": "Trace"}));
    until("the driver logs more", || operand::argument(&stage.daemon_set(), "--v=").as_deref() == Some("6"));
    stage.is_installed();
    // It has no right to ask who may read metrics, and so lets nobody in but whom it knows by name.
    let token = stage.token_of("no-scraper");
    let answer = stage.operators[0].metrics(Some(&token)).expect("it answers");
    assert_eq!((answer.code, stage.operators[0].metrics(None).expect("it answers").code), (503, 401));
    let refused = "whether the driver is installed by other means is not known";
    assert_eq!(stage.log().matches(refused).count(), 1, "it says so once");
    stage.delete_driver();
    stage.is_uninstalled();
}
