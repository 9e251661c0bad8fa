//! The Secrets that a class asks for: its `secretObjects` field, checked.
//!
//! Each entry stands for itself, so one that is wrong does not keep the others from being mirrored. What no API
//! server would accept is refused here, with the place in the class: its own answer would name the Secret alone.
//!
//! Knows nothing of volumes or of the bytes in them. The class's author chose every text here; what is shown of it
//! is printable and bounded.

use std::collections::BTreeMap;
use std::fmt;

use base::text::printable;
use kube::types::{DataEntry, SecretEntry, SecretFields, SecretObjects, ShapeError, Shaped};

/// One Secret that a class asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretObject {
    /// Name of the Secret, in the pod's namespace.
    pub name: String,
    /// Type of the Secret, such as `Opaque` or `kubernetes.io/tls`.
    pub kind: String,
    /// Labels to put on it.
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on it.
    pub annotations: BTreeMap<String, String>,
    /// What it holds, in the class's order; never empty.
    pub data: Vec<DataItem>,
}

/// One key of a Secret, and the file that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataItem {
    /// Path of the file in the volume.
    pub object: String,
    /// Key in the Secret.
    pub key: String,
}

/// Reads a class's `secretObjects`: one result for each entry that is kept of it, in order. Absent is the same as empty.
pub fn parse(secret_objects: &SecretObjects) -> Vec<Result<SecretObject, SecretObjectError>> {
    match secret_objects {
        SecretObjects::List { entries, .. } => {
            entries.iter().enumerate().map(|(index, entry)| SecretObject::parse(index, entry)).collect()
        }
        SecretObjects::Wrong => {
            vec![Err(SecretObjectError { index: None, secret: None, fault: wrong("secretObjects", LIST) })]
        }
    }
}

impl SecretObject {
    fn parse(index: usize, entry: &SecretEntry) -> Result<SecretObject, SecretObjectError> {
        let secret = match entry {
            SecretEntry::Object(SecretFields { name: Shaped::Is(name), .. }) => name.trim(),
            _ => "",
        };
        SecretObject::read(entry).map_err(|fault| SecretObjectError {
            index: Some(index),
            secret: Some(secret)
                .filter(|name| !name.is_empty())
                .map(|name| printable(name, LONGEST_SHOWN_BYTES)),
            fault,
        })
    }

    fn read(entry: &SecretEntry) -> Result<SecretObject, SecretObjectFault> {
        let SecretEntry::Object(fields) = entry else { return Err(wrong("the entry", OBJECT)) };
        let name = shaped(&fields.name, "secretName", TEXT)?.trim();
        if name.is_empty() {
            return Err(SecretObjectFault::NoName);
        }
        if !is_object_name(name) {
            return Err(SecretObjectFault::BadName);
        }
        let kind = shaped(&fields.kind, "type", TEXT)?;
        if kind.is_empty() {
            return Err(SecretObjectFault::NoType);
        }
        let kind = Some(kind.trim()).filter(|kind| !kind.is_empty()).unwrap_or(OPAQUE);
        Ok(SecretObject {
            name: name.to_owned(),
            kind: kind.to_owned(),
            labels: texts(&fields.labels, "labels")?,
            annotations: texts(&fields.annotations, "annotations")?,
            data: data(&fields.data)?,
        })
    }
}

fn data(items: &Shaped<Vec<DataEntry>>) -> Result<Vec<DataItem>, SecretObjectFault> {
    let items = shaped(items, "data", LIST)?;
    if items.is_empty() {
        return Err(SecretObjectFault::NoData);
    }
    items.iter().enumerate().map(|(item, entry)| data_item(item, entry)).collect()
}

fn data_item(item: usize, entry: &DataEntry) -> Result<DataItem, SecretObjectFault> {
    let place = format!("data[{item}]");
    let DataEntry::Object { object, key } = entry else { return Err(wrong(&place, OBJECT)) };
    let object = shaped(object, &format!("{place}.objectName"), TEXT)?.trim();
    if object.is_empty() {
        return Err(SecretObjectFault::NoObject { item });
    }
    let key = shaped(key, &format!("{place}.key"), TEXT)?.trim();
    if key.is_empty() {
        return Err(SecretObjectFault::NoKey { item });
    }
    if !is_data_key(key) {
        return Err(SecretObjectFault::BadKey { item, key: printable(key, LONGEST_SHOWN_BYTES) });
    }
    Ok(DataItem { object: object.to_owned(), key: key.to_owned() })
}

