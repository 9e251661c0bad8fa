//! An installation by other means: the plain manifests or the chart, ours or upstream's, or another operator.
//!
//! Two drivers of one name on a node would take each other's socket and registration, and two installations would fight
//! over the binding that both have. So the other one is reported and nothing of it is changed, until somebody removes it.

use serde_json::Value;

use super::identity::{DRIVER_BINDING, FOREIGN_NAMESPACE, FOREIGN_NODE, NODE_ACCOUNT};

/// What gives the other installation away; none where there is no other.
pub fn find(daemon_set: Option<&Value>, binding: Option<&Value>, namespace: &str) -> Option<String> {
    let found = match (daemon_set, binding.and_then(|binding| stranger(binding, namespace))) {
        (Some(_), _) => format!("DaemonSet {FOREIGN_NAMESPACE}/{FOREIGN_NODE}"),
        (None, Some(stranger)) => format!("ClusterRoleBinding {DRIVER_BINDING} for {stranger}"),
        (None, None) => return None,
    };
    Some(format!(
        "the driver is installed by other means ({found}): nothing of it is changed; uninstall it, with \
         helm uninstall or kubectl delete -f, and this operator goes on by itself"
    ))
}

/// For whom the binding is, where it is not for the pods of this operator.
fn stranger(binding: &Value, namespace: &str) -> Option<String> {
    let subjects = binding.get("subjects").and_then(Value::as_array)?;
    let is_ours = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["name"] == NODE_ACCOUNT
            && subject["namespace"] == namespace
    };
    if subjects.iter().any(is_ours) {
        return None;
    }
    let first = subjects.first()?;
    let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} {}/{}", text("kind"), text("namespace"), text("name")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(namespace: &str, name: &str) -> Value {
        json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
    }

    #[test]
    fn another_installation_is_told_by_its_pods_or_by_whom_its_binding_is_for() {
        let pods = json!({"metadata": {"name": FOREIGN_NODE}});
        let ours = account("storage", NODE_ACCOUNT);
        let upstream = account("kube-system", "secrets-store-csi-driver");
        let binding = |subjects: Value| json!({"subjects": subjects});
        let rows = [
            ("nothing", None, None, None),
            ("our binding", None, Some(binding(json!([ours]))), None),
            ("a binding without subjects", None, Some(binding(json!([]))), None),
            ("a binding that somebody widened", None, Some(binding(json!([upstream, ours]))), None),
            ("the pods", Some(&pods), None, Some("DaemonSet kube-system/csi-secrets-store")),
            (
                "upstream's binding",
                None,
                Some(binding(json!([upstream]))),
                Some("kube-system/secrets-store-csi-driver"),
            ),
            (
                "another operator's binding",
                None,
                Some(binding(json!([account("elsewhere", NODE_ACCOUNT)]))),
                Some("elsewhere/secrets-store-csi-driver-node-sa"),
            ),
        ];
        for (name, pods, binding, expected) in rows {
            let found = find(pods, binding.as_ref(), "storage");
            assert_eq!(found.is_some(), expected.is_some(), "{name}: {found:?}");
            assert!(expected.is_none_or(|words| found.unwrap().contains(words)), "{name}");
        }
    }
}
