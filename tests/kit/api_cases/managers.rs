//! `metadata.managedFields`: who is said to have set what.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::metadata::owner;
use super::{Api, Case, class, holds, same, secret, version, with};

pub const CASES: &[Case] = &[
    ("a creator manages what it set", |api| {
        let mut object = with(secret("a", json!({"x": "1", "y": "1"})), "labels", json!({"l": "1"}));
        object["metadata"]["annotations"] = json!({"n": "1"});
        object["metadata"]["ownerReferences"] = json!([owner("z")]);
        object["metadata"]["finalizers"] = json!(["example.com/held"]);
        let made = post_as(api, "one", &object)?;
        let fields = json!({
            "f:data": {".": {}, "f:x": {}, "f:y": {}},
            "f:metadata": {
                "f:annotations": {".": {}, "f:n": {}},
                "f:finalizers": {".": {}, "v:\"example.com/held\"": {}},
                "f:labels": {".": {}, "f:l": {}},
                "f:ownerReferences": {".": {}, "k:{\"uid\":\"z\"}": {}},
            },
            "f:type": {},
        });
        let entry = json!({
            "manager": "one", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": fields, "time": made["metadata"]["creationTimestamp"],
        });
        same("entries", &made["metadata"]["managedFields"], &json!([entry]))
    }),
    ("a changed key moves to who changed it, and no other", |api| {
        post_as(api, "one", &secret("a", json!({"x": "1", "y": "1"})))?;
        let patched = api.patch_as("two", &path(api), &json!({"data": {"x": "Mg=="}}))?.expect(200)?;
        let one = json!({"f:data": {".": {}, "f:y": {}}, "f:type": {}});
        managed(&patched, &[("one", one), ("two", json!({"f:data": {"f:x": {}}}))])
    }),
    ("who sets what is set already manages nothing", |api| {
        let made = post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        let again = put_as(api, "two", &secret("a", json!({"x": "1"})))?;
        same("object", again, made)
    }),
    ("a replaced Secret leaves its former manager the frame alone", |api| {
        post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        let replaced = put_as(api, "two", &secret("a", json!({"y": "1"})))?;
        let one = json!({"f:data": {}, "f:type": {}});
        managed(&replaced, &[("one", one), ("two", json!({"f:data": {"f:y": {}}}))])
    }),
    ("a manager of nothing is no longer named", |api| {
        post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        api.patch_as("two", &path(api), &json!({"data": {"y": "MQ=="}}))?.expect(200)?;
        let removed = api.patch_as("three", &path(api), &json!({"data": {"y": null}}))?.expect(200)?;
        let one = json!({"f:data": {".": {}, "f:x": {}}, "f:type": {}});
        managed(&removed, &[("one", one)])
    }),
    ("labels, annotations and owners move in the same way", |api| {
        let object = with(secret("a", json!({})), "ownerReferences", json!([owner("1")]));
        post_as(api, "one", &with(object, "labels", json!({"x": "1", "y": "1"})))?;
        let patch = json!({"metadata": {
            "labels": {"x": "2"}, "annotations": {"n": "1"}, "ownerReferences": [owner("1"), owner("2")],
        }});
        let patched = api.patch_as("two", &path(api), &patch)?.expect(200)?;
        let one = json!({
            "f:metadata": {
                "f:labels": {".": {}, "f:y": {}},
                "f:ownerReferences": {".": {}, "k:{\"uid\":\"1\"}": {}},
            },
            "f:type": {},
        });
        let two = json!({"f:metadata": {
            "f:annotations": {".": {}, "f:n": {}},
            "f:labels": {"f:x": {}},
            "f:ownerReferences": {"k:{\"uid\":\"2\"}": {}},
        }});
        managed(&patched, &[("one", one), ("two", two)])
    }),
    ("a time moves when its manager takes a field, not when it loses one", |api| {
        let made = post_as(api, "one", &secret("a", json!({"x": "1", "y": "1"})))?;
        let first = time_of(&made, "one");
        // Times have whole seconds.
        sleep(Duration::from_millis(1100));
        let lost = api.patch_as("two", &path(api), &json!({"data": {"x": "Mg=="}}))?.expect(200)?;
        same("after a loss", time_of(&lost, "one"), first.clone())?;
        holds("another time", time_of(&lost, "two") > first, &lost)?;
        let removed = api.patch_as("one", &path(api), &json!({"data": {"x": null}}))?.expect(200)?;
        same("after a removal", time_of(&removed, "one"), first.clone())?;
        let changed = api.patch_as("one", &path(api), &json!({"data": {"y": "Mg=="}}))?.expect(200)?;
        holds("a later time", time_of(&changed, "one") > first, &changed)
    }),
    ("a manager may be named in the query", |api| {
        post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        let target = format!("{}?fieldManager=named", path(api));
        let patched = api.patch_as("two", &target, &json!({"data": {"y": "MQ=="}}))?.expect(200)?;
        let one = json!({"f:data": {".": {}, "f:x": {}}, "f:type": {}});
        managed(&patched, &[("one", one), ("named", json!({"f:data": {"f:y": {}}}))])
    }),
    ("a program without a name is unknown", |api| {
        let body = secret("a", json!({})).to_string();
        let made = api.ask("POST", &api.core("secrets"), &[("User-Agent", "")], &body)?.expect(201)?;
        managed(&made, &[("unknown", json!({"f:type": {}}))])
    }),
    ("a custom object's fields are managed one by one, its lists as a whole", |api| {
        let mut object = class("a", "p");
        object["spec"]["secretObjects"] = json!([{"secretName": "s"}]);
        let body = object.to_string();
        let headers = [("User-Agent", "one/v1")];
        api.ask("POST", &api.custom("secretproviderclasses"), &headers, &body)?.expect(201)?;
        let path = format!("{}/a", api.custom("secretproviderclasses"));
        let patch = json!({"spec": {"secretObjects": [{"secretName": "t"}], "parameters": {"c": "d"}}});
        let patched = api.patch_as("two", &path, &patch)?.expect(200)?;
        let one = json!({"f:spec": {".": {}, "f:parameters": {".": {}, "f:a": {}}, "f:provider": {}}});
        let two = json!({"f:spec": {"f:parameters": {"f:c": {}}, "f:secretObjects": {}}});
        managed(&patched, &[("one", one), ("two", two)])
    }),
    ("an object sent back as it came keeps its managers", |api| {
        let made = post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        let mut changed = made.clone();
        changed["data"]["y"] = json!("MQ==");
        let changed = put_as(api, "two", &changed)?;
        let one = json!({"f:data": {".": {}, "f:x": {}}, "f:type": {}});
        managed(&changed, &[("one", one), ("two", json!({"f:data": {"f:y": {}}}))])
    }),
    ("managers that are reset do not come back", |api| {
        post_as(api, "one", &secret("a", json!({"x": "1"})))?;
        let reset = with(secret("a", json!({"x": "1"})), "managedFields", json!([{}]));
        let reset = put_as(api, "two", &reset)?;
        managed(&reset, &[])?;
        let changed = api.patch_as("two", &path(api), &json!({"data": {"x": "Mg=="}}))?.expect(200)?;
        holds("another version", version(&changed) != version(&reset), &changed)?;
        managed(&changed, &[])
    }),
];

