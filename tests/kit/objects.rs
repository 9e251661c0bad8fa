//! Kubernetes objects as a user writes them.

use serde_json::{Value, json};

/// A SecretProviderClass of the given provider and parameters.
pub fn class(namespace: &str, name: &str, provider: &str, parameters: Value) -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"provider": provider, "parameters": parameters},
    })
}

/// The parameter by which the reference provider is asked for its objects.
pub fn objects(names: &[&str]) -> Value {
    let list: String = names.iter().map(|name| format!("  - |\n    objectName: {name}\n")).collect();
    json!({"objects": format!("array:\n{list}")})
}

/// Where the API server keeps a class.
pub fn class_path(namespace: &str, name: &str) -> String {
    format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasses/{name}")
}

/// Where the API server keeps a pod status.
pub fn pod_status_path(namespace: &str, pod: &str, class: &str) -> String {
    format!(
        "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasspodstatuses/\
         {pod}-{namespace}-{class}"
    )
}
