//! The resources this driver touches, and their paths.
//!
//! Names reach this file from pods' specifications. They are checked against the API's own rules instead of
//! being escaped: a name that passes has only lower-case letters, digits, `-` and inner dots, so it cannot
//! leave its place in the path, and one that fails could not exist anyway.

use super::error::ApiError;
use base::text::printable;

/// One kind of namespaced object.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    group: &'static str,
    version: &'static str,
    plural: &'static str,
}

/// `secretproviderclasses.secrets-store.csi.x-k8s.io`.
pub const CLASSES: Resource =
    Resource { group: "secrets-store.csi.x-k8s.io", version: "v1", plural: "secretproviderclasses" };
/// `secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io`.
pub const POD_STATUSES: Resource =
    Resource { group: "secrets-store.csi.x-k8s.io", version: "v1", plural: "secretproviderclasspodstatuses" };
/// Core pods.
pub const PODS: Resource = Resource { group: "", version: "v1", plural: "pods" };
/// Core secrets.
pub const SECRETS: Resource = Resource { group: "", version: "v1", plural: "secrets" };
/// CSI drivers, which lie outside namespaces.
pub const CSI_DRIVERS: Resource = Resource { group: "storage.k8s.io", version: "v1", plural: "csidrivers" };
/// What an administrator asks the operator for, outside namespaces.
pub const CLUSTER_CSI_DRIVERS: Resource =
    Resource { group: "operator.openshift.io", version: "v1", plural: "clustercsidrivers" };
/// DaemonSets.
pub const DAEMON_SETS: Resource = Resource { group: "apps", version: "v1", plural: "daemonsets" };
/// Core service accounts.
pub const SERVICE_ACCOUNTS: Resource = Resource { group: "", version: "v1", plural: "serviceaccounts" };
/// Core config maps.
pub const CONFIG_MAPS: Resource = Resource { group: "", version: "v1", plural: "configmaps" };
/// Cluster roles, which lie outside namespaces.
pub const CLUSTER_ROLES: Resource =
    Resource { group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterroles" };
/// Bindings of cluster roles, which lie outside namespaces.
pub const CLUSTER_ROLE_BINDINGS: Resource =
    Resource { group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterrolebindings" };
/// Network policies.
pub const NETWORK_POLICIES: Resource =
    Resource { group: "networking.k8s.io", version: "v1", plural: "networkpolicies" };
/// Leases.
pub const LEASES: Resource = Resource { group: "coordination.k8s.io", version: "v1", plural: "leases" };
/// OpenShift's proxies, which lie outside namespaces.
pub const PROXIES: Resource = Resource { group: "config.openshift.io", version: "v1", plural: "proxies" };
/// OpenShift's settings of API servers, which lie outside namespaces.
pub const API_SERVERS: Resource =
    Resource { group: "config.openshift.io", version: "v1", plural: "apiservers" };
/// OpenShift's facts about the cluster, which lie outside namespaces.
pub const INFRASTRUCTURES: Resource =
    Resource { group: "config.openshift.io", version: "v1", plural: "infrastructures" };
/// OpenShift's rights of containers, which lie outside namespaces.
pub const SECURITY_CONSTRAINTS: Resource =
    Resource { group: "security.openshift.io", version: "v1", plural: "securitycontextconstraints" };
/// Core events.
pub const EVENTS: Resource = Resource { group: "", version: "v1", plural: "events" };

impl Resource {
    /// Group and version as objects name them.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &'static str {
        self.group
    }

    /// Version of the group.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// Plural.
    pub fn plural(&self) -> &'static str {
        self.plural
    }

    /// Path of the collection over all namespaces.
    pub fn everywhere(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/{}", self.version, self.plural),
        }
    }

    /// Path of the namespace's collection.
    ///
    /// # Errors
    /// [`ApiError::InvalidName`] when `namespace` is not a DNS label.
    pub fn collection(&self, namespace: &str) -> Result<String, ApiError> {
        if !is_label(namespace) {
            return Err(invalid("namespace", namespace));
        }
        Ok(match self.group {
            "" => format!("/api/{}/namespaces/{namespace}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/namespaces/{namespace}/{}", self.version, self.plural),
        })
    }

    /// Path of one object.
    ///
    /// # Errors
    /// [`ApiError::InvalidName`] when `namespace` is not a DNS label or `name` not a DNS subdomain.
    pub fn object(&self, namespace: &str, name: &str) -> Result<String, ApiError> {
        if !is_subdomain(name) {
            return Err(invalid("name", name));
        }
        Ok(format!("{}/{name}", self.collection(namespace)?))
    }

    /// Path of one object outside namespaces.
    ///
    /// # Errors
    /// [`ApiError::InvalidName`] when `name` is not a DNS subdomain.
    pub fn cluster_object(&self, name: &str) -> Result<String, ApiError> {
        if !is_subdomain(name) {
            return Err(invalid("name", name));
        }
        Ok(format!("{}/{name}", self.everywhere()))
    }

    /// `plural.group`, the way the API's messages name a resource; the plural alone in the core group.
    pub fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

