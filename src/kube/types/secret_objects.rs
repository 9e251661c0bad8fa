//! The `secretObjects` of a class as they are written: of any shape, and as many as one class may ask for.
//!
//! What they ask for, and whether a Secret can be like that, is not decided here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::tolerant::{ByShape, Key, Name, Shaped, Shapes};

/// The `secretObjects` of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretObjects {
    /// A list, or nothing, which is an empty one.
    List {
        /// The first of them, as far as the limits go.
        entries: Vec<SecretEntry>,
        /// How many are in the list.
        count: usize,
    },
    /// They are no list.
    Wrong,
}

/// An entry of `secretObjects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretEntry {
    /// An object.
    Object(SecretFields),
    /// Anything else.
    Wrong,
}

/// The fields of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFields {
    /// `secretName`.
    pub name: Shaped<String>,
    /// `type`.
    pub kind: Shaped<String>,
    /// `labels`.
    pub labels: Shaped<BTreeMap<String, Shaped<String>>>,
    /// `annotations`.
    pub annotations: Shaped<BTreeMap<String, Shaped<String>>>,
    /// `data`.
    pub data: Shaped<Vec<DataEntry>>,
}

/// An entry of `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataEntry {
    /// An object with these fields.
    Object {
        /// `objectName`.
        object: Shaped<String>,
        /// `key`.
        key: Shaped<String>,
    },
    /// Anything else.
    Wrong,
}

impl SecretObjects {
    /// True when no Secret is asked for.
    pub fn is_empty(&self) -> bool {
        matches!(self, SecretObjects::List { count: 0, .. })
    }

    /// How many of how many entries are kept, where these are not all.
    pub fn left_out(&self) -> Option<(usize, usize)> {
        match self {
            SecretObjects::List { entries, count } if entries.len() < *count => Some((entries.len(), *count)),
            _ => None,
        }
    }
}

impl Default for SecretObjects {
    fn default() -> SecretObjects {
        SecretObjects::List { entries: Vec::new(), count: 0 }
    }
}

impl<'de> Deserialize<'de> for SecretObjects {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretObjects, D::Error> {
        ByShape(SecretObjectsReader).deserialize(from)
    }
}

/// Reads `secretObjects`.
pub(super) struct SecretObjectsReader;

impl<'de> Shapes<'de> for SecretObjectsReader {
    type Value = SecretObjects;

    fn wrong(self) -> SecretObjects {
        SecretObjects::Wrong
    }

    fn null(self) -> SecretObjects {
        SecretObjects::default()
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<SecretObjects, A::Error> {
        let (mut entries, mut weight) = (Vec::new(), 0);
        while entries.len() < MOST_SECRET_OBJECTS {
            let Some(entry) = list.next_element_seed(ByShape(EntryReader))? else {
                return Ok(SecretObjects::List { count: entries.len(), entries });
            };
            weight += entry.weight();
            if weight > LARGEST_SECRET_OBJECTS_BYTES {
                let count = entries.len() + 1 + rest(&mut list)?;
                return Ok(SecretObjects::List { entries, count });
            }
            entries.push(entry);
        }
        let count = entries.len() + rest(&mut list)?;
        Ok(SecretObjects::List { entries, count })
    }
}

/// Counts what is left of a list.
fn rest<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while list.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

impl SecretEntry {
    /// The memory that it takes, or a little more: what is short takes its place as well.
    fn weight(&self) -> usize {
        let text = |text: &Shaped<String>| match text {
            Shaped::Is(text) => text.len() + TEXT_OVERHEAD_BYTES,
            _ => TEXT_OVERHEAD_BYTES,
        };
        let texts = |texts: &Shaped<BTreeMap<String, Shaped<String>>>| match texts {
            Shaped::Is(texts) => {
                texts.iter().map(|(key, value)| key.len() + TEXT_OVERHEAD_BYTES + text(value)).sum()
            }
            _ => 0,
        };
        let item = |item: &DataEntry| match item {
            DataEntry::Object { object, key } => text(object) + text(key),
            DataEntry::Wrong => TEXT_OVERHEAD_BYTES,
        };
        let SecretEntry::Object(SecretFields { name, kind, labels, annotations, data }) = self else {
            return TEXT_OVERHEAD_BYTES;
        };
        let items: usize = match data {
            Shaped::Is(items) => items.iter().map(item).sum(),
            _ => 0,
        };
        text(name) + text(kind) + texts(labels) + texts(annotations) + items
    }
}

struct EntryReader;

impl<'de> Shapes<'de> for EntryReader {
    type Value = SecretEntry;

