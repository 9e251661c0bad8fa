//! The objects that the operator makes, where they are, and what of them must come back when somebody changes it.

use serde_json::{Value, json};

use crate::stage::NAMESPACE;
use e2e::kinds;

/// One of the objects.
pub struct Piece {
    /// What people call it.
    pub kind: &'static str,
    /// Where it is.
    pub path: String,
    /// What somebody could do to it by hand; nothing where there is nothing that counts.
    pub meddling: Option<Value>,
    /// The field that counts.
    pub field: &'static str,
}

/// All of them, on a cluster that is not OpenShift.
pub fn pieces() -> Vec<Piece> {
    // Without the first it would be somebody else's, which is reported and left alone.
    let more = json!([
        {"kind": "ServiceAccount", "name": "secrets-store-csi-driver-node-sa", "namespace": NAMESPACE},
        {"kind": "ServiceAccount", "name": "nobody", "namespace": "default"},
    ]);
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    vec![
        Piece {
            kind: "ServiceAccount",
            path: kinds::core(NAMESPACE, "serviceaccounts", "secrets-store-csi-driver-node-sa"),
            meddling: None,
            field: "kind",
        },
        Piece {
            kind: "CSIDriver",
            path: CSI_DRIVER.to_owned(),
            meddling: Some(json!({"spec": {"requiresRepublish": false, "podInfoOnMount": false}})),
            field: "spec",
        },
        Piece {
            kind: "ClusterRole",
            path: kinds::access("clusterroles", "secretproviderclasses-role"),
            meddling: Some(json!({"rules": everything})),
            field: "rules",
        },
        Piece {
            kind: "ClusterRoleBinding",
            path: kinds::access("clusterrolebindings", "secretproviderclasses-rolebinding"),
            meddling: Some(json!({"subjects": more})),
            field: "subjects",
        },
        Piece {
            kind: "NetworkPolicy",
            path: format!(
                "/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/sscsi-allow-ingress-to-metrics-operand"
            ),
            meddling: Some(json!({"spec": {"ingress": []}})),
            field: "spec",
        },
        Piece {
            kind: "DaemonSet",
            path: daemon_set(),
            meddling: Some(json!({"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})),
            field: "spec",
        },
    ]
}

/// What there is besides on OpenShift: role, binding and ConfigMap.
pub fn extras() -> [Piece; 3] {
    let plain = |kind: &'static str, path: String| Piece { kind, path, meddling: None, field: "kind" };
    [
        plain("ClusterRole", kinds::access("clusterroles", "secrets-store-privileged-role")),
        plain(
            "ClusterRoleBinding",
            kinds::access("clusterrolebindings", "secrets-store-node-privileged-binding"),
        ),
        plain(
            "ConfigMap",
            kinds::core(NAMESPACE, "configmaps", "secrets-store-csi-driver-trusted-ca-bundle"),
        ),
    ]
}

/// Where the DaemonSet is.
pub fn daemon_set() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMON_SET}")
}

/// The argument of the driver that begins so.
pub fn argument(daemon_set: &Value, beginning: &str) -> Option<String> {
    let containers = daemon_set["spec"]["template"]["spec"]["containers"].as_array()?;
    let driver = containers.iter().find(|container| container["name"] == "csi-driver")?;
    let arguments = driver["args"].as_array()?.iter().filter_map(Value::as_str);
    let mut found = arguments.filter_map(|argument| argument.strip_prefix(beginning));
    let value = found.next()?.to_owned();
    assert!(found.next().is_none(), "{beginning} is given twice");
    Some(value)
}

/// Name of the DaemonSet, and the label `app` of its pods.
pub const DAEMON_SET: &str = "secrets-store-csi-driver-node";
/// Where the CSIDriver is.
pub const CSI_DRIVER: &str = "/apis/storage.k8s.io/v1/csidrivers/secrets-store.csi.k8s.io";
