//! Which objects of a cluster are there because something was installed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Site;

/// Every such object: its path, and which one it is of all that had the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// Looks at the cluster as it is now.
    pub fn take(site: &Site) -> Snapshot {
        let mut found = BTreeMap::new();
        for collection in COLLECTIONS {
            for object in site.admin.list(collection).iter().filter(|object| is_installed(object)) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (root, plural) = collection.rsplit_once('/').expect("a collection has a path");
                let metadata = &object["metadata"];
                let path = match metadata["namespace"].as_str() {
                    None => format!("{collection}/{}", text(&metadata["name"])),
                    Some(namespace) => {
                        format!("{root}/namespaces/{namespace}/{plural}/{}", text(&metadata["name"]))
                    }
                };
                found.insert(path, text(&metadata["uid"]));
            }
        }
        Snapshot(found)
    }

    /// Where they are.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Which one it is.
    pub fn uid(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose path does not contain the text.
    pub fn without(mut self, text: &str) -> Snapshot {
        self.0.retain(|path, _| !path.contains(text));
        self
    }
}

/// By its label or by its name: what is left behind has lost the first at most.
fn is_installed(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        || ["secrets-store", "secretprovider", "sh.helm.release"].iter().any(|text| name.contains(text))
}

/// Every kind that a chart or a manifest of this driver, or of the upstream one, has objects of, or that comes of them.
const COLLECTIONS: [&str; 16] = [
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/controllerrevisions",
    "/api/v1/pods",
    "/api/v1/serviceaccounts",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/apis/batch/v1/jobs",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/storage.k8s.io/v1/csidrivers",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/monitoring.coreos.com/v1/podmonitors",
    "/apis/monitoring.coreos.com/v1/prometheusrules",
];