    fn wrong(self) -> SecretEntry {
        SecretEntry::Wrong
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<SecretEntry, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Field {
            SecretName,
            Type,
            Labels,
            Annotations,
            Data,
            #[serde(other)]
            Other,
        }
        let mut fields = SecretFields::default();
        while let Some(field) = object.next_key()? {
            match field {
                Field::SecretName => fields.name = object.next_value_seed(ByShape(Name))?,
                Field::Type => fields.kind = object.next_value_seed(ByShape(Text))?,
                Field::Labels => fields.labels = object.next_value_seed(ByShape(Texts))?,
                Field::Annotations => fields.annotations = object.next_value_seed(ByShape(Texts))?,
                Field::Data => fields.data = object.next_value_seed(ByShape(Data))?,
                Field::Other => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(SecretEntry::Object(fields))
    }
}

struct Text;

impl<'de> Shapes<'de> for Text {
    type Value = Shaped<String>;

    fn wrong(self) -> Shaped<String> {
        Shaped::Wrong
    }

    fn null(self) -> Shaped<String> {
        Shaped::default()
    }

    fn text(self, text: &str) -> Shaped<String> {
        match text.len() {
            0..=LONGEST_TEXT_BYTES => Shaped::Is(text.to_owned()),
            _ => Shaped::TooLong(LONGEST_TEXT_BYTES),
        }
    }
}

struct Texts;

impl<'de> Shapes<'de> for Texts {
    type Value = Shaped<BTreeMap<String, Shaped<String>>>;

    fn wrong(self) -> Self::Value {
        Shaped::Wrong
    }

    fn null(self) -> Self::Value {
        Shaped::default()
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some(key) = object.next_key_seed(Key)? {
            texts.insert(key, object.next_value_seed(ByShape(Text))?);
            if texts.len() > MOST_LABELS {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Shaped::TooMany(MOST_LABELS));
            }
        }
        Ok(Shaped::Is(texts))
    }
}

struct Data;

impl<'de> Shapes<'de> for Data {
    type Value = Shaped<Vec<DataEntry>>;

    fn wrong(self) -> Self::Value {
        Shaped::Wrong
    }

    fn null(self) -> Self::Value {
        Shaped::default()
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(ByShape(Item))? {
            if items.len() == MOST_DATA {
                rest(&mut list)?;
                return Ok(Shaped::TooMany(MOST_DATA));
            }
            items.push(item);
        }
        Ok(Shaped::Is(items))
    }
}

struct Item;

impl<'de> Shapes<'de> for Item {
    type Value = DataEntry;

