//! Any object, as far as it takes to know that it has changed.

use std::marker::PhantomData;

use serde::Deserialize;

use super::meta::ObjectMeta;
use super::null_as_empty;
use super::watched::{ObjectKey, Watched};
use crate::kube::resource::Resource;
use crate::kube::transport::Form;

/// A kind that can be watched for changes without its content.
pub trait Kind: Send + Sync + 'static {
    /// Where it is found.
    const RESOURCE: &'static Resource;
}

/// That an object of that kind is as it was at a version.
#[derive(Deserialize)]
#[serde(from = "Raw", bound = "")]
pub struct Touched<K> {
    key: ObjectKey,
    version: String,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Touched<K> {
    fn clone(&self) -> Touched<K> {
        Touched { key: self.key.clone(), version: self.version.clone(), kind: PhantomData }
    }
}

impl<K> PartialEq for Touched<K> {
    fn eq(&self, other: &Touched<K>) -> bool {
        (&self.key, &self.version) == (&other.key, &other.version)
    }
}

impl<K: Kind> Watched for Touched<K> {
    const RESOURCE: &'static Resource = K::RESOURCE;
    const FORM: Form = Form::Metadata;
    const PAGE: u32 = 500;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.version
    }
}

impl<K> From<Raw> for Touched<K> {
    fn from(Raw { metadata }: Raw) -> Touched<K> {
        let key = ObjectKey { namespace: metadata.namespace, name: metadata.name };
        Touched { key, version: metadata.resource_version, kind: PhantomData }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "null_as_empty")]
    metadata: ObjectMeta,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::resource::DAEMON_SETS;

    struct DaemonSets;

    impl Kind for DaemonSets {
        const RESOURCE: &'static Resource = &DAEMON_SETS;
    }

    #[test]
    fn name_and_version_are_read_and_a_bookmark_has_a_version_alone() {
        let read = |text: &str| serde_json::from_str::<Touched<DaemonSets>>(text).unwrap();
        let whole =
            read(r#"{"metadata":{"name":"a","namespace":"b","resourceVersion":"7","labels":{}},"spec":{}}"#);
        assert_eq!((whole.key(), whole.version()), (&ObjectKey::new("b", "a"), "7"));
        let bookmark = read(r#"{"metadata":{"resourceVersion":"9"}}"#);
        assert_eq!((bookmark.key(), bookmark.version()), (&ObjectKey::default(), "9"));
    }
}
