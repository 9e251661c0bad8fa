//! Server-side apply, as far as it goes for the status of an object: lists of conditions and generations are merged by
//! the keys of their entries, and an entry that its manager leaves out goes.

use serde_json::{Value, json};

use super::request::{Key, Place, Request};
use super::status::{self, Answer};
use super::store::Store;

/// Answers PATCH of a status.
pub fn status(store: &mut Store, place: &Place, key: Key, request: &Request) -> Answer {
    let Ok(patch) = serde_json::from_slice::<Value>(&request.body) else {
        return status::bad_request("error decoding YAML: it is not JSON either");
    };
    let manager = request.parameter("fieldManager");
    if manager.is_empty() {
        return status::bad_request("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value");
    }
    if patch["apiVersion"] != place.api_version() || patch["metadata"]["name"] != place.name {
        return status::bad_request("the object in the patch is not the one on the URL");
    }
    let Some(stored) = store.get(&key).cloned() else {
        return place.about().not_found();
    };
    let version = &patch["metadata"]["resourceVersion"];
    if version.as_str().is_some_and(|version| stored["metadata"]["resourceVersion"] != version) {
        return place.about().conflict();
    }
    let applied = patch["status"].clone();
    let before = store.note_applied(&key, &manager, applied.clone()).unwrap_or_default();
    let mut object = stored;
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    for (list, keys) in LISTS {
        let Some(entries) = applied[list].as_array() else { continue };
        let is_one = |one: &Value, other: &Value| keys.iter().all(|key| one[*key] == other[*key]);
        let mut merged = object["status"][list].as_array().cloned().unwrap_or_default();
        let earlier = before[list].as_array().cloned().unwrap_or_default();
        let entries = entries.iter().map(|entry| {
            let stored = merged.iter().find(|stored| is_one(stored, entry));
            with_fields_of_others(entry, stored, earlier.iter().find(|earlier| is_one(earlier, entry)))
        });
        let entries: Vec<_> = entries.collect();
        merged.retain(|entry| !earlier.iter().any(|earlier| is_one(earlier, entry)));
        merged.retain(|entry| !entries.iter().any(|new| is_one(new, entry)));
        merged.extend(entries);
        object["status"][list] = json!(merged);
    }
    match store.replace(key, object, &manager) {
        Some(stored) => Answer::json(200, &stored),
        None => place.about().not_found(),
    }
}

/// The entry as it is applied, and what it says nothing about and its manager never said either: that is others'.
fn with_fields_of_others(applied: &Value, stored: Option<&Value>, earlier: Option<&Value>) -> Value {
    let mut entry = applied.clone();
    for (field, value) in stored.and_then(Value::as_object).into_iter().flatten() {
        if entry.get(field).is_none() && earlier.and_then(|earlier| earlier.get(field)).is_none() {
            entry[field] = value.clone();
        }
    }
    entry
}

/// The content type of a patch that is applied.
pub const CONTENT_TYPE: &str = "application/apply-patch+yaml";
/// Lists whose entries have keys, with these.
const LISTS: [(&str, &[&str]); 2] =
    [("conditions", &["type"]), ("generations", &["group", "resource", "namespace", "name"])];