    fn wrong(self) -> DataEntry {
        DataEntry::Wrong
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<DataEntry, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Field {
            ObjectName,
            Key,
            #[serde(other)]
            Other,
        }
        let (mut object, mut key) = (Shaped::default(), Shaped::default());
        while let Some(field) = fields.next_key()? {
            match field {
                Field::ObjectName => object = fields.next_value_seed(ByShape(Text))?,
                Field::Key => key = fields.next_value_seed(ByShape(Name))?,
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(DataEntry::Object { object, key })
    }
}

/// Secrets that one class may ask for.
pub const MOST_SECRET_OBJECTS: usize = 128;
/// Keys of one Secret.
pub const MOST_DATA: usize = 256;
/// Labels of one Secret, and annotations of it.
pub const MOST_LABELS: usize = 64;
/// One label, annotation, type or path.
pub const LONGEST_TEXT_BYTES: usize = 16 * 1024;
/// All texts of `secretObjects` together, each with [`TEXT_OVERHEAD_BYTES`] more than it is long. Pods may be 110 on a
/// node, each with a class of its own, and a class is held about four times over: as it is written, as what its volume
/// wants, and in what the API server has and is known to have of each Secret.
pub const LARGEST_SECRET_OBJECTS_BYTES: usize = 192 * 1024;
/// What a text takes beyond its length.
pub const TEXT_OVERHEAD_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> SecretObjects {
        // As text, which is what comes.
        serde_json::from_str(&value.to_string()).unwrap()
    }

    /// The entries that are kept, and how many there are.
    fn list(value: Value) -> (Vec<SecretEntry>, usize) {
        match read(value) {
            SecretObjects::List { entries, count } => (entries, count),
            SecretObjects::Wrong => panic!("no list"),
        }
    }

    fn fields(entry: Value) -> SecretFields {
        match list(json!([entry])).0.remove(0) {
            SecretEntry::Object(fields) => fields,
            SecretEntry::Wrong => panic!("no object"),
        }
    }

    #[test]
    fn fields_are_read_and_what_is_absent_or_null_is_empty() {
        let text = |text: &str| Shaped::Is(text.to_owned());
        let read = fields(json!({
            "secretName": "s", "type": "t", "labels": {"a": "b", "c": 1}, "annotations": null, "more": [{}],
            "data": [{"objectName": "o", "key": "k", "more": {}}, {}, 7],
        }));
        assert_eq!((read.name, read.kind), (text("s"), text("t")));
        let labels = BTreeMap::from([("a".to_owned(), text("b")), ("c".to_owned(), Shaped::Wrong)]);
        assert_eq!((read.labels, read.annotations), (Shaped::Is(labels), Shaped::default()));
        let item = |object: &str, key: &str| DataEntry::Object { object: text(object), key: text(key) };
        assert_eq!(read.data, Shaped::Is(vec![item("o", "k"), item("", ""), DataEntry::Wrong]));
        assert_eq!(fields(json!({})), SecretFields::default());
        assert!(
            SecretObjects::default().is_empty() && read_is_empty(json!(null)) && read_is_empty(json!([]))
        );
        assert!(!read_is_empty(json!([7])) && !read_is_empty(json!("x")));
    }

    fn read_is_empty(value: Value) -> bool {
        read(value).is_empty()
    }

    #[test]
    fn as_many_are_kept_as_one_class_may_ask_for_and_the_others_are_counted() {
        let most = read(json!(vec![json!({}); MOST_SECRET_OBJECTS]));
        assert_eq!(most.left_out(), None);
        let more = read(json!(vec![json!({}); 5_000]));
        assert_eq!(more.left_out(), Some((MOST_SECRET_OBJECTS, 5_000)));
    }

    #[test]
    fn texts_of_all_entries_together_have_a_limit() {
        let entry = |text: usize| json!({"secretName": "s", "type": "x".repeat(text)});
        let (kept, count) = list(json!(vec![entry(16_000); 20]));
        assert_eq!((kept.len(), count), (12, 20), "of 16,000 bytes each in 196,608");
        let (kept, count) = list(json!([entry(1), {"data": vec![json!({"key": "k"}); MOST_DATA]}, entry(1)]));
        assert_eq!((kept.len(), count), (3, 3), "256 keys are not too much for anybody");
        let many = json!({"data": vec![json!({"objectName": "o", "key": "k"}); MOST_DATA]});
        let (kept, count) = list(json!(vec![many; 20]));
        assert_eq!((kept.len(), count), (7, 20), "short texts count for what they take");
    }

    #[test]
    fn a_list_or_a_map_of_too_many_entries_is_not_kept_and_told() {
        let item = json!({"objectName": "o", "key": "k"});
        let data = |count: usize| fields(json!({"data": vec![item.clone(); count]})).data;
        assert!(matches!(data(MOST_DATA), Shaped::Is(items) if items.len() == MOST_DATA));
        assert_eq!(data(MOST_DATA + 1), Shaped::TooMany(MOST_DATA));
        for field in ["labels", "annotations"] {
            let texts = |count: usize| -> Shaped<BTreeMap<String, Shaped<String>>> {
                let texts: BTreeMap<String, String> =
                    (0..count).map(|number| (number.to_string(), String::new())).collect();
                let fields = fields(json!({field: texts}));
                if field == "labels" { fields.labels } else { fields.annotations }
            };
            assert!(matches!(texts(MOST_LABELS), Shaped::Is(texts) if texts.len() == MOST_LABELS));
            assert_eq!(texts(MOST_LABELS + 1), Shaped::TooMany(MOST_LABELS));
            assert_eq!(texts(9_999), Shaped::TooMany(MOST_LABELS));
        }
        // What follows is read all the same.
        let read = fields(json!({"annotations": vec![1; 999], "data": vec![7; 999], "secretName": "s"}));
        assert_eq!((read.name, read.annotations), (Shaped::Is("s".to_owned()), Shaped::Wrong));
    }

    #[test]
    fn a_text_that_is_too_long_is_not_kept_and_told() {
        let long = "x".repeat(LONGEST_TEXT_BYTES + 1);
        assert_eq!(fields(json!({"type": long})).kind, Shaped::TooLong(LONGEST_TEXT_BYTES));
        let longest = long[1..].to_owned();
        assert_eq!(fields(json!({"type": longest})).kind, Shaped::Is(longest.clone()));
        let Shaped::Is(labels) = fields(json!({"labels": {"a": long}})).labels else { panic!() };
        assert_eq!(labels["a"], Shaped::TooLong(LONGEST_TEXT_BYTES));
    }

    #[test]
    fn what_is_no_list_is_told() {
        for value in [json!({"secretName": "s"}), json!("x"), json!(7), json!(true)] {
            assert_eq!(read(value), SecretObjects::Wrong);
        }
        assert_eq!(list(json!([7, null])), (vec![SecretEntry::Wrong, SecretEntry::Wrong], 2));
    }
}
