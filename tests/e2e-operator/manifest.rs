//! What deploy/operator has a cluster apply, read from the files as they are.

use std::path::Path;

use serde_json::{Value, json};

use kit::yaml;

/// The objects of one file of deploy/operator.
pub fn shipped_in(name: &str) -> Vec<Value> {
    yaml::read(&Path::new(OPERATOR).join(name))
}

/// The operator without the kinds of objects, in the order in which kubectl applies it.
pub fn program() -> Vec<Value> {
    resources("program")
}

/// The kinds of objects.
pub fn definitions() -> Vec<Value> {
    let of_driver = resources("../crds");
    shipped_in(DEFINITION).into_iter().chain(of_driver).collect()
}

/// The operator's Deployment.
pub fn deployment() -> Value {
    let [deployment] = &shipped_in("program/deployment.yaml")[..] else { panic!("one document") };
    deployment.clone()
}

/// The ClusterServiceVersion of the bundle.
pub fn bundle() -> Value {
    let [bundle] = &shipped_in(BUNDLE)[..] else { panic!("one document") };
    bundle.clone()
}

/// The definition of a kind outside namespaces of which anything may be said.
pub fn open_kind(group: &str, plural: &str, kind: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    })
}

fn resources(directory: &str) -> Vec<Value> {
    let [kustomization] = &shipped_in(&format!("{directory}/kustomization.yaml"))[..] else {
        panic!("one document")
    };
    let files = kustomization["resources"].as_array().expect("it has resources");
    let files = files.iter().map(|file| file.as_str().expect("names of files"));
    files.flat_map(|file| shipped_in(&format!("{directory}/{file}"))).collect()
}

/// The directory of all manifests.
pub const DEPLOY: &str = kit::in_repository!("/deploy");
/// The directory of the operator's manifests.
pub const OPERATOR: &str = kit::in_repository!("/deploy/operator");
/// The definition of the kind that the operator reads.
pub const DEFINITION: &str = "crd-clustercsidriver.yaml";
const BUNDLE: &str = "bundle/manifests/secrets-store-csi-driver-operator.clusterserviceversion.yaml";
/// Group, plural and kind of what OpenShift serves and the operator looks at.
pub const OPENSHIFT: [(&str, &str, &str); 4] = [
    ("config.openshift.io", "proxies", "Proxy"),
    ("config.openshift.io", "apiservers", "APIServer"),
    ("config.openshift.io", "infrastructures", "Infrastructure"),
    ("security.openshift.io", "securitycontextconstraints", "SecurityContextConstraints"),
];
