//! The garbage collector. It runs beside the server: these cases need one.

use serde_json::{Value, json};

use super::metadata::owner as unknown_owner;
use super::{Api, Case, holds, pod, same, secret, with};

pub const CASES: &[Case] = &[
    ("an object goes with the last of its owners", |api| {
        let owners = [owner(api, "one")?, owner(api, "two")?];
        let owned = with(secret("a", json!({})), "ownerReferences", json!(owners));
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &owned)?.expect(201)?;
        remove(api, "one")?;
        let left = || -> Result<Value, String> {
            Ok(api.get(&path)?.expect(200)?["metadata"]["ownerReferences"].clone())
        };
        let is_dropped = api.eventually(|| Ok(left()? == json!([owners[1]])))?;
        holds("the owner that went is dropped", is_dropped, &left()?)?;
        remove(api, "two")?;
        let is_gone = api.eventually(|| Ok(api.get(&path)?.code == 404))?;
        holds("it goes with the other", is_gone, &json!(null))
    }),
    ("an object whose owner never was goes as well, one without owners stays", |api| {
        let mut stranger = owner(api, "one")?;
        stranger["uid"] = json!("00000000-0000-4000-8000-000000000000");
        stranger["name"] = json!("never");
        let owned = with(secret("a", json!({})), "ownerReferences", json!([stranger]));
        api.post(&api.core("secrets"), &secret("b", json!({})))?.expect(201)?;
        api.post(&api.core("secrets"), &owned)?.expect(201)?;
        let path = |name: &str| format!("{}/{name}", api.core("secrets"));
        let is_gone = api.eventually(|| Ok(api.get(&path("a"))?.code == 404))?;
        holds("it goes", is_gone, &json!(null))?;
        same("the other", api.get(&path("b"))?.code, 200)
    }),
    ("an object with an owner of an unknown kind stays", |api| {
        let owned = with(secret("a", json!({})), "ownerReferences", json!([unknown_owner("1")]));
        let mut stranger = owner(api, "one")?;
        stranger["uid"] = json!("00000000-0000-4000-8000-000000000001");
        let orphan = with(secret("b", json!({})), "ownerReferences", json!([stranger]));
        let path = |name: &str| format!("{}/{name}", api.core("secrets"));
        api.post(&api.core("secrets"), &owned)?.expect(201)?;
        api.post(&api.core("secrets"), &orphan)?.expect(201)?;
        let is_gone = api.eventually(|| Ok(api.get(&path("b"))?.code == 404))?;
        holds("the collector has been there", is_gone, &json!(null))?;
        same("what stays", api.get(&path("a"))?.code, 200)
    }),
];

/// A pod on no node, which goes at once when told, and the reference to it.
fn owner(api: &Api, name: &str) -> Result<Value, String> {
    let made = api.post(&api.core("pods"), &pod(name, ""))?.expect(201)?;
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": made["metadata"]["uid"]}))
}

fn remove(api: &Api, name: &str) -> Result<(), String> {
    api.delete(&format!("{}/{name}", api.core("pods")))?.expect(200).map(drop)
}