fn invalid(what: &'static str, value: &str) -> ApiError {
    ApiError::InvalidName { what, value: printable(value, 80) }
}

/// RFC 1123 label: at most 63 of `a-z0-9-`, beginning and ending with a letter or digit.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

/// RFC 1123 subdomain as the API checks it: dot-separated labels, at most 253 bytes in all.
fn is_subdomain(text: &str) -> bool {
    text.len() <= LONGEST_NAME && text.split('.').all(is_label_of_any_length)
}

fn is_label_of_any_length(text: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges = text.as_bytes().first().copied().zip(text.as_bytes().last().copied());
    edges.is_some_and(|(first, last)| is_edge(first) && is_edge(last))
        && text.bytes().all(|byte| is_edge(byte) || byte == b'-')
}

/// Longest name of an object, in bytes.
pub const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_built_from_group_namespace_and_name() {
        assert_eq!(
            CLASSES.object("team-a", "db.v1").unwrap(),
            "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team-a/secretproviderclasses/db.v1"
        );
        assert_eq!(EVENTS.collection("default").unwrap(), "/api/v1/namespaces/default/events");
        assert_eq!(
            CSI_DRIVERS.cluster_object("secrets-store.csi.k8s.io").unwrap(),
            "/apis/storage.k8s.io/v1/csidrivers/secrets-store.csi.k8s.io"
        );
        assert_eq!(POD_STATUSES.qualified(), "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io");
        assert_eq!(EVENTS.qualified(), "events");
    }

    #[test]
    fn a_name_that_could_change_the_path_is_refused() {
        let names = [
            "",
            ".",
            "..",
            "../../secrets",
            "a/b",
            "a%2fb",
            "a?watch=1",
            "a#b",
            "a b",
            "A",
            "a_b",
            "-a",
            "a-",
            ".a",
            "a.",
            "a..b",
            "a\nb",
            "ä",
            "a\0b",
            "a\\b",
        ];
        for name in names {
            assert!(CSI_DRIVERS.cluster_object(name).is_err(), "{name:?}");
            let error = CLASSES.object("default", name).unwrap_err();
            assert!(matches!(error, ApiError::InvalidName { what: "name", .. }), "{name:?}");
            let error = CLASSES.object(name, "x").unwrap_err();
            assert!(matches!(error, ApiError::InvalidName { what: "namespace", .. }), "{name:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_api() {
        assert!(CLASSES.object("default", &"a".repeat(253)).is_ok());
        assert!(CLASSES.object("default", &"a".repeat(254)).is_err());
        assert!(CLASSES.object(&"a".repeat(63), "x").is_ok());
        assert!(CLASSES.object(&"a".repeat(64), "x").is_err());
        assert!(CLASSES.object("a.b", "x").is_err(), "a namespace is a label, not a subdomain");
    }

    #[test]
    fn a_refused_name_is_shown_printable_and_short() {
        let error = CLASSES.object("default", &"\n".repeat(500)).unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\n'), "{error}");
    }
}
