//! What is wrong with the API server, or with what the driver may do there.

use std::fs;

use serde_json::{Value, json};

use super::clinic::{Clinic, DRIVER, LONGEST, csi_driver, csi_driver_path, token_lasting};
use api_server::{ApiServer, Matcher, Settings};

#[test]
fn a_server_that_is_away_is_told_once_and_the_rest_is_still_looked_at() {
    let clinic = Clinic::open();
    clinic.world.api.stop();
    let report = clinic.examine(&[]);
    assert_eq!(report.checks("wrong"), ["api-server"], "{:#}", report.json);
    report.says("api-server", "wrong", "no connection to https://127.0.0.1", "network policy");
    for check in ["permission", "permission-sync", "crd", "csidriver"] {
        report.says(check, "unknown", "see api-server", "");
    }
    report.says("provider", "good", "test answers", "");
    assert_eq!(report.code, Some(1));
    clinic.world.api.resume();
    assert_eq!(clinic.examine(&[]).code, Some(0));
}

#[test]
fn a_server_under_another_authority_is_not_trusted() {
    let clinic = Clinic::open();
    let other = ApiServer::with(Settings { tls: true, token: None });
    fs::write(clinic.file("other.crt"), other.ca_pem()).unwrap();
    let flag = format!("--kube-ca-file={}", clinic.file("other.crt").display());
    clinic.finds("api-server", &[&flag], "is not trusted", "--kube-ca-file");
}

#[test]
fn without_an_address_the_rest_is_still_looked_at() {
    let clinic = Clinic::open();
    let nowhere = ["--kube-api-server=", "--kube-ca-file=", "--kube-token-file="];
    clinic.finds("api-server", &nowhere, "KUBERNETES_SERVICE_HOST", "kubectl exec");
}

#[test]
fn a_token_that_is_refused_is_told_and_so_is_one_that_has_expired() {
    let clinic = Clinic::open();
    clinic.world.api.set_token("another");
    clinic.finds("api-server", &[], "does not accept the token (HTTP 401)", "has expired");
    let expired = token_lasting(-90);
    clinic.world.api.set_token(&expired);
    fs::write(clinic.file("token"), &expired).unwrap();
    clinic.finds("token", &[], "it expired 9", "kubelet renews it");
    fs::write(clinic.file("token"), "").unwrap();
    let report = clinic.examine(&[]);
    assert_eq!(report.checks("wrong"), ["api-server", "token"], "{:#}", report.json);
}

#[test]
fn each_missing_permission_is_told_by_verb_and_resource() {
    let clinic = Clinic::open();
    let needed = [
        ("create", "events"),
        ("list", "pods"),
        ("get", "secretproviderclasses"),
        ("update", "secretproviderclasspodstatuses"),
    ];
    for (verb, resource) in needed {
        clinic.world.api.deny(verb, resource);
        let what = format!("may not {verb} {resource}:");
        clinic.finds("permission", &[], &what, "deploy/rbac-secretproviderclass.yaml");
        clinic.world.api.allow(verb, resource);
    }
    assert_eq!(clinic.examine(&[]).code, Some(0));
}

#[test]
fn without_the_right_to_read_the_csi_driver_its_fields_are_unknown() {
    let clinic = Clinic::open();
    clinic.world.api.deny("get", "csidrivers");
    let report = clinic.examine(&[]);
    assert_eq!(report.checks("wrong"), ["permission"], "{:#}", report.json);
    report.says("csidriver", "unknown", "may not read CSIDriver", "deploy/rbac-secretproviderclass.yaml");
}

#[test]
fn without_rights_on_secrets_sync_is_off_and_with_some_of_them_it_is_broken() {
    let clinic = Clinic::open();
    clinic.world.api.deny("create", "secrets");
    clinic.finds("permission-sync", &[], "may not create secrets", "deploy/rbac-secretprovidersyncing.yaml");
    clinic.world.api.deny("*", "secrets");
    clinic.warns("permission-sync", &[], "Secret sync is off", "syncSecret.enabled=true");
}

