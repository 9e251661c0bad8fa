//! The rules for metadata, which hold for objects of every kind.

use serde_json::{Map, Value};

use super::status::Problem;

/// What is wrong with an object's metadata, in the order in which the server says it.
pub fn problems(object: &Value) -> Vec<Problem> {
    let metadata = &object["metadata"];
    let mut problems = Vec::new();
    name_problems(metadata["name"].as_str().unwrap_or(""), &mut problems);
    let entries = |field: &str| metadata[field].as_object().into_iter().flatten();
    for (key, value) in entries("labels") {
        key_problems("metadata.labels", key, &mut problems);
        value_problems(value.as_str().unwrap_or(""), &mut problems);
    }
    let mut total = 0;
    for (key, value) in entries("annotations") {
        key_problems("metadata.annotations", &key.to_lowercase(), &mut problems);
        total += key.len() + value.as_str().map_or(0, str::len);
    }
    if total > LARGEST_ANNOTATIONS {
        problems.push(Problem::too_long("metadata.annotations", LARGEST_ANNOTATIONS));
    }
    for (index, owner) in metadata["ownerReferences"].as_array().into_iter().flatten().enumerate() {
        owner_problems(index, owner, &mut problems);
    }
    problems
}

/// The object without what says nothing, and without repeated owners, as the server stores it.
pub fn tidy(metadata: &mut Map<String, Value>) {
    if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        let mut seen: Vec<Value> = Vec::new();
        owners.retain(|owner| {
            let is_new = !seen.contains(owner);
            seen.push(owner.clone());
            is_new
        });
    }
    metadata.retain(|_, value| !is_empty(value));
}

/// Whether a value is left out where it is optional.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn name_problems(name: &str, problems: &mut Vec<Problem>) {
    let mut add = |why: &str| problems.push(Problem::invalid("metadata.name", &quoted(name), why));
    if name.is_empty() {
        problems.push(Problem::required("metadata.name", "name or generateName is required"));
        return;
    }
    if name.len() > 253 {
        add("must be no more than 253 characters");
    }
    if !is_subdomain(name) {
        add(SUBDOMAIN_RULE);
    }
}

/// Keys of labels and annotations: a name with an optional domain before it.
fn key_problems(field: &str, key: &str, problems: &mut Vec<Problem>) {
    let mut add = |why: &str| problems.push(Problem::invalid(field, &quoted(key), why));
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                add("prefix part must be non-empty");
            } else if prefix.len() > 253 {
                add("prefix part must be no more than 253 bytes");
            } else if !is_subdomain(prefix) {
                add(&format!("prefix part {SUBDOMAIN_RULE}"));
            }
            *name
        }
        _ => {
            add(&format!(
                "a valid label key must {NAME_RULE} with an optional DNS subdomain prefix and '/' \
                 (e.g. 'example.com/MyName')"
            ));
            return;
        }
    };
    if name.is_empty() {
        add("name part must be non-empty");
    } else if name.len() > 63 {
        add("name part must be no more than 63 bytes");
    }
    if !is_qualified(name) {
        add(&format!("name part must {NAME_RULE}"));
    }
}

fn value_problems(value: &str, problems: &mut Vec<Problem>) {
    let mut add = |why: &str| problems.push(Problem::invalid("metadata.labels", &quoted(value), why));
    if value.len() > 63 {
        add("must be no more than 63 bytes");
    }
    if !value.is_empty() && !is_qualified(value) {
        add(VALUE_RULE);
    }
}

fn owner_problems(index: usize, owner: &Value, problems: &mut Vec<Problem>) {
    let place = format!("metadata.ownerReferences[{index}]");
    let text = |field: &str| owner[field].as_str().unwrap_or("");
    let version = text("apiVersion");
    if version.split('/').count() > 2 {
        let why = "version must not be empty";
        problems.push(Problem::invalid(&format!("{place}.apiVersion"), &quoted(version), why));
    }
    for field in ["apiVersion", "kind", "name", "uid"] {
        if text(field).is_empty() {
            problems.push(Problem::required(&format!("{place}.{field}"), "must not be empty"));
        }
    }
    if version == "v1" && text("kind") == "Event" {
        let why = "/v1, Kind=Event is disallowed from being an owner";
        problems.push(Problem::invalid(&place, &owner.to_string(), why));
    }
}

/// A text as JSON has it.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is_subdomain(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split('.').all(|label| {
        label.starts_with(is_edge)
            && label.ends_with(is_edge)
            && label.chars().all(|c| is_edge(c) || c == '-')
    })
}

/// The form of label values, and of the names in keys.
pub fn is_qualified(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.chars().all(|c| is_edge(c) || matches!(c, '-' | '_' | '.'))
}

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character \
     (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_RULE: &str = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// What a label's value must look like.
pub const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
     '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// Keys and values together, in bytes.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;
