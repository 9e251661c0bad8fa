//! What an Accept header asks for: whole objects or their metadata alone.

use serde_json::{Value, json};

use super::status::{self, Answer};

/// The form of objects in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As stored.
    Full,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Form {
    /// The first form of an Accept header that the server writes; `is_list` is what the answer will be.
    pub fn negotiated(accept: &str, is_list: bool) -> Result<Form, Answer> {
        if accept.trim().is_empty() {
            return Ok(Form::Full);
        }
        for clause in accept.split(',') {
            let mut parts = clause.split(';').map(str::trim);
            if !matches!(parts.next(), Some("application/json" | "application/*" | "*/*")) {
                continue;
            }
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter =
                |name: &str| parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
            let is_known = parameter("g") == "meta.k8s.io" && matches!(parameter("v"), "v1" | "v1beta1");
            match parameter("as") {
                "" => return Ok(Form::Full),
                "PartialObjectMetadata" if is_known && !is_list => return Ok(Form::Metadata),
                "PartialObjectMetadataList" if is_known && is_list => return Ok(Form::Metadata),
                form @ ("PartialObjectMetadata" | "PartialObjectMetadataList") if is_known => {
                    let found = if is_list { "is a list" } else { "is not a list" };
                    let message = format!("you requested {form}, but the requested object {found}");
                    return Err(status::not_acceptable(&message));
                }
                _ => {}
            }
        }
        Err(status::not_acceptable(
            "only the following media types are accepted: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ))
    }

    /// An object in this form.
    pub fn object(self, object: &Value) -> Value {
        match self {
            Form::Full => object.clone(),
            Form::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
        }
    }
}
