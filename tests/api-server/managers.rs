//! `metadata.managedFields`: which client last set which field.
//!
//! Fields that a write adds or changes go to its writer and leave everyone else; what is removed leaves all; who
//! has none left is no longer listed. A writer's time moves when it takes fields, not when it loses some. Lists
//! other than owners and finalizers are one field. An object without managers never gets any again, which is
//! also how a client turns this off: by writing `[{}]`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Steps from the object down, as the notation has them: `f:data`, `f:password`.
type Path = Vec<String>;

/// One entry: its fields, and everything else of it.
struct Manager {
    entry: Map<String, Value>,
    fields: BTreeSet<Path>,
}

/// Writes the managers into `object`, which is to take the place of `stored`.
pub fn track(stored: Option<&Value>, object: &mut Value, manager: &str, now: &str, is_custom: bool) {
    let old = stored.map(|stored| leaves(stored, is_custom)).unwrap_or_default();
    let new = leaves(object, is_custom);
    let sent = object["metadata"]["managedFields"].take();
    let kept = stored.map(|stored| stored["metadata"]["managedFields"].clone()).unwrap_or_default();
    let is_off = stored.is_some() && kept.as_array().is_none_or(Vec::is_empty);
    if is_off || sent == json!([{}]) {
        set(object, Vec::new());
        return;
    }
    let mut managers = managers(&sent);
    if managers.is_empty() {
        managers = self::managers(&kept);
    }
    let taken: BTreeSet<Path> = new
        .iter()
        .filter(|(path, value)| old.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    for manager in &mut managers {
        manager
            .fields
            .retain(|path| !taken.contains(path) && (new.contains_key(path) || !old.contains_key(path)));
    }
    if !taken.is_empty() {
        let own = json!({
            "manager": manager, "operation": "Update", "apiVersion": object["apiVersion"],
            "fieldsType": "FieldsV1",
        });
        let mut own = Manager { entry: own.as_object().cloned().unwrap_or_default(), fields: taken };
        let is_same =
            |other: &Manager| IDENTITY.iter().all(|name| other.entry.get(*name) == own.entry.get(*name));
        if let Some(position) = managers.iter().position(is_same) {
            own.fields.append(&mut managers.remove(position).fields);
        }
        own.entry.insert("time".into(), json!(now));
        managers.push(own);
    }
    managers.retain(|manager| !manager.fields.is_empty());
    let text =
        |manager: &Manager, name: &str| manager.entry.get(name).and_then(Value::as_str).map(str::to_owned);
    managers.sort_by_key(|one| ["operation", "time", "manager", "apiVersion"].map(|name| text(one, name)));
    let entries = managers.into_iter().map(|Manager { mut entry, fields }| {
        entry.insert("fieldsV1".into(), notation(&fields));
        Value::Object(entry)
    });
    set(object, entries.collect());
}

fn set(object: &mut Value, entries: Vec<Value>) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), Value::Array(entries));
    }
}

/// The entries of a list; none when one of them is not to be understood.
fn managers(list: &Value) -> Vec<Manager> {
    let manager = |entry: &Value| {
        let mut entry = entry.as_object()?.clone();
        let mut fields = BTreeSet::new();
        paths(&entry.remove("fieldsV1")?, &mut Vec::new(), &mut fields);
        entry.contains_key("manager").then_some(Manager { entry, fields })
    };
    list.as_array().into_iter().flatten().map(manager).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Every field of an object with its value; the fields that hold others have none.
fn leaves(object: &Value, is_custom: bool) -> BTreeMap<Path, Value> {
    let mut leaves = BTreeMap::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let path = vec![format!("f:{name}")];
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => metadata_leaves(value, &path, &mut leaves),
            _ => descend(value, path, is_custom || name == "data", &mut leaves),
        }
    }
    leaves
}

fn metadata_leaves(metadata: &Value, path: &Path, leaves: &mut BTreeMap<Path, Value>) {
    for (name, value) in metadata.as_object().into_iter().flatten() {
        let path = joined(path, format!("f:{name}"));
        match name.as_str() {
            "labels" | "annotations" => descend(value, path, true, leaves),
            "generateName" => drop(leaves.insert(path, value.clone())),
            "ownerReferences" | "finalizers" => {
                for item in value.as_array().into_iter().flatten() {
                    let step = match item {
                        Value::Object(owner) => format!("k:{}", json!({"uid": owner.get("uid")})),
                        item => format!("v:{item}"),
                    };
                    leaves.insert(joined(&path, step), item.clone());
                    leaves.insert(path.clone(), Value::Null);
                }
            }
            _ => {}
        }
    }
}

/// The fields below a value. Where maps have names of the user's choice they are fields themselves.
fn descend(value: &Value, path: Path, is_map: bool, leaves: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                descend(value, joined(&path, format!("f:{name}")), is_map, leaves);
            }
            if is_map {
                leaves.insert(path, Value::Null);
            }
        }
        value => drop(leaves.insert(path, value.clone())),
    }
}

fn joined(path: &Path, step: String) -> Path {
    path.iter().cloned().chain([step]).collect()
}

/// From the notation to paths.
fn paths(node: &Value, above: &mut Path, found: &mut BTreeSet<Path>) {
    let steps = node.as_object().into_iter().flatten();
    let mut is_field = true;
    for (step, below) in steps {
        is_field = false;
        if step == "." {
            found.insert(above.clone());
        } else {
            above.push(step.clone());
            paths(below, above, found);
            above.pop();
        }
    }
    if is_field && !above.is_empty() {
        found.insert(above.clone());
    }
}

/// From paths to the notation: a field that holds others of the same manager is their `.`.
fn notation(fields: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    // In this order a field comes before what it holds.
    for path in fields {
        let mut node = &mut root;
        for (depth, step) in path.iter().enumerate() {
            let is_owned = depth > 0 && fields.contains(&path[..depth]);
            if is_owned {
                node["."] = json!({});
            }
            if node[step].is_null() {
                node[step] = json!({});
            }
            node = &mut node[step];
        }
    }
    root
}

/// What tells one entry from another.
const IDENTITY: [&str; 4] = ["manager", "operation", "apiVersion", "subresource"];
