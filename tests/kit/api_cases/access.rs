//! Refusals: who may not do what, and in which words.

use serde_json::json;

use super::{Api, Case, class, same, secret};

pub const CASES: &[Case] = &[
    ("a stranger may do nothing, and is told what", |api| {
        let (secrets, path) = (api.core("secrets"), format!("{}/a", api.core("secrets")));
        api.post(&secrets, &secret("a", json!({})))?.expect(201)?;
        let table = [
            ("GET", &secrets, "list", ""),
            ("GET", &format!("{secrets}?watch=1"), "watch", ""),
            ("GET", &path, "get", " \"a\""),
            ("POST", &secrets, "create", ""),
            ("PUT", &path, "update", " \"a\""),
            ("PATCH", &path, "patch", " \"a\""),
            ("DELETE", &path, "delete", " \"a\""),
            ("DELETE", &secrets, "deletecollection", ""),
        ];
        for (method, target, verb, name) in table {
            let scope = format!("in the namespace \"{}\"", api.namespace());
            let why = format!("cannot {verb} resource \"secrets\" in API group \"\" {scope}");
            let message = format!("secrets{name} is forbidden: User \"{STRANGER}\" {why}");
            let body = ask(api, method, target)?.fails(403, "Forbidden", &message)?;
            same("kind", &body["details"]["kind"], &json!("secrets"))?;
        }
        Ok(())
    }),
    ("a refusal for all namespaces says so", |api| {
        let why = "cannot list resource \"secrets\" in API group \"\" at the cluster scope";
        let message = format!("secrets is forbidden: User \"{STRANGER}\" {why}");
        ask(api, "GET", "/api/v1/secrets?limit=1")?.fails(403, "Forbidden", &message).map(drop)
    }),
    ("a refusal of one name names it, also when it was selected", |api| {
        let scope = format!("in the namespace \"{}\"", api.namespace());
        for (query, verb) in [("", "list"), ("watch=1&", "watch")] {
            let target = format!("{}?{query}fieldSelector=metadata.name%3Da", api.core("secrets"));
            let why = format!("cannot {verb} resource \"secrets\" in API group \"\" {scope}");
            let message = format!("secrets \"a\" is forbidden: User \"{STRANGER}\" {why}");
            ask(api, "GET", &target)?.fails(403, "Forbidden", &message)?;
        }
        Ok(())
    }),
    ("a refusal of a custom resource names its group", |api| {
        let classes = api.custom("secretproviderclasses");
        api.post(&classes, &class("a", "p"))?.expect(201)?;
        let scope = format!("in the namespace \"{}\"", api.namespace());
        let why = format!("cannot get resource \"secretproviderclasses\" in API group \"{GROUP}\" {scope}");
        let user = format!("User \"{STRANGER}\"");
        let message = format!("secretproviderclasses.{GROUP} \"a\" is forbidden: {user} {why}");
        let body = ask(api, "GET", &format!("{classes}/a"))?.fails(403, "Forbidden", &message)?;
        let details = json!({"name": "a", "group": GROUP, "kind": "secretproviderclasses"});
        same("details", &body["details"], &details)
    }),
    ("who may not look is not told whether anything is there", |api| {
        let scope = format!("in the namespace \"{}\"", api.namespace());
        let user = format!("User \"{STRANGER}\"");
        let why = format!("cannot get resource \"secrets\" in API group \"\" {scope}");
        let message = format!("secrets \"zz\" is forbidden: {user} {why}");
        ask(api, "GET", &format!("{}/zz", api.core("secrets")))?.fails(403, "Forbidden", &message)?;
        let why = format!("cannot list resource \"things\" in API group \"{GROUP}\" {scope}");
        let message = format!("things.{GROUP} is forbidden: {user} {why}");
        ask(api, "GET", &api.custom("things"))?.fails(403, "Forbidden", &message).map(drop)
    }),
    ("a token that nobody knows is unauthorized", |api| {
        let headers = [("Authorization", "Bearer nobody-knows-this")];
        api.ask("GET", &api.core("secrets"), &headers, "")?
            .fails(401, "Unauthorized", "Unauthorized")
            .map(drop)
    }),
];

/// A request in the name of an account that nobody has given any rights.
fn ask(api: &Api, method: &str, target: &str) -> Result<super::Reply, String> {
    let headers = [("Impersonate-User", STRANGER), ("Content-Type", "application/merge-patch+json")];
    let body = if matches!(method, "GET" | "DELETE") { "" } else { "{}" };
    api.ask(method, target, &headers, body)
}

const STRANGER: &str = "system:serviceaccount:nowhere:nobody";
const GROUP: &str = "secrets-store.csi.x-k8s.io";