fn path(api: &Api) -> String {
    format!("{}/a", api.core("secrets"))
}

fn post_as(api: &Api, program: &str, object: &Value) -> Result<Value, String> {
    let agent = format!("{program}/v1 (linux/amd64)");
    api.ask("POST", &api.core("secrets"), &[("User-Agent", &agent)], &object.to_string())?.expect(201)
}

fn put_as(api: &Api, program: &str, object: &Value) -> Result<Value, String> {
    let agent = format!("{program}/v1 (linux/amd64)");
    api.ask("PUT", &path(api), &[("User-Agent", &agent)], &object.to_string())?.expect(200)
}

/// An error unless exactly these manage, whatever their order, exactly these fields.
fn managed(object: &Value, expected: &[(&str, Value)]) -> Result<(), String> {
    let entries = object["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<(&str, Value)> = entries
        .iter()
        .map(|entry| (entry["manager"].as_str().unwrap_or(""), entry["fieldsV1"].clone()))
        .collect();
    let mut expected = expected.to_vec();
    found.sort_by_key(|(manager, _)| *manager);
    expected.sort_by_key(|(manager, _)| *manager);
    same("managers", found, expected)
}

fn time_of(object: &Value, manager: &str) -> String {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut entries = entries.filter(|entry| entry["manager"] == manager);
    entries.next().and_then(|entry| entry["time"].as_str()).unwrap_or("").to_owned()
}
