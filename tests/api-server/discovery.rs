//! Discovery: which versions of a group of custom resources are served, and which resources in each.

use serde_json::{Value, json};

use super::kinds::kind;
use super::status::{self, Answer};
use super::store::Store;

/// The page of a group, or of a version of it; `None` for every other path.
pub fn answer(store: &Store, path: &str) -> Option<Answer> {
    let rest = path.strip_prefix("/apis/")?.trim_end_matches('/');
    let (group, version) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some((_, plurals)) = OPENSHIFT.iter().find(|(known, _)| *known == group) {
        let is_served = store.is_openshift && version == "v1";
        let page = || Answer::json(200, &of_version(group, version, plurals));
        return Some(if is_served { page() } else { status::page_not_found() });
    }
    if group != GROUP {
        return None;
    }
    let served: Vec<&str> = PLURALS.into_iter().filter(|plural| store.serves(plural)).collect();
    if served.is_empty() || !(version.is_empty() || VERSIONS.contains(&version)) {
        return Some(status::page_not_found());
    }
    Some(Answer::json(
        200,
        &if version.is_empty() { of_group() } else { of_version(GROUP, version, &served) },
    ))
}

fn of_group() -> Value {
    let version = |version: &str| json!({"groupVersion": format!("{GROUP}/{version}"), "version": version});
    json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": VERSIONS.map(version),
        "preferredVersion": version(VERSIONS[0]),
    })
}

fn of_version(group: &str, version: &str, served: &[&str]) -> Value {
    let resource = |plural: &&str| {
        json!({
            "name": plural,
            "singularName": kind(plural).to_lowercase(),
            "namespaced": group == GROUP,
            "kind": kind(plural),
            "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{group}/{version}"),
        "resources": served.iter().map(resource).collect::<Vec<_>>(),
    })
}

const GROUP: &str = "secrets-store.csi.x-k8s.io";
/// What only OpenShift serves.
const OPENSHIFT: [(&str, &[&str]); 2] = [
    ("config.openshift.io", &["proxies", "apiservers", "infrastructures"]),
    ("security.openshift.io", &["securitycontextconstraints"]),
];
const VERSIONS: [&str; 2] = ["v1", "v1alpha1"];
const PLURALS: [&str; 2] = ["secretproviderclasses", "secretproviderclasspodstatuses"];
