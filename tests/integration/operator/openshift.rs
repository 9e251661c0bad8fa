//! What there is besides on OpenShift.

use serde_json::json;

use super::stage::{
    CONFIG_MAP, DAEMON_SET, FINALIZER, PIECES, PRIVILEGED_BINDING, PRIVILEGED_ROLE, REQUEST, Stage,
};
use api_server::Matcher;

const OBSERVATION: &str = "ConfigObservationDegraded";

fn openshift() -> Stage {
    let stage = Stage::new();
    stage.api.serve_openshift();
    stage.api.put(json!({
        "apiVersion": "config.openshift.io/v1", "kind": "Proxy", "metadata": {"name": "cluster"},
        "status": {"httpProxy": "http://proxy.example", "noProxy": ".svc"},
    }));
    stage.api.put(json!({
        "apiVersion": "config.openshift.io/v1", "kind": "APIServer", "metadata": {"name": "cluster"},
        "spec": {"tlsSecurityProfile": {"type": "Modern"}},
    }));
    stage
}

#[test]
fn its_own_objects_are_installed_repaired_and_removed_as_well() {
    let stage = openshift();
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    let extras = [PRIVILEGED_ROLE, PRIVILEGED_BINDING, CONFIG_MAP];
    for path in extras {
        assert!(stage.api.delete(path), "{path}");
        stage.wait(path, |api| api.get(path).is_some());
    }
    assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]));
    stage.delete_request();
    stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
    assert!(extras.iter().chain(&PIECES).all(|path| stage.api.get(path).is_none()));
}

#[test]
fn the_clusters_settings_are_written_down_and_followed_and_nothing_else_of_the_spec_changes() {
    let stage = openshift();
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed", "theirs": {"a": 1}}));
    stage.wait_installed();
    let config = || stage.request()["spec"]["observedConfig"]["targetcsiconfig"].clone();
    let proxy = json!({"HTTP_PROXY": "http://proxy.example", "NO_PROXY": ".svc"});
    stage.wait("the settings are there", |_| config()["proxy"] == proxy);
    assert_eq!(config()["servingInfo"]["minTLSVersion"], "VersionTLS13");
    let settings = "/apis/config.openshift.io/v1/proxies/cluster";
    stage.edit(settings, |object| object["status"] = json!({"noProxy": ".example"}));
    stage.wait("they follow", |_| config()["proxy"] == json!({"NO_PROXY": ".example"}));
    stage.api.delete(settings);
    stage.wait("what is gone is gone", |_| config().get("proxy").is_none());
    assert_eq!(stage.request()["spec"]["theirs"], json!({"a": 1}));
    assert_eq!(stage.condition(OBSERVATION), "False -");
}

#[test]
fn settings_that_cannot_be_read_are_reported_and_hold_nothing_up() {
    let stage = openshift();
    stage.api.fail_always(Matcher::verb("get").and_path("/proxies/"), 403);
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    assert_eq!(stage.condition(OBSERVATION), "True Error");
}

#[test]
fn the_clusters_authorities_reach_the_driver_and_go_again() {
    let stage = openshift();
    let _operator = stage.operator();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    let pods = || stage.api.get(DAEMON_SET).unwrap()["spec"]["template"].to_string();
    assert!(!pods().contains("tls-ca-bundle.pem"));
    stage.edit(CONFIG_MAP, |object| object["data"] = json!({"ca-bundle.crt": "authorities"}));
    stage.wait("they are mounted", |_| pods().contains("tls-ca-bundle.pem"));
    let first = pods();
    assert!(first.contains("/etc/pki/ca-trust/extracted/pem"));
    stage.edit(CONFIG_MAP, |object| object["data"] = json!({"ca-bundle.crt": "others"}));
    stage.wait("others are rolled out", |_| pods() != first);
    stage.edit(CONFIG_MAP, |object| drop(object.as_object_mut().unwrap().remove("data")));
    stage.wait("none is no longer mounted", |_| !pods().contains("tls-ca-bundle.pem"));
    let annotations = stage.api.get(DAEMON_SET).unwrap()["metadata"]["annotations"].clone();
    let left = annotations.as_object().unwrap().keys().find(|name| name.contains("/dep-"));
    assert_eq!(left, None);
}
