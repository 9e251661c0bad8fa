//! Labels and annotations that the operator asks for, among those of others.

use serde_json::{Map, Value};

/// `live` with the labels and annotations of `desired`; none where it has them already.
pub(super) fn merged(desired: &Value, live: &Value) -> Option<Value> {
    let mut object = live.clone();
    let mut is_changed = false;
    for kind in ["labels", "annotations"] {
        let Some(wanted) = desired.get("metadata").and_then(|metadata| metadata.get(kind)) else { continue };
        for (name, value) in wanted.as_object().into_iter().flatten() {
            is_changed |= match name.strip_suffix('-') {
                Some(name) => entries(&mut object, kind).is_some_and(|all| all.remove(name).is_some()),
                None => put(&mut object, kind, name, value),
            };
        }
    }
    is_changed.then_some(object)
}

/// Takes out what stands for a removal, as there is nothing to remove on a new object.
pub(super) fn strip_removals(object: &mut Value) {
    for kind in ["labels", "annotations"] {
        if let Some(all) = entries(object, kind) {
            all.retain(|name, _| !name.ends_with('-'));
        }
    }
}

/// True when that changed something.
fn put(object: &mut Value, kind: &str, name: &str, value: &Value) -> bool {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let all = metadata.entry(kind).or_insert_with(|| Value::Object(Map::new()));
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    let before = all.as_object_mut().and_then(|all| all.insert(name.to_owned(), value.clone()));
    before.as_ref() != Some(value)
}

fn entries<'a>(object: &'a mut Value, kind: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut("metadata")?.get_mut(kind)?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_names_that_are_asked_for_are_looked_at() {
        let with = |labels: Value, annotations: Value| json!({"metadata": {"labels": labels, "annotations": annotations}});
        let wanted = with(json!({"a": "1"}), json!({"b": "2", "gone-": ""}));
        let rows = [
            ("as it should be", with(json!({"a": "1", "x": "y"}), json!({"b": "2"})), None),
            (
                "another value",
                with(json!({"a": "0", "x": "y"}), json!({"b": "2"})),
                Some(with(json!({"a": "1", "x": "y"}), json!({"b": "2"}))),
            ),
            (
                "missing, and one too many",
                with(json!({}), json!({"gone": "z", "x": "y"})),
                Some(with(json!({"a": "1"}), json!({"b": "2", "x": "y"}))),
            ),
            ("null", json!({"metadata": {"labels": null}}), Some(with(json!({"a": "1"}), json!({"b": "2"})))),
            ("none at all", json!({"metadata": {}}), Some(with(json!({"a": "1"}), json!({"b": "2"})))),
        ];
        for (name, live, expected) in rows {
            assert_eq!(merged(&wanted, &live), expected, "{name}");
        }
    }
}
