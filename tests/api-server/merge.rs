//! JSON merge patch.

use serde_json::{Value, json};

/// RFC 7396: objects are merged, null removes, anything else replaces.
pub fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(into.as_object_mut().and_then(|into| into.remove(key))),
            value => merge(&mut into[key], value),
        }
    }
}
