//! SecretProviderClass: which provider, and with what parameters.
//!
//! It is read by hand rather than derived, because its text comes from users: a wrong shape must be answered
//! with the field's name and what is expected there, and never with a value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::watched::{ObjectKey, Watched};
use crate::kube::resource::{CLASSES, Resource};
use crate::kube::text::printable;
use crate::kube::transport::Form;

/// A SecretProviderClass, as far as the driver reads it. It is never written back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretProviderClass {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity given by the server.
    pub uid: String,
    /// Version of this content.
    pub resource_version: String,
    /// Counts changes of the specification; zero when the server did not say.
    pub generation: i64,
    /// Name of the provider; empty when the class names none.
    pub provider: String,
    /// Parameters for the provider; empty when the class has none.
    pub parameters: BTreeMap<String, String>,
    /// The `secretObjects` field as it stands; `Null` when absent.
    pub secret_objects: Value,
}

/// A field does not have the type that the API prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// Path of the field, printable and bounded.
    pub field: String,
    /// What should have been there.
    pub expected: &'static str,
}

impl SecretProviderClass {
    /// Takes the class from its JSON form. Absent fields and `null` are the empty value.
    ///
    /// # Errors
    /// [`ShapeError`] naming the first field of a wrong type.
    pub fn from_json(object: Value) -> Result<SecretProviderClass, ShapeError> {
        let Value::Object(mut object) = object else {
            return Err(wrong("the object", "an object"));
        };
        let mut metadata = take_object(&mut object, "", "metadata")?;
        let mut spec = take_object(&mut object, "", "spec")?;
        let mut parameters = BTreeMap::new();
        for (key, value) in take_object(&mut spec, "spec.", "parameters")? {
            let text = text_of(value).ok_or_else(|| wrong(&format!("spec.parameters[{key}]"), "a string"))?;
            parameters.insert(key, text);
        }
        Ok(SecretProviderClass {
            key: ObjectKey {
                namespace: take_text(&mut metadata, "metadata.", "namespace")?,
                name: take_text(&mut metadata, "metadata.", "name")?,
            },
            uid: take_text(&mut metadata, "metadata.", "uid")?,
            resource_version: take_text(&mut metadata, "metadata.", "resourceVersion")?,
            generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or_default(),
            provider: take_text(&mut spec, "spec.", "provider")?,
            parameters,
            secret_objects: spec.remove("secretObjects").unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for SecretProviderClass {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretProviderClass, D::Error> {
        SecretProviderClass::from_json(Value::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Watched for SecretProviderClass {
    const RESOURCE: &'static Resource = &CLASSES;
    const FORM: Form = Form::Whole;
    const PAGE: u32 = 100;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.resource_version
    }
}

fn take_object(
    from: &mut Map<String, Value>,
    place: &str,
    field: &str,
) -> Result<Map<String, Value>, ShapeError> {
    match from.remove(field) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(wrong(&format!("{place}{field}"), "an object")),
    }
}

fn take_text(from: &mut Map<String, Value>, place: &str, field: &str) -> Result<String, ShapeError> {
    let value = from.remove(field).unwrap_or_default();
    text_of(value).ok_or_else(|| wrong(&format!("{place}{field}"), "a string"))
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn wrong(field: &str, expected: &'static str) -> ShapeError {
    ShapeError { field: printable(field, LONGEST_FIELD_BYTES), expected }
}

/// Keys of parameters are users' text without a limit of their own.
const LONGEST_FIELD_BYTES: usize = 200;

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", self.field, self.expected)
    }
}

impl std::error::Error for ShapeError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_class_is_read() {
        let objects = json!([{"secretName": "s", "unknown": [1, null]}]);
        let class = SecretProviderClass::from_json(json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {
                "name": "db", "namespace": "team", "uid": "u", "resourceVersion": "7", "generation": 3,
            },
            "spec": {"provider": "vault", "parameters": {"role": "r", "empty": ""}, "secretObjects": objects},
        }))
        .unwrap();
        assert_eq!((class.key.to_string(), class.uid.as_str()), ("team/db".to_owned(), "u"));
        assert_eq!((class.resource_version.as_str(), class.generation), ("7", 3));
        assert_eq!(class.provider, "vault");
        assert_eq!(
            class.parameters,
            BTreeMap::from([("role".into(), "r".into()), ("empty".into(), "".into())])
        );
        assert_eq!(class.secret_objects, objects);
    }

    #[test]
    fn what_is_absent_or_null_is_empty() {
        for (name, object) in [
            ("nothing at all", json!({})),
            ("null spec", json!({"metadata": null, "spec": null})),
            ("null fields", json!({"spec": {"provider": null, "parameters": null, "secretObjects": null}})),
        ] {
            assert_eq!(
                SecretProviderClass::from_json(object).unwrap(),
                SecretProviderClass::default(),
                "{name}"
            );
        }
        let class = SecretProviderClass::from_json(json!({"spec": {"parameters": {"a": null}}})).unwrap();
        assert_eq!(class.parameters, BTreeMap::from([("a".into(), String::new())]));
    }

    #[test]
    fn a_wrong_shape_is_told_by_field_and_never_by_value() {
        let table = [
            ("not an object", json!(["hunter2"]), "the object is not an object"),
            ("metadata", json!({"metadata": "hunter2"}), "metadata is not an object"),
            ("spec", json!({"spec": ["hunter2"]}), "spec is not an object"),
            ("provider", json!({"spec": {"provider": {"hunter2": 1}}}), "spec.provider is not a string"),
            ("parameters", json!({"spec": {"parameters": "hunter2"}}), "spec.parameters is not an object"),
            (
                "number",
                json!({"spec": {"parameters": {"port": 443}}}),
                "spec.parameters[port] is not a string",
            ),
            (
                "list",
                json!({"spec": {"parameters": {"k": ["hunter2"]}}}),
                "spec.parameters[k] is not a string",
            ),
        ];
        for (name, object, text) in table {
            assert_eq!(SecretProviderClass::from_json(object).unwrap_err().to_string(), text, "{name}");
        }
    }

    #[test]
    fn a_hostile_key_is_shown_printable_and_short() {
        let mut parameters = Map::new();
        parameters.insert("\n".repeat(9_999), json!(1));
        let error = SecretProviderClass::from_json(json!({"spec": {"parameters": parameters}})).unwrap_err();
        assert!(error.to_string().len() < 300 && !error.to_string().contains('\n'));
    }
}
