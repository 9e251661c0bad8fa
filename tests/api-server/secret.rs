//! What the server knows of Secrets: how they are stored, and which it refuses.

use serde_json::{Map, Value, json};

use super::base64;
use super::metadata::{is_empty, quoted};
use super::status::Problem;

/// Brings a Secret into the form in which it is stored: a type, and everything in `data`. An error is what is
/// wrong with its notation.
pub fn prepare(secret: &mut Value) -> Result<(), String> {
    let mut data = Map::new();
    for (key, value) in secret["data"].as_object().into_iter().flatten() {
        let bytes = match value {
            Value::Null => Vec::new(),
            Value::String(text) => base64::decode(text)
                .map_err(|position| format!("illegal base64 data at input byte {position}"))?,
            other => return Err(unmarshal(other, "Secret.data of type []uint8")),
        };
        data.insert(key.clone(), json!(base64::encode(&bytes)));
    }
    for (key, value) in secret["stringData"].as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => "",
            Value::String(text) => text,
            other => return Err(unmarshal(other, "Secret.stringData of type string")),
        };
        data.insert(key.clone(), json!(base64::encode(text.as_bytes())));
    }
    let Some(fields) = secret.as_object_mut() else {
        return Ok(());
    };
    fields.remove("stringData");
    fields.insert("data".into(), Value::Object(data));
    fields.entry("type").or_insert(Value::Null);
    if fields.get("type").is_none_or(is_empty) {
        fields.insert("type".into(), json!("Opaque"));
    }
    fields.retain(|_, value| !is_empty(value));
    Ok(())
}

/// What is wrong with a prepared Secret that is to take the place of `stored`.
pub fn problems(secret: &Value, stored: Option<&Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kind = secret["type"].as_str().unwrap_or("");
    if let Some(stored) = stored {
        if stored["type"] != kind {
            problems.push(Problem::invalid("type", &quoted(kind), "field is immutable"));
        }
        if stored["immutable"] == true {
            for field in ["immutable", "data"] {
                if secret[field] != stored[field] {
                    problems.push(Problem::forbidden(field, "field is immutable when `immutable` is set"));
                }
            }
        }
    }
    let data = secret["data"].as_object();
    let mut total = 0;
    for (key, value) in data.into_iter().flatten() {
        key_problems(key, &mut problems);
        let text = value.as_str().unwrap_or("");
        let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
        total += text.len() / 4 * 3 - padding;
    }
    if total > LARGEST_SECRET {
        problems.push(Problem::too_long("data", LARGEST_SECRET));
    }
    type_problems(kind, secret, &mut problems);
    problems
}

fn type_problems(kind: &str, secret: &Value, problems: &mut Vec<Problem>) {
    let data = &secret["data"];
    let has = |key: &str| data.get(key).is_some();
    let mut require = |key: &str| problems.push(Problem::required(&format!("data[{key}]"), ""));
    match kind {
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| !has(key)) {
                require(key);
            }
        }
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            require("username");
            require("password");
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").is_none_or(is_empty) => {
            require("ssh-privatekey");
        }
        "kubernetes.io/dockerconfigjson" | "kubernetes.io/dockercfg" => {
            let key = if kind.ends_with("json") { ".dockerconfigjson" } else { ".dockercfg" };
            let Some(text) = data.get(key).and_then(Value::as_str) else {
                return require(key);
            };
            let bytes = base64::decode(text).unwrap_or_default();
            if let Some(why) = json_problem(&bytes) {
                let (field, shown) = (format!("data[{key}]"), "\"<secret contents redacted>\"");
                problems.push(Problem::invalid(&field, shown, &why));
            }
        }
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            if secret["metadata"]["annotations"].get(ACCOUNT).is_none_or(is_empty) {
                problems.push(Problem::required(&format!("metadata.annotations[{ACCOUNT}]"), ""));
            }
        }
        _ => {}
    }
}

fn key_problems(key: &str, problems: &mut Vec<Problem>) {
    let mut add = |why: &str| problems.push(Problem::invalid(&format!("data[{key}]"), &quoted(key), why));
    if key.len() > 253 {
        add("must be no more than 253 characters");
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(is_allowed) {
        add(KEY_RULE);
    }
    match key {
        "." => add("must not be '.'"),
        ".." => add("must not be '..'"),
        _ if key.starts_with("..") => add("must not start with '..'"),
        _ => {}
    }
}

/// Why bytes are no JSON object; the commonest of the original's reasons, and one for the rest.
fn json_problem(bytes: &[u8]) -> Option<String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_)) => None,
        Ok(other) => Some(unmarshal_into(&other, "Go value of type map[string]interface {}")),
        Err(error) if error.is_eof() => Some("unexpected end of JSON input".to_owned()),
        Err(_) if !matches!(first, Some(b'{' | b'[')) => {
            let first = char::from(first.copied().unwrap_or(b' '));
            Some(format!("invalid character '{first}' looking for beginning of value"))
        }
        Err(_) => Some("invalid character".to_owned()),
    }
}

fn unmarshal(value: &Value, field: &str) -> String {
    unmarshal_into(value, &format!("Go struct field {field}"))
}

/// How the server's decoder says that a value has the wrong type.
pub fn unmarshal_into(value: &Value, what: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into {what}")
}

const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
     (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
/// All values together, in bytes.
const LARGEST_SECRET: usize = 1024 * 1024;
