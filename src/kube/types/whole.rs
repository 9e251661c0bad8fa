//! Any object with all that is in it, for a program that manages whole objects and follows the few that it has.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::watched::{ObjectKey, Watched};
use crate::resource::Resource;
use crate::transport::Form;

/// A kind that can be followed as a whole.
pub trait Kind: Send + Sync + 'static {
    /// Where it is found.
    const RESOURCE: &'static Resource;
    /// What it calls itself.
    const NAME: &'static str;
}

/// An object of that kind. Clones share it.
#[derive(Deserialize)]
#[serde(from = "Value", bound = "K: Kind")]
pub struct Whole<K> {
    key: ObjectKey,
    version: String,
    object: Arc<Value>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Whole<K> {
    /// The object as the server would give it alone.
    pub fn object(&self) -> &Value {
        &self.object
    }
}

impl<K> Clone for Whole<K> {
    fn clone(&self) -> Whole<K> {
        let (key, version) = (self.key.clone(), self.version.clone());
        Whole { key, version, object: Arc::clone(&self.object), kind: PhantomData }
    }
}

impl<K> PartialEq for Whole<K> {
    fn eq(&self, other: &Whole<K>) -> bool {
        (&self.key, &self.version) == (&other.key, &other.version)
    }
}

impl<K: Kind> Watched for Whole<K> {
    const RESOURCE: &'static Resource = K::RESOURCE;
    const FORM: Form = Form::Whole;
    const PAGE: u32 = 10;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.version
    }
}

impl<K: Kind> From<Value> for Whole<K> {
    fn from(mut object: Value) -> Whole<K> {
        // Servers leave both out of the entries of a list.
        if let Some(fields) = object.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| json!(K::RESOURCE.api_version()));
            fields.entry("kind").or_insert_with(|| json!(K::NAME));
        }
        let text = |field: &str| {
            let found = object.get("metadata").and_then(|metadata| metadata.get(field)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let key = ObjectKey { namespace: text("namespace"), name: text("name") };
        let version = text("resourceVersion");
        Whole { key, version, object: Arc::new(object), kind: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::DAEMON_SETS;

    struct DaemonSets;

    impl Kind for DaemonSets {
        const RESOURCE: &'static Resource = &DAEMON_SETS;
        const NAME: &'static str = "DaemonSet";
    }

    #[test]
    fn an_entry_of_a_list_is_the_object_itself_and_a_bookmark_has_a_version_alone() {
        let read = |text: &str| serde_json::from_str::<Whole<DaemonSets>>(text).unwrap();
        let entry = read(r#"{"metadata":{"name":"a","namespace":"b","resourceVersion":"7"},"spec":{"c":1}}"#);
        assert_eq!((entry.key(), entry.version()), (&ObjectKey::new("b", "a"), "7"));
        let alone = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "a", "namespace": "b", "resourceVersion": "7"}, "spec": {"c": 1},
        });
        assert_eq!(*entry.object(), alone);
        let bookmark = read(r#"{"metadata":{"resourceVersion":"9"}}"#);
        assert_eq!((bookmark.key(), bookmark.version()), (&ObjectKey::default(), "9"));
    }
}
