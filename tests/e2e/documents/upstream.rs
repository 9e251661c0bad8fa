//! The upstream driver's DaemonSet as far as a cluster notices it: names, containers, arguments.

use serde_json::{Value, json};

/// The object.
pub fn daemon_set() -> Value {
    let plugin = json!({"name": "plugin-dir", "mountPath": "/csi"});
    let containers = json!([
        {
            "name": "node-driver-registrar",
            "image": "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0",
            "args": [
                "--v=5",
                "--csi-address=/csi/csi.sock",
                "--kubelet-registration-path=/var/lib/kubelet/plugins/csi-secrets-store/csi.sock",
            ],
            "volumeMounts": [plugin, {"name": "registration-dir", "mountPath": "/registration"}],
        },
        {
            "name": "secrets-store",
            "image": "registry.k8s.io/csi-secrets-store/driver:v1.6.1",
            "args": [
                "--endpoint=$(CSI_ENDPOINT)",
                "--nodeid=$(KUBE_NODE_NAME)",
                "--provider-volume=/var/run/secrets-store-csi-providers",
                "--metrics-addr=:8095",
                "--enable-secret-rotation=true",
                "--rotation-poll-interval=2m",
            ],
            "env": [
                {"name": "CSI_ENDPOINT", "value": "unix:///csi/csi.sock"},
                {"name": "KUBE_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "securityContext": {"privileged": true},
            "volumeMounts": [
                plugin,
                {"name": "mountpoint-dir", "mountPath": "/var/lib/kubelet/pods", "mountPropagation": "Bidirectional"},
                {"name": "providers-dir", "mountPath": "/var/run/secrets-store-csi-providers"},
            ],
        },
        {
            "name": "liveness-probe",
            "image": "registry.k8s.io/sig-storage/livenessprobe:v2.18.0",
            "args": ["--csi-address=/csi/csi.sock", "--probe-timeout=3s", "--http-endpoint=0.0.0.0:9808", "-v=2"],
            "volumeMounts": [plugin],
        },
    ]);
    let host = |name: &str, path: &str| json!({"name": name, "hostPath": {"path": path}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "csi-secrets-store", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"app": "csi-secrets-store"}},
            "template": {
                "metadata": {"labels": {"app": "csi-secrets-store"}},
                "spec": {
                    "serviceAccountName": "secrets-store-csi-driver",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [{"operator": "Exists"}],
                    "containers": containers,
                    "volumes": [
                        host("mountpoint-dir", "/var/lib/kubelet/pods"),
                        host("registration-dir", "/var/lib/kubelet/plugins_registry/"),
                        host("plugin-dir", "/var/lib/kubelet/plugins/csi-secrets-store/"),
                        host("providers-dir", "/var/run/secrets-store-csi-providers"),
                    ],
                },
            },
        },
    })
}
