//! What the roles in deploy/ let the driver do, computed from the files alone.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::manifest;

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Resource with its group, as in `events` or `secretproviderclasses.secrets-store.csi.x-k8s.io`; or a path.
    pub resource: String,
    /// Verb of access rules.
    pub verb: String,
}

impl Permission {
    /// True for what the API server lets every account ask, by roles of its own.
    pub fn is_for_everybody(&self) -> bool {
        FOR_EVERYBODY.contains(&(self.verb.as_str(), self.resource.as_str()))
    }
}

/// Everything that roles bound to the driver's service account permit.
pub fn of_driver() -> BTreeSet<Permission> {
    let shipped = manifest::shipped();
    let bindings = shipped.iter().filter(|object| object["kind"] == "ClusterRoleBinding");
    let of_driver = bindings.filter(|binding| list(&binding["subjects"]).any(is_driver));
    let names: Vec<&Value> = of_driver.map(|binding| &binding["roleRef"]["name"]).collect();
    let roles = shipped.iter().filter(|object| object["kind"] == "ClusterRole");
    let bound = roles.filter(|role| names.contains(&&role["metadata"]["name"]));
    bound.flat_map(|role| list(&role["rules"])).flat_map(permissions).collect()
}

fn is_driver(subject: &Value) -> bool {
    let [namespace, name] = SERVICE_ACCOUNT;
    subject["kind"] == "ServiceAccount" && subject["namespace"] == namespace && subject["name"] == name
}

fn permissions(rule: &Value) -> Vec<Permission> {
    let mut permissions = Vec::new();
    for group in list(&rule["apiGroups"]) {
        for resource in list(&rule["resources"]) {
            for verb in list(&rule["verbs"]) {
                let [group, resource, verb] =
                    [group, resource, verb].map(|text| text.as_str().expect("a text"));
                assert!(
                    ![group, resource, verb].contains(&"*"),
                    "a role of the driver names what it permits"
                );
                let resource =
                    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                permissions.push(Permission { resource, verb: verb.to_owned() });
            }
        }
    }
    permissions
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:<7} {}", self.verb, self.resource))
    }
}

/// By the roles system:public-info-viewer, system:discovery and system:basic-user.
const FOR_EVERYBODY: [(&str, &str); 4] = [
    ("get", "/version"),
    ("get", "/apis/secrets-store.csi.x-k8s.io"),
    ("get", "/apis/secrets-store.csi.x-k8s.io/v1"),
    ("create", "selfsubjectaccessreviews.authorization.k8s.io"),
];
/// Namespace and name of who the driver is.
pub const SERVICE_ACCOUNT: [&str; 2] = ["kube-system", "secrets-store-csi-driver"];
