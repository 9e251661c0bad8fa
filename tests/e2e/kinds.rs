//! Where the API server keeps objects of each kind.

use serde_json::Value;

/// Path of an object, by what it says of itself.
pub fn path_of(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", collection_of(object))
}

/// Path of the collection that an object belongs to, by what it says of itself.
pub fn collection_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let namespace = text(&object["metadata"]["namespace"]);
    let plural = PLURALS.iter().find(|(of, _)| *of == kind).map(|(_, plural)| *plural);
    let plural = plural.unwrap_or_else(|| panic!("nobody knows the plural of {kind}"));
    let root = if version.contains('/') { "apis" } else { "api" };
    match namespace.as_str() {
        "" => format!("/{root}/{version}/{plural}"),
        namespace => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
    }
}

/// Path of something in a namespace of the core group.
pub fn core(namespace: &str, plural: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}/{name}")
}

/// Path of a Deployment.
pub fn deployment(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}

/// Path of a class.
pub fn class(namespace: &str, name: &str) -> String {
    format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasses/{name}")
}

/// Path of something of access rules that belongs to the whole cluster.
pub fn access(plural: &str, name: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/{plural}/{name}")
}

/// Path of the pod statuses of a namespace.
pub fn pod_statuses(namespace: &str) -> String {
    format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasspodstatuses")
}

const PLURALS: [(&str, &str); 25] = [
    ("CSIDriver", "csidrivers"),
    ("ClusterCSIDriver", "clustercsidrivers"),
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("ConfigMap", "configmaps"),
    ("CustomResourceDefinition", "customresourcedefinitions"),
    ("DaemonSet", "daemonsets"),
    ("Deployment", "deployments"),
    ("FlowSchema", "flowschemas"),
    ("Lease", "leases"),
    ("Namespace", "namespaces"),
    ("NetworkPolicy", "networkpolicies"),
    ("Node", "nodes"),
    ("Pod", "pods"),
    ("PodMonitor", "podmonitors"),
    ("PriorityLevelConfiguration", "prioritylevelconfigurations"),
    ("PrometheusRule", "prometheusrules"),
    ("ResourceQuota", "resourcequotas"),
    ("Role", "roles"),
    ("RoleBinding", "rolebindings"),
    ("Secret", "secrets"),
    ("SecretProviderClass", "secretproviderclasses"),
    ("SecretProviderClassPodStatus", "secretproviderclasspodstatuses"),
    ("Service", "services"),
    ("ServiceAccount", "serviceaccounts"),
];
