//! What can be listed and watched.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::resource::Resource;
use crate::transport::Form;

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// An object of a kind that can be listed and watched. Whatever is absent decodes as empty, so that the object of a
/// bookmark, which has nothing but a version, does as well.
pub trait Watched: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// Where it is found.
    const RESOURCE: &'static Resource;
    /// How much of it is read.
    const FORM: Form;
    /// How many are asked for at once: less than a megabyte of the usual kind.
    const PAGE: u32;

    /// Namespace and name.
    fn key(&self) -> &ObjectKey;

    /// Version of this state.
    fn version(&self) -> &str;
}

/// True when `version` is of an earlier state than `than`. Versions are decimal numbers of any length, in every
/// server of our time; what is not such a number is not known to be older.
pub fn is_older(version: &str, than: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(version) || !is_number(than) {
        return false;
    }
    let (version, than) = (version.trim_start_matches('0'), than.trim_start_matches('0'));
    (version.len(), version) < (than.len(), than)
}

impl ObjectKey {
    /// A key of these parts.
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_and_only_as_such() {
        let rows = [
            ("9", "10", true),
            ("10", "9", false),
            ("10", "10", false),
            ("0009", "10", true),
            ("99999999999999999999999", "100000000000000000000000", true),
            ("", "10", false),
            ("9", "", false),
            ("9a", "10", false),
            ("9", "x", false),
        ];
        for (version, than, older) in rows {
            assert_eq!(is_older(version, than), older, "{version} {than}");
        }
    }
}
