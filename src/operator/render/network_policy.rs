//! Who may connect to the driver's pods: anybody, to the metrics. Kubelet's probes come from the node, which policies
//! do not hold off.

use serde_json::{Value, json};

use super::METRICS_PORT;
use crate::identity::{NETWORK_POLICY, NODE};

pub(super) fn object(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NETWORK_POLICY, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": NODE}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": METRICS_PORT}]}],
        },
    })
}
