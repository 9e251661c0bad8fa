//! What a client may expect of a Kubernetes API server, as cases that run against any: the double, so that the
//! fast tests stand on firm ground, and a real kube-apiserver, so that the double cannot drift from it.
//!
//! A case is a sentence and a function. It works in a namespace of its own, with plain requests, and needs an
//! administrator's rights. Nothing here knows the double; what needs one of its switches is no case.

mod access;
mod api;
mod discovery;
mod garbage;
mod lists;
mod managers;
mod metadata;
mod objects;
mod patches;
mod secret_types;
mod secrets;
mod selectors;
mod watches;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

pub use api::Api;
use api::Reply;

/// A sentence about the server, and whether it is true.
type Case = (&'static str, fn(&Api) -> Result<(), String>);

/// Runs every case in a namespace of its own, named after that of `api`, and reports each, in order. Several run
/// at once, since most of their time is spent waiting for a watch to end.
pub fn run(api: &Api, mut report: impl FnMut(&str, Result<(), String>)) {
    let cases: Vec<&Case> = TABLES.iter().copied().flatten().collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Some((_, case)) = cases.get(number) else { return };
            let api = api.in_namespace(&format!("{}-{number}", api.namespace()));
            let result = prepare(&api).and_then(|()| case(&api));
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(number, result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            thread::Builder::new().name("api-case".to_owned()).spawn_scoped(scope, work).expect("a thread");
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (number, result) in results {
        report(cases[number].0, result);
    }
}

/// Makes the namespace, and the account without which a real server takes no pods.
fn prepare(api: &Api) -> Result<(), String> {
    let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", api.namespace());
    for (collection, name) in [("/api/v1/namespaces", api.namespace()), (&accounts, "default")] {
        let made = api.post(collection, &json!({"metadata": {"name": name}}))?;
        if made.code != 201 && made.code != 409 {
            return Err(format!("could not prepare {collection}/{name}: {} {}", made.code, made.body));
        }
    }
    Ok(())
}

/// An error unless what was found is what was expected.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

/// An error that says `what` unless it holds.
fn holds(what: &str, is_true: bool, found: &Value) -> Result<(), String> {
    if is_true { Ok(()) } else { Err(format!("not so: {what}: {found}")) }
}

impl Reply {
    /// An error unless the code is that one.
    fn expect(self, code: u16) -> Result<Value, String> {
        if self.code == code { Ok(self.body) } else { Err(format!("found {} {}", self.code, self.body)) }
    }

    /// An error unless this is a failure of that code, reason and text.
    fn fails(self, code: u16, reason: &str, message: &str) -> Result<Value, String> {
        same("code", self.code, code)?;
        let text = |field: &str| self.body[field].as_str().unwrap_or("").to_owned();
        same("kind", text("kind"), "Status".to_owned())?;
        same("status", text("status"), "Failure".to_owned())?;
        same("reason", text("reason"), reason.to_owned())?;
        same("message", text("message"), message.to_owned())?;
        same("code in the body", &self.body["code"], &json!(code))?;
        Ok(self.body)
    }
}

/// A Secret with those values, in plain text.
fn secret(name: &str, values: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})
}

/// A class of that provider.
fn class(name: &str, provider: &str) -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": name}, "spec": {"provider": provider, "parameters": {"a": "b"}},
    })
}

/// A pod on that node; on none if the name is empty.
fn pod(name: &str, node: &str) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "none"}]},
    });
    if !node.is_empty() {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

/// The object with further metadata.
fn with(mut object: Value, field: &str, value: Value) -> Value {
    object["metadata"][field] = value;
    object
}

/// Names of a list's items, in its order.
fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|item| item["metadata"]["name"].as_str().unwrap_or("").to_owned()).collect()
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or("").to_owned()
}

/// Every case, by theme.
const TABLES: [&[Case]; 12] = [
    objects::CASES,
    metadata::CASES,
    secrets::CASES,
    secret_types::CASES,
    patches::CASES,
    managers::CASES,
    selectors::CASES,
    lists::CASES,
    watches::CASES,
    access::CASES,
    discovery::CASES,
    garbage::CASES,
];
/// More would only make a small machine late.
const AT_ONCE: usize = 8;
