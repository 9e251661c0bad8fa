//! What the driver's pods may do.
//!
//! The rules are those of deploy/rbac-secretproviderclass.yaml and deploy/rbac-secretprovidersyncing.yaml, in one role
//! under the name that the OpenShift operator has for it. What this driver does not use it is not given.

use serde_json::{Value, json};

use crate::identity::{
    DRIVER, DRIVER_BINDING, DRIVER_ROLE, NODE_ACCOUNT, PRIVILEGED_BINDING, PRIVILEGED_ROLE,
};

pub(super) fn privileged_role() -> Value {
    role(
        PRIVILEGED_ROLE,
        json!([{
            "apiGroups": ["security.openshift.io"],
            "resources": ["securitycontextconstraints"],
            "resourceNames": ["privileged"],
            "verbs": ["use"],
        }]),
    )
}

pub(super) fn privileged_binding(namespace: &str) -> Value {
    binding(PRIVILEGED_BINDING, PRIVILEGED_ROLE, namespace)
}

pub(super) fn driver_role() -> Value {
    role(
        DRIVER_ROLE,
        json!([
            // Warnings on pods, for their owners.
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
            // Which pods there are on the node, and who owns them.
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
            // What is to be mounted.
            {
                "apiGroups": ["secrets-store.csi.x-k8s.io"],
                "resources": ["secretproviderclasses"],
                "verbs": ["get", "list", "watch"],
            },
            // What is mounted, in versions.
            {
                "apiGroups": ["secrets-store.csi.x-k8s.io"],
                "resources": ["secretproviderclasspodstatuses"],
                "verbs": ["get", "create", "update"],
            },
            // How kubelet treats the driver's volumes, for the doctor.
            {
                "apiGroups": ["storage.k8s.io"],
                "resources": ["csidrivers"],
                "resourceNames": [DRIVER],
                "verbs": ["get"],
            },
            // What classes mirror into Secrets, which go with their owners.
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "verbs": ["get", "list", "watch", "create", "patch"],
            },
        ]),
    )
}

pub(super) fn driver_binding(namespace: &str) -> Value {
    binding(DRIVER_BINDING, DRIVER_ROLE, namespace)
}

fn role(name: &str, rules: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    })
}

fn binding(name: &str, role: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": NODE_ACCOUNT, "namespace": namespace}],
    })
}
