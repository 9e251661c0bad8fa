//! What keeps one pod from starting: `--pod`.

use serde_json::json;

use super::clinic::{Clinic, DRIVER, pod_object};
use kit::objects;

const POD: &[&str] = &["--pod=default/web"];

#[test]
fn a_pod_whose_class_is_there_is_well() {
    let clinic = Clinic::open();
    let report = clinic.examine(POD);
    assert_eq!(report.checks("wrong"), Vec::<&str>::new(), "{:#}", report.json);
    report.says("pod", "good", "default/web has 1 volumes of this driver", "");
    report.says("pod-class", "good", "class default/db, provider test, 1 parameters", "");
}

#[test]
fn a_class_that_is_missing_or_in_another_namespace_is_told_with_the_symptom() {
    let clinic = Clinic::open();
    clinic.world.api.delete(&objects::class_path("default", "db"));
    clinic.world.api.put(objects::class("elsewhere", "db", "test", json!({"objects": "x"})));
    clinic.finds("pod-class", POD, "failed to get secretproviderclass", "in the pod's own namespace");
}

#[test]
fn a_pod_that_is_missing_is_told() {
    let clinic = Clinic::open();
    clinic.finds("pod", &["--pod=default/nobody"], "there is no pod default/nobody", "kubectl get pods");
}

#[test]
fn what_the_driver_would_refuse_is_told() {
    let clinic = Clinic::open();
    let attributes = json!({"secretProviderClass": "db"});
    clinic.world.api.put(pod_object(json!({"driver": DRIVER, "volumeAttributes": attributes})));
    clinic.finds("pod-volume", POD, "readOnly is not true", "csi.readOnly: true");
    clinic.world.api.put(pod_object(json!({"driver": DRIVER, "readOnly": true})));
    clinic.finds("pod-volume", POD, "it names no class", "secretProviderClass");
    clinic.mend();
    clinic.world.class("db", "test", json!({}));
    clinic.finds("pod-class", POD, "has no parameters", "spec.parameters");
    clinic.world.class("db", "vault", json!({"objects": "x"}));
    clinic.finds("pod-provider", POD, "provider vault, which has no socket", "spec.provider");
}

#[test]
fn a_class_that_asks_for_secrets_in_vain_is_warned_about() {
    let clinic = Clinic::open();
    let mut class = objects::class("default", "db", "test", json!({"objects": "x"}));
    class["spec"]["secretObjects"] = json!([{"secretName": "s", "type": "Opaque", "data": []}]);
    clinic.world.api.put(class);
    clinic.world.api.deny("*", "secrets");
    clinic.warns("pod-secrets", POD, "has secretObjects, which the driver may not write", "permission-sync");
}
