//! The resources that the double has a name for.

/// The kind of a resource, for lists and messages.
pub fn kind(plural: &str) -> String {
    let known = KINDS.iter().find(|(_, known)| *known == plural);
    known.map_or_else(|| plural.to_owned(), |(kind, _)| (*kind).to_owned())
}

/// The plural of a kind; an unknown kind gets an `s`.
pub fn plural(kind: &str) -> String {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    known.map_or_else(|| format!("{}s", kind.to_lowercase()), |(_, plural)| (*plural).to_owned())
}

/// Whether the resource is known.
pub fn is_known(plural: &str) -> bool {
    KINDS.iter().any(|(_, known)| *known == plural)
}

/// Whether a group holds custom resources, which have generations and no unconditional update.
pub fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// Whether objects of the resource lie outside namespaces.
pub fn is_cluster_scoped(plural: &str) -> bool {
    matches!(
        plural,
        "namespaces"
            | "nodes"
            | "csidrivers"
            | "clusterroles"
            | "clusterrolebindings"
            | "clustercsidrivers"
            | "proxies"
            | "apiservers"
            | "infrastructures"
    )
}

/// Whether the status of an object has a path of its own, by which alone it changes.
pub fn has_status(plural: &str) -> bool {
    matches!(plural, "pods" | "daemonsets" | "clustercsidrivers")
}

/// Whether the changes of an object's content are counted in its metadata.
pub fn has_generation(group: &str, plural: &str) -> bool {
    is_custom(group) || matches!(plural, "pods" | "daemonsets" | "networkpolicies")
}

const KINDS: [(&str, &str); 23] = [
    ("SecretProviderClass", "secretproviderclasses"),
    ("SecretProviderClassPodStatus", "secretproviderclasspodstatuses"),
    ("Pod", "pods"),
    ("Secret", "secrets"),
    ("ConfigMap", "configmaps"),
    ("Event", "events"),
    ("Namespace", "namespaces"),
    ("Node", "nodes"),
    ("ServiceAccount", "serviceaccounts"),
    ("ReplicaSet", "replicasets"),
    ("Deployment", "deployments"),
    ("StatefulSet", "statefulsets"),
    ("DaemonSet", "daemonsets"),
    ("Job", "jobs"),
    ("CSIDriver", "csidrivers"),
    ("ClusterCSIDriver", "clustercsidrivers"),
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("NetworkPolicy", "networkpolicies"),
    ("Lease", "leases"),
    ("Proxy", "proxies"),
    ("APIServer", "apiservers"),
    ("Infrastructure", "infrastructures"),
];
