//! What a rule of a role permits.

use std::fmt;

use serde_json::Value;

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

/// Everything that a rule permits.
pub fn permissions(rule: &Value) -> Vec<Permission> {
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

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:<7} {}", self.verb, self.resource))
    }
}

/// The items of a list; none where it is missing.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// By the roles system:public-info-viewer, system:discovery and system:basic-user.
const FOR_EVERYBODY: [(&str, &str); 4] = [
    ("get", "/version"),
    ("get", "/apis/secrets-store.csi.x-k8s.io"),
    ("get", "/apis/secrets-store.csi.x-k8s.io/v1"),
    ("create", "selfsubjectaccessreviews.authorization.k8s.io"),
];