/// A field of texts by name.
fn texts(
    from: &Shaped<BTreeMap<String, Shaped<String>>>,
    field: &str,
) -> Result<BTreeMap<String, String>, SecretObjectFault> {
    let text = |(key, value): (&String, &Shaped<String>)| {
        Ok((key.clone(), shaped(value, &format!("{field}[{key}]"), TEXT)?.clone()))
    };
    shaped(from, field, OBJECT)?.iter().map(text).collect()
}

/// What a field holds, if it is of the shape that the API prescribes and not too large.
fn shaped<'a, T>(
    value: &'a Shaped<T>,
    field: &str,
    expected: &'static str,
) -> Result<&'a T, SecretObjectFault> {
    let field = || printable(field, LONGEST_SHOWN_BYTES);
    match value {
        Shaped::Is(value) => Ok(value),
        Shaped::Wrong => Err(SecretObjectFault::Shape(ShapeError { field: field(), expected })),
        Shaped::TooMany(limit) => Err(SecretObjectFault::TooMany { field: field(), limit: *limit }),
        Shaped::TooLong(limit) => Err(SecretObjectFault::TooLong { field: field(), limit: *limit }),
    }
}

fn wrong(field: &str, expected: &'static str) -> SecretObjectFault {
    SecretObjectFault::Shape(ShapeError { field: printable(field, LONGEST_SHOWN_BYTES), expected })
}

/// What Kubernetes takes as the name of a Secret: lower-case labels joined by dots, each beginning and ending with
/// a letter or a digit.
fn is_object_name(name: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(is_letter)
            && bytes.last().is_some_and(is_letter)
            && bytes.iter().all(|byte| is_letter(byte) || *byte == b'-')
    };
    name.len() <= LONGEST_NAME_BYTES && name.split('.').all(is_label)
}

/// What Kubernetes takes as a key of a Secret: what can be the name of a file, and not one that kubelet keeps for
/// itself.
fn is_data_key(key: &str) -> bool {
    key.len() <= LONGEST_NAME_BYTES
        && key != "."
        && !key.starts_with("..")
        && !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// An entry of `secretObjects` that cannot become a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretObjectError {
    /// Position in the list, from zero; none when there is no list.
    pub index: Option<usize>,
    /// Name of the Secret where it is known, printable and bounded.
    pub secret: Option<String>,
    /// What is wrong.
    pub fault: SecretObjectFault,
}

/// What is wrong with an entry of `secretObjects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretObjectFault {
    /// No object can have the name.
    BadName,
    /// No Secret can have the key.
    BadKey {
        /// Position in `data`, from zero.
        item: usize,
        /// The key, printable and bounded.
        key: String,
    },
    /// `data` is absent or empty.
    NoData,
    /// `key` is absent or blank.
    NoKey {
        /// Position in `data`, from zero.
        item: usize,
    },
    /// `secretName` is absent or blank.
    NoName,
    /// `objectName` is absent or blank.
    NoObject {
        /// Position in `data`, from zero.
        item: usize,
    },
    /// `type` is absent or empty.
    NoType,
    /// A field is not of the type that the API prescribes.
    Shape(ShapeError),
    /// A text is longer than it may be in a class.
    TooLong {
        /// Where.
        field: String,
        /// The most bytes that there may be.
        limit: usize,
    },
    /// A list or a map has more entries than it may have in a class.
    TooMany {
        /// Where.
        field: String,
        /// The most entries that there may be.
        limit: usize,
    },
}

impl fmt::Display for SecretObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not read secretObjects")?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        if let Some(secret) = &self.secret {
            write!(f, " (secret \"{secret}\")")?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl fmt::Display for SecretObjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretObjectFault::BadName => f.write_str(
                "secret name is not one of lower-case letters, digits, '-' and '.', beginning and ending with a \
                 letter or a digit around each '.', 253 bytes at most",
            ),
            SecretObjectFault::BadKey { item, key } => write!(
                f,
                "data[{item}]: key \"{key}\" is not one of letters, digits, '-', '_' and '.', not beginning with \
                 '..', 253 bytes at most"
            ),
            SecretObjectFault::NoData => f.write_str("data is empty"),
            SecretObjectFault::NoKey { item } => {
                write!(f, "data[{item}]: key in secretObjects.data is empty")
            }
            SecretObjectFault::NoName => f.write_str("secret name is empty"),
            SecretObjectFault::NoObject { item } => {
                write!(f, "data[{item}]: object name in secretObjects.data is empty")
            }
            SecretObjectFault::NoType => f.write_str("secret type is empty"),
            SecretObjectFault::Shape(source) => source.fmt(f),
            SecretObjectFault::TooLong { field, limit } => {
                write!(f, "{field} is longer than {limit} bytes, the most that one may have in a class")
            }
            SecretObjectFault::TooMany { field, limit } => {
                write!(f, "{field} has more than {limit} entries, the most that it may have in a class")
            }
        }
    }
}

