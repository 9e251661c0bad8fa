//! A cluster that serves OpenShift's APIs, with the rights that the bundle asks for. Nobody is behind these APIs here:
//! what the network operator would write, the case writes.

use serde_json::{Value, json};

use super::Case;
use crate::manifest;
use crate::operand;
use crate::stage::Stage;
use e2e::kinds;
use e2e::operator::{ACCOUNT, NAMESPACE};
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "where OpenShift's APIs are served its extras are made, kept and removed",
        play: extras,
    },
    Case {
        sentence: "MicroShift, which has constraints and no settings, is served by the manifests as they are",
        play: microshift,
    },
    Case {
        sentence: "proxies and the TLS profile of the cluster are written into the object",
        play: observed,
    },
];

fn extras(stage: &mut Stage) {
    open(stage);
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    for path in paths() {
        until(&format!("{path} is there"), || stage.admin.get(&path).is_some());
    }
    // Whoever changes what makes the pods privileged finds it put right.
    let [role, _, bundle] = &paths();
    let rules = stage.admin.get(role).expect("it is there")["rules"].take();
    stage.admin.patch(role, &json!({"rules": []}));
    until("the role is put right", || stage.admin.get(role).is_some_and(|now| now["rules"] == rules));
    // Authorities that the network operator delivers reach the pods.
    let before = stage.daemon_set()["spec"]["template"].take();
    stage.admin.patch(bundle, &json!({"data": {"ca-bundle.crt": "an authority"}}));
    until("the pods mount the authorities", || {
        let template = stage.daemon_set()["spec"]["template"].take();
        let volumes = template["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        template != before && volumes.iter().any(|volume| volume["configMap"]["name"] == BUNDLE)
    });
    stage.is_installed();
    assert_eq!(stage.admin.get(bundle).expect("it is there")["data"]["ca-bundle.crt"], "an authority");
    stage.delete_driver();
    stage.is_uninstalled();
    for path in paths() {
        assert!(stage.admin.get(&path).is_none(), "{path} is left");
    }
}

fn microshift(stage: &mut Stage) {
    for (group, plural, kind) in
        manifest::OPENSHIFT.into_iter().filter(|(group, ..)| group.starts_with("security"))
    {
        stage.admin.apply(&manifest::open_kind(group, plural, kind));
        until("constraints are served", || stage.admin.get(&format!("/apis/{group}/v1/{plural}")).is_some());
    }
    stage.install();
    let [role, binding, bundle] = &paths();
    for path in [role, binding] {
        until(&format!("{path} is there"), || stage.admin.get(path).is_some());
    }
    stage.is("SecretsStoreConditionalStaticResourcesControllerDegraded", "False");
    let rules = stage.admin.get(role).expect("it is there")["rules"].take();
    stage.admin.patch(role, &json!({"rules": []}));
    until("the role is put right", || stage.admin.get(role).is_some_and(|now| now["rules"] == rules));
    assert!(stage.admin.get(bundle).is_none(), "nobody would fill it");
    stage.delete_driver();
    stage.is_uninstalled();
    assert!(stage.admin.get(role).is_none() && stage.admin.get(binding).is_none());
}

fn observed(stage: &mut Stage) {
    open(stage);
    let config = |plural: &str| format!("/apis/config.openshift.io/v1/{plural}");
    let make = |plural: &str, kind: &str, content: Value| {
        let mut object = json!({
            "apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": "cluster"},
        });
        for (field, value) in content.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        stage.admin.post(&config(plural), &object);
    };
    make("proxies", "Proxy", json!({"status": {"httpProxy": "http://proxy.example", "noProxy": ".svc"}}));
    make("apiservers", "APIServer", json!({"spec": {"tlsSecurityProfile": {"type": "Modern"}}}));
    stage.ask_for(&json!({"managementState": "Managed", "logLevel": "Debug"}));
    let seen = |stage: &Stage| -> Value {
        stage
            .driver()
            .map(|mut driver| driver["spec"]["observedConfig"]["targetcsiconfig"].take())
            .unwrap_or_default()
    };
    let proxy = json!({"HTTP_PROXY": "http://proxy.example", "NO_PROXY": ".svc"});
    until("the proxy is written down", || seen(stage)["proxy"] == proxy);
    assert_eq!(seen(stage)["servingInfo"]["minTLSVersion"], "VersionTLS13");
    stage.admin.patch(&format!("{}/cluster", config("proxies")), &json!({"status": null}));
    until("no proxy is written down", || seen(stage)["proxy"].is_null());
    assert_eq!(
        stage.driver().expect("it is there")["spec"]["logLevel"],
        "Debug",
        "the rest is the administrator's"
    );
    stage.is("ConfigObservationDegraded", "False");
}

/// Serves the APIs, and starts an operator that has the bundle's rights and no others.
fn open(stage: &mut Stage) {
    for (group, plural, kind) in manifest::OPENSHIFT {
        stage.admin.apply(&manifest::open_kind(group, plural, kind));
        let path = format!("/apis/{group}/v1/{plural}");
        until(&format!("{plural} are served"), || stage.admin.get(&path).is_some());
    }
    for object in manifest::program() {
        stage.admin.apply(&object);
    }
    let rules = &manifest::bundle()["spec"]["install"]["spec"];
    let cluster = &rules["clusterPermissions"][0]["rules"];
    stage.admin.patch(&kinds::access("clusterroles", ACCOUNT), &json!({"rules": cluster}));
    let role = |namespace: &str| {
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{ACCOUNT}")
    };
    stage.admin.patch(&role(NAMESPACE), &json!({"rules": rules["permissions"][0]["rules"]}));
    // A bundle has none in other namespaces.
    stage.admin.delete(&role("kube-system"));
    stage.launch();
}

/// Where the extras are: role, binding and ConfigMap.
fn paths() -> [String; 3] {
    operand::extras().map(|piece| piece.path)
}

const BUNDLE: &str = "secrets-store-csi-driver-trusted-ca-bundle";