#[test]
fn a_kind_that_is_not_served_is_told() {
    let clinic = Clinic::open();
    clinic.world.api.uninstall("secretproviderclasspodstatuses");
    let (what, remedy) =
        ("secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io", "kubectl apply -f deploy/crds/");
    clinic.finds("crd", &[], what, remedy);
    clinic.world.api.uninstall("secretproviderclasses");
    clinic.finds("crd", &[], "secretproviderclasses.secrets-store.csi.x-k8s.io is not served", remedy);
}

#[test]
fn a_missing_csi_driver_object_is_told_with_the_symptom() {
    let clinic = Clinic::open();
    clinic.world.api.delete(&csi_driver_path());
    let what = "not found in the list of registered CSI drivers";
    clinic.finds("csidriver", &[], what, "kubectl apply -f deploy/csidriver.yaml");
}

#[test]
fn the_csi_drivers_fields_are_held_against_the_flags() {
    let clinic = Clinic::open();
    let rows: [(&str, &str, Value, &str); 4] = [
        ("csidriver-republish", "requiresRepublish", json!(false), "enableSecretRotation=true"),
        ("csidriver-pod-info", "podInfoOnMount", json!(false), "set it to true"),
        ("csidriver-attach", "attachRequired", json!(null), "kubectl replace --force"),
        ("csidriver-lifecycle", "volumeLifecycleModes", json!(["Persistent"]), "kubectl replace --force"),
    ];
    for (check, field, value, remedy) in rows {
        let mut object = csi_driver();
        object["spec"][field] = value;
        clinic.world.api.put(object);
        clinic.finds(check, &[], field, remedy);
    }
    clinic.mend();
    clinic.warns(
        "csidriver-republish",
        &["--enable-secret-rotation=false"],
        "stay as they are",
        "give the flag",
    );
    let mut object = csi_driver();
    object["spec"]["tokenRequests"] = json!([{"audience": ""}]);
    clinic.world.api.put(object);
    clinic.warns("csidriver-tokens", &[], "empty audience", "name the audience");
}

#[test]
fn a_clock_that_disagrees_is_told_by_how_much() {
    let clinic = Clinic::open();
    clinic.world.api.set_clock_ahead(60);
    clinic.warns("clock", &[], " behind the API server's", "chrony");
    clinic.world.api.set_clock_ahead(-600);
    clinic.finds("clock", &[], " ahead of the API server's", "chrony");
}

#[test]
fn an_old_server_is_warned_about() {
    let clinic = Clinic::open();
    let old = json!({"major": "1", "minor": "29+", "gitVersion": "v1.29.3-\u{1b}[31mred"});
    clinic.world.api.answer_next(2, Matcher::path("/version"), 200, old.to_string());
    clinic.warns("api-version", &[], "is older than", "1.30");
}

#[test]
fn a_server_that_says_nothing_does_not_hold_the_doctor_up() {
    let clinic = Clinic::open();
    clinic.world.api.hang(Matcher::any());
    let report = clinic.examine(&["--pod=default/web"]);
    assert!(report.took < LONGEST, "{:?}", report.took);
    assert_eq!(report.checks("wrong"), ["api-server"], "{:#}", report.json);
    report.says("api-server", "wrong", "gave no answer in time", "overloaded");
    clinic.world.api.clear_faults();
}

#[test]
fn the_doctor_changes_nothing_at_the_api_server() {
    let clinic = Clinic::open();
    clinic.world.api.forget_requests();
    assert_eq!(clinic.examine(&["--pod=default/web"]).code, Some(0));
    let asked = clinic.world.api.requests();
    let by_doctor: Vec<_> = asked.iter().filter(|seen| seen.user_agent.contains("/doctor/")).collect();
    assert!(by_doctor.len() > 15, "{by_doctor:#?}");
    for seen in by_doctor {
        let is_harmless =
            seen.verb == "get" || seen.verb == "list" || seen.path.ends_with("/selfsubjectaccessreviews");
        assert!(is_harmless, "{seen:?}");
    }
    assert!(clinic.world.api.get(&csi_driver_path()).is_some(), "{DRIVER} is still there");
    assert!(clinic.world.api.list("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").is_empty());
}