impl std::error::Error for SecretObjectError {}

/// The type of a Secret that is just bytes.
const OPAQUE: &str = "Opaque";
/// Longest name of an object and longest key that Kubernetes takes.
const LONGEST_NAME_BYTES: usize = 253;
/// Enough for every valid name; a class may hold texts of a megabyte.
const LONGEST_SHOWN_BYTES: usize = 253;
const LIST: &str = "a list";
const OBJECT: &str = "an object";
const TEXT: &str = "a string";

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(secret_objects: &Value) -> Vec<Result<SecretObject, SecretObjectError>> {
        parse(&serde_json::from_str(&secret_objects.to_string()).unwrap())
    }

    /// An entry that is fine, with `field` replaced.
    fn entry_with(field: &str, value: Value) -> Value {
        let mut entry =
            json!({"secretName": "s", "type": "Opaque", "data": [{"objectName": "o", "key": "k"}]});
        entry[field] = value;
        entry
    }

    fn only(entry: Value) -> Result<SecretObject, SecretObjectError> {
        let mut parsed = read(&json!([entry]));
        assert_eq!(parsed.len(), 1);
        parsed.remove(0)
    }

    fn complaint(entry: Value) -> String {
        only(entry).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_entry_is_read_and_surrounding_space_dropped() {
        let object = only(json!({
            "secretName": " db-secret\n", "type": "\tkubernetes.io/tls ",
            "labels": {"team": " a "}, "annotations": {"note": "", "none": null}, "unknown": [1],
            "data": [{"objectName": " nested/crt ", "key": " tls.crt\t"}, {"objectName": "b", "key": "a_B-1."}],
        }))
        .unwrap();
        let text = str::to_owned;
        assert_eq!(
            object,
            SecretObject {
                name: text("db-secret"),
                kind: text("kubernetes.io/tls"),
                labels: BTreeMap::from([(text("team"), text(" a "))]),
                annotations: BTreeMap::from([(text("note"), text("")), (text("none"), text(""))]),
                data: vec![
                    DataItem { object: text("nested/crt"), key: text("tls.crt") },
                    DataItem { object: text("b"), key: text("a_B-1.") },
                ],
            }
        );
    }

    #[test]
    fn an_absent_list_is_an_empty_one() {
        for (name, value) in [("absent", Value::Null), ("empty", json!([]))] {
            assert_eq!(read(&value), [], "{name}");
        }
    }

    #[test]
    fn a_wrong_entry_leaves_the_others_alone() {
        let parsed = read(&json!([entry_with("data", json!([])), entry_with("labels", json!({})), 7]));
        assert_eq!(
            parsed.iter().map(|entry| entry.as_ref().err().map(ToString::to_string)).collect::<Vec<_>>(),
            [
                Some("could not read secretObjects[0] (secret \"s\"): data is empty".to_owned()),
                None,
                Some("could not read secretObjects[2]: the entry is not an object".to_owned()),
            ]
        );
    }

    #[test]
    fn a_type_of_spaces_is_opaque_and_any_other_text_is_kept() {
        for (name, kind, read) in [
            ("blank", " \t", "Opaque"),
            ("custom", "example.com/any thing", "example.com/any thing"),
            ("case matters", "opaque", "opaque"),
        ] {
            assert_eq!(only(entry_with("type", json!(kind))).unwrap().kind, read, "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let item = |object: Value, key: Value| json!([{"objectName": object, "key": key}]);
        let table = [
            ("no name", entry_with("secretName", Value::Null), "secret name is empty"),
            ("blank name", entry_with("secretName", json!(" ")), "secret name is empty"),
            ("no type", entry_with("type", Value::Null), "secret type is empty"),
            ("empty type", entry_with("type", json!("")), "secret type is empty"),
            ("no data", entry_with("data", Value::Null), "data is empty"),
            (
                "no object",
                entry_with("data", item(Value::Null, json!("k"))),
                "data[0]: object name in secretObjects.data is empty",
            ),
            (
                "blank object",
                entry_with("data", item(json!("\n"), json!("k"))),
                "data[0]: object name in secretObjects.data is empty",
            ),
            (
                "no key",
                entry_with("data", item(json!("o"), Value::Null)),
                "data[0]: key in secretObjects.data is empty",
            ),
            (
                "blank key",
                entry_with("data", item(json!("o"), json!("  "))),
                "data[0]: key in secretObjects.data is empty",
            ),
        ];
        for (name, entry, text) in table {
            let complaint = complaint(entry);
            assert!(complaint.ends_with(&format!(": {text}")), "{name}: {complaint}");
        }
    }

    #[test]
    fn a_wrong_shape_is_told_by_field_and_never_by_value() {
        let table = [
            ("entry", json!("hunter2"), "the entry is not an object"),
            ("name", entry_with("secretName", json!(["hunter2"])), "secretName is not a string"),
            ("type", entry_with("type", json!({"hunter2": 1})), "type is not a string"),
            ("labels", entry_with("labels", json!("hunter2")), "labels is not an object"),
            ("label", entry_with("labels", json!({"a": ["hunter2"]})), "labels[a] is not a string"),
            ("annotation", entry_with("annotations", json!({"n": 1})), "annotations[n] is not a string"),
            ("data", entry_with("data", json!({"hunter2": "x"})), "data is not a list"),
            ("item", entry_with("data", json!(["hunter2"])), "data[0] is not an object"),
            ("object", entry_with("data", json!([{"objectName": 1}])), "data[0].objectName is not a string"),
            (
                "key",
                entry_with("data", json!([{"objectName": "o", "key": ["hunter2"]}])),
                "data[0].key is not a string",
            ),
        ];
        for (name, entry, text) in table {
            let complaint = complaint(entry);
            assert!(complaint.ends_with(&format!(": {text}")), "{name}: {complaint}");
        }
        let errors = read(&json!({"secretName": "hunter2"}));
        let text = errors[0].as_ref().unwrap_err().to_string();
        assert_eq!(text, "could not read secretObjects: secretObjects is not a list");
    }

    #[test]
    fn what_is_too_much_is_told_with_the_limit() {
        let items = vec![json!({"objectName": "o", "key": "k"}); 257];
        let labels: Map<String, Value> = (0..65).map(|number| (number.to_string(), json!(""))).collect();
        let long = "x".repeat(16_385);
        let table = [
            ("data", entry_with("data", json!(items)), "data has more than 256 entries, the most"),
            ("labels", entry_with("labels", json!(labels)), "labels has more than 64 entries, the most"),
            ("annotations", entry_with("annotations", json!(labels)), "annotations has more than 64 entries"),
            ("type", entry_with("type", json!(long)), "type is longer than 16384 bytes, the most"),
            ("label", entry_with("labels", json!({"a": long})), "labels[a] is longer than 16384 bytes"),
            (
                "object",
                entry_with("data", json!([{"objectName": long, "key": "k"}])),
                "data[0].objectName is longer than 16384 bytes",
            ),
        ];
        for (name, entry, text) in table {
            let complaint = complaint(entry);
            assert!(complaint.contains(&format!("(secret \"s\"): {text}")), "{name}: {complaint}");
        }
    }

    #[test]
    fn only_names_that_an_object_can_have_are_taken() {
        let longest = "a".repeat(253);
        for name in ["a", "0", "a-b.c-d.0", "a--b", &longest] {
            assert_eq!(only(entry_with("secretName", json!(name))).unwrap().name, name);
        }
        let too_long = "a".repeat(254);
        let refused = [
            "A", "a_b", "a b", "-a", "a-", ".a", "a.", "a..b", "a.-b", "a-.b", "a/b", "../a", "é", "a\0",
            "*", &too_long,
        ];
        for name in refused {
            let complaint = complaint(entry_with("secretName", json!(name)));
            assert!(complaint.contains("): secret name is not one of lower-case letters"), "{complaint}");
        }
    }

    #[test]
    fn only_keys_that_a_secret_can_have_are_taken() {
        let with_key = |key: &str| entry_with("data", json!([{"objectName": "o", "key": key}]));
        let longest = "K".repeat(253);
        for key in ["a", "A.b-c_0", ".dockerconfigjson", "a..b", "-", "_", &longest] {
            assert_eq!(only(with_key(key)).unwrap().data[0].key, key);
        }
        let too_long = "K".repeat(254);
        for key in ["a/b", "a b", ".", "..", "..a", "é", "a\0b", "a:b", &too_long] {
            let complaint = complaint(with_key(key));
            assert!(complaint.contains("is not one of letters, digits"), "{complaint}");
        }
    }

    #[test]
    fn hostile_texts_are_shown_printable_and_short() {
        let hostile = "\n\u{202e}".repeat(99_999);
        let mut labels = Map::new();
        labels.insert(hostile.clone(), json!(1));
        for (name, entry) in [
            ("name", entry_with("secretName", json!(format!("x{hostile}x")))),
            ("key", entry_with("data", json!([{"objectName": "o", "key": format!("x{hostile}x")}]))),
            ("label", entry_with("labels", Value::Object(labels))),
        ] {
            let complaint = complaint(entry);
            assert!(complaint.len() < 600, "{name}: {} bytes", complaint.len());
            assert!(!complaint.contains(['\n', '\u{202e}']), "{name}: {complaint}");
        }
    }
}
