//! Watches.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lists::METADATA;
use super::{Api, Case, class, holds, pod, same, secret, version, with};

pub const CASES: &[Case] = &[
    ("a watch tells what happened since its version", |api| {
        let from = now(api)?;
        let path = format!("{}/a", api.core("secrets"));
        let made = api.post(&api.core("secrets"), &secret("a", json!({"k": "1"})))?.expect(201)?;
        let changed = api.patch(&path, &json!({"data": {"k": "Mg=="}}))?.expect(200)?;
        // Neither is an event.
        api.patch(&path, &json!({"data": {"k": "Mg=="}}))?.expect(200)?;
        api.put(&path, &changed)?.expect(200)?;
        api.delete(&path)?.expect(200)?;
        let events = rest(api, "secrets", &from, "", &[])?;
        same("kinds", kinds(&events), vec!["ADDED", "MODIFIED", "DELETED"])?;
        same("added", &events[0]["object"], &made)?;
        same("modified", &events[1]["object"], &changed)?;
        let deleted = &events[2]["object"];
        same("deleted", &deleted["data"], &changed["data"])?;
        let number = |object: &Value| version(object).parse::<u64>().unwrap_or(0);
        holds("at a later version", number(deleted) > number(&changed), deleted)
    }),
    ("a watch tells what happens while it waits", |api| {
        let from = now(api)?;
        let query = format!("watch=1&timeoutSeconds=60&resourceVersion={from}");
        let mut watch = api.watch(&format!("{}?{query}", api.core("secrets")), &[])?;
        for name in ["a", "b"] {
            let made = api.post(&api.core("secrets"), &secret(name, json!({})))?.expect(201)?;
            let event = watch.event()?.unwrap_or_default();
            same("event", event, json!({"type": "ADDED", "object": made}))?;
        }
        Ok(())
    }),
    ("an object that begins to be selected is added, one that ceases is deleted", |api| {
        let from = now(api)?;
        let path = format!("{}/a", api.core("secrets"));
        let label = |labels: Value| api.patch(&path, &json!({"metadata": {"labels": labels}}))?.expect(200);
        let object = with(secret("a", json!({})), "labels", json!({"app": "other"}));
        api.post(&api.core("secrets"), &object)?.expect(201)?;
        let added = label(json!({"app": "x"}))?;
        let modified = label(json!({"more": "1"}))?;
        let ceased = label(json!({"app": null}))?;
        label(json!({"more": "2"}))?;
        label(json!({"app": "x"}))?;
        api.delete(&path)?.expect(200)?;
        let events = rest(api, "secrets", &from, "&labelSelector=app%3Dx", &[])?;
        let expected = vec!["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"];
        same("kinds", kinds(&events), expected)?;
        same("added", &events[0]["object"], &added)?;
        same("modified", &events[1]["object"], &modified)?;
        let deleted = &events[2]["object"]["metadata"];
        same("as last selected", &deleted["labels"], &json!({"app": "x", "more": "1"}))?;
        same("when it ceased", &deleted["resourceVersion"], &json!(version(&ceased)))
    }),
    ("a watch by field does the same", |api| {
        let pods = api.core("pods");
        let from = version(&api.get(&pods)?.expect(200)?);
        api.post(&pods, &pod("a", "n1"))?.expect(201)?;
        api.post(&pods, &pod("b", "n2"))?.expect(201)?;
        let done = json!({"status": {"phase": "Succeeded"}});
        api.patch(&format!("{pods}/a/status"), &done)?.expect(200)?;
        let fields = "&fieldSelector=spec.nodeName%3Dn1,status.phase!%3DSucceeded";
        let events = rest(api, "pods", &from, fields, &[])?;
        same("kinds", kinds(&events), vec!["ADDED", "DELETED"])?;
        same("name", &events[1]["object"]["metadata"]["name"], &json!("a"))
    }),
    ("a watch without a version begins with what is there", |api| {
        for name in ["a", "b"] {
            api.post(&api.core("secrets"), &secret(name, json!({})))?.expect(201)?;
        }
        for query in ["", "&resourceVersion=0"] {
            let target = format!("{}?watch=1&timeoutSeconds=2{query}", api.core("secrets"));
            let events = api.watch(&target, &[])?.rest()?;
            let mut names: Vec<_> = events.iter().map(|event| &event["object"]["metadata"]["name"]).collect();
            names.sort_by_key(|name| name.to_string());
            same("kinds", kinds(&events), vec!["ADDED", "ADDED"])?;
            same("names", names, vec![&json!("a"), &json!("b")])?;
        }
        Ok(())
    }),
    ("a watch of metadata has nothing else", |api| {
        let from = now(api)?;
        let made = api.post(&api.core("secrets"), &secret("a", json!({"k": "v"})))?.expect(201)?;
        for accept in [METADATA.to_owned(), format!("{METADATA},application/json")] {
            let events = rest(api, "secrets", &from, "", &[("Accept", &accept)])?;
            let object = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"],
            });
            same("events", events, vec![json!({"type": "ADDED", "object": object})])?;
        }
        Ok(())
    }),
    ("a watch of custom objects tells of them", |api| {
        let classes = api.custom("secretproviderclasses");
        let from = version(&api.get(&classes)?.expect(200)?);
        let made = api.post(&classes, &class("a", "p"))?.expect(201)?;
        let target = format!("{classes}?watch=true&timeoutSeconds=2&resourceVersion={from}");
        let events = api.watch(&target, &[])?.rest()?;
        same("events", events, vec![json!({"type": "ADDED", "object": made})])
    }),
    ("a watch of all namespaces tells of each", |api| {
        let from = now(api)?;
        let made = api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let fields = format!("fieldSelector=metadata.namespace%3D{}", api.namespace());
        let query = format!("watch=1&timeoutSeconds=2&resourceVersion={from}&{fields}");
        let events = api.watch(&format!("/api/v1/secrets?{query}"), &[])?.rest()?;
        same("events", events, vec![json!({"type": "ADDED", "object": made})])
    }),
    ("a watch ends when its time is up", |api| {
        let from = now(api)?;
        let start = Instant::now();
        let events = rest(api, "secrets", &from, "", &[])?;
        same("events", events, vec![])?;
        let lasted = start.elapsed();
        let is_so = lasted >= Duration::from_millis(1500) && lasted < Duration::from_secs(20);
        holds("two seconds", is_so, &json!(format!("{lasted:?}")))
    }),
    ("a watch from a version that is forgotten is told so by an event, and ends", |api| {
        let classes = api.custom("secretproviderclasses");
        // Of a resource that came into being later than this version, nobody remembers it.
        let target = format!("{classes}?watch=1&timeoutSeconds=30&resourceVersion=1");
        let events = api.watch(&target, &[])?.rest()?;
        same("kinds", kinds(&events), vec!["ERROR"])?;
        let mut status = events[0]["object"].clone();
        let message = status["message"].take();
        let is_so = message.as_str().is_some_and(|text| text.starts_with("too old resource version: 1 ("));
        holds("the message", is_so, &message)?;
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": null,
            "reason": "Expired", "code": 410,
        });
        same("status", status, expected)
    }),
    ("a watch from a version that is no number is the server's failure", |api| {
        let why = "strconv.ParseUint: parsing \"abc\": invalid syntax";
        let message = format!("resourceVersion: Invalid value: \"abc\": {why}");
        let target = format!("{}?watch=1&resourceVersion=abc", api.core("secrets"));
        api.get(&target)?.fails(500, "", &message).map(drop)
    }),
    ("a watch of an unknown resource is refused as a list is", |api| {
        let reply = api.get(&format!("{}?watch=1", api.custom("things")))?;
        same("custom", (reply.code, reply.text.as_str()), (404, "404 page not found\n"))?;
        let message = "the server could not find the requested resource";
        let target = format!("{}?watch=1", api.core("things"));
        api.get(&target)?.fails(404, "NotFound", message).map(drop)
    }),
];

/// The version of the namespace's Secrets.
fn now(api: &Api) -> Result<String, String> {
    Ok(version(&api.get(&api.core("secrets"))?.expect(200)?))
}

/// What a watch of two seconds tells.
fn rest(
    api: &Api,
    plural: &str,
    from: &str,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<Vec<Value>, String> {
    let target = format!("{}?watch=1&timeoutSeconds=2&resourceVersion={from}{query}", api.core(plural));
    api.watch(&target, headers)?.rest()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap_or("")).collect()
}
