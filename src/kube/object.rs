//! Calls on any object, for a program that manages whole objects and not some of their fields.
//!
//! An object is raw JSON here: what this program does not know of it must survive a change. Where an object is comes as
//! an [`ObjectRef`], whose names are checked before they become part of a path. Nothing here decides anything, and none
//! of these kinds holds a Secret's content.

use std::fmt;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::budget::Budget;
use super::client::{Client, Outgoing};
use super::error::{ApiError, Call};
use super::resource::Resource;
use super::transport::{Form, Verb};

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its kind.
    pub resource: &'static Resource,
    /// Its namespace; empty for what lies outside namespaces.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The part of an object's status that belongs to somebody.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// The object's kind.
    pub kind: &'a str,
    /// Whose part it is.
    pub manager: &'a str,
    /// The version of the object that it is for; empty for any.
    pub version: &'a str,
    /// The part.
    pub status: &'a Value,
}

/// What has to be true of an object for it to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its identity; empty for any.
    pub uid: String,
    /// Its version; empty for any.
    pub resource_version: String,
}

impl ObjectRef {
    /// An object outside namespaces.
    pub fn cluster(resource: &'static Resource, name: &str) -> ObjectRef {
        ObjectRef { resource, namespace: String::new(), name: name.to_owned() }
    }

    /// An object in a namespace.
    pub fn namespaced(resource: &'static Resource, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn path(&self) -> Result<String, ApiError> {
        match self.namespace.as_str() {
            "" => self.resource.cluster_object(&self.name),
            namespace => self.resource.object(namespace, &self.name),
        }
    }

    fn collection(&self) -> Result<String, ApiError> {
        // The object's own path is made first, which checks its name.
        let object = self.path()?;
        Ok(object.strip_suffix(&format!("/{}", self.name)).unwrap_or(&object).to_owned())
    }

    fn outgoing(&self, verb: Verb, path: String, body: Option<&Value>) -> Outgoing {
        let call = Call::on(verb.name(), self.resource, &self.namespace, &self.name);
        let body = body.map(|body| Zeroizing::new(body.to_string().into_bytes()));
        Outgoing { call, verb, path, form: Form::Whole, body }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resource, name) = (self.resource.qualified(), &self.name);
        match self.namespace.as_str() {
            "" => write!(f, "{resource} {name}"),
            namespace => write!(f, "{resource} {namespace}/{name}"),
        }
    }
}

impl Client {
    /// The object, or none where there is none.
    ///
    /// # Errors
    /// [`ApiError`]; a kind that the server does not serve is an object that is not there.
    pub fn find_object(&self, at: &ObjectRef, budget: Budget) -> Result<Option<Value>, ApiError> {
        match self.fetch(&at.outgoing(Verb::Get, at.path()?, None), budget) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the object and returns it as stored.
    ///
    /// # Errors
    /// [`ApiError`]; one that exists is `is_already_exists`.
    pub fn create_object(&self, at: &ObjectRef, object: &Value, budget: Budget) -> Result<Value, ApiError> {
        self.fetch(&at.outgoing(Verb::Create, at.collection()?, Some(object)), budget)
    }

    /// Whether the server would take the object if there were none of its name: everything is checked, by policies too,
    /// and nothing is stored.
    ///
    /// # Errors
    /// [`ApiError`]: why it would not.
    pub fn check_creation(&self, at: &ObjectRef, object: &Value, budget: Budget) -> Result<(), ApiError> {
        let path = format!("{}?dryRun=All", at.collection()?);
        match self.send(&at.outgoing(Verb::Create, path, Some(object)), budget) {
            Ok(_) => Ok(()),
            // That there is one comes out last.
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the object if it still has the resource version that `object` carries, and returns it as stored.
    ///
    /// # Errors
    /// [`ApiError`]; a change by somebody else in between is `is_conflict`.
    pub fn replace_object(&self, at: &ObjectRef, object: &Value, budget: Budget) -> Result<Value, ApiError> {
        self.fetch(&at.outgoing(Verb::Update, at.path()?, Some(object)), budget)
    }

    /// Changes some fields of the object by JSON merge patch, and returns it as stored.
    ///
    /// # Errors
    /// [`ApiError`]; where `patch` names a resource version, a change by somebody else in between is `is_conflict`.
    pub fn merge_object(&self, at: &ObjectRef, patch: &Value, budget: Budget) -> Result<Value, ApiError> {
        self.fetch(&at.outgoing(Verb::Patch, at.path()?, Some(patch)), budget)
    }

    /// Makes the part of the object's status that belongs to a manager what it should be, by server-side apply, and
    /// returns the object as stored. Fields that the manager has set before and that are not in the part any more go.
    ///
    /// # Errors
    /// [`ApiError`]; an object that is missing is `is_not_found`, one of another version `is_conflict`.
    pub fn apply_status(&self, at: &ObjectRef, part: Applied<'_>, budget: Budget) -> Result<Value, ApiError> {
        let Applied { kind, manager, version, status } = part;
        let path = format!("{}/status?fieldManager={manager}&force=true", at.path()?);
        let mut body = json!({
            "apiVersion": at.resource.api_version(),
            "kind": kind,
            "metadata": {"name": at.name},
            "status": status,
        });
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
            && !version.is_empty()
        {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
        self.fetch(&at.outgoing(Verb::Apply, path, Some(&body)), budget)
    }

    /// Changes some fields of the object's status by JSON merge patch, whoever has set them, and returns the object as
    /// stored.
    ///
    /// # Errors
    /// [`ApiError`], as of [`Client::merge_object`].
    pub fn merge_status(&self, at: &ObjectRef, patch: &Value, budget: Budget) -> Result<Value, ApiError> {
        self.fetch(&at.outgoing(Verb::Patch, format!("{}/status", at.path()?), Some(patch)), budget)
    }

    /// Deletes the object if the preconditions hold; false when it was not there. What it owns goes later.
    ///
    /// # Errors
    /// [`ApiError`]; a precondition that does not hold is `is_conflict`.
    pub fn delete_object(
        &self,
        at: &ObjectRef,
        preconditions: &Preconditions,
        budget: Budget,
    ) -> Result<bool, ApiError> {
        let path = format!("{}{}", at.path()?, preconditions.query());
        match self.send(&at.outgoing(Verb::Delete, path, None), budget) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the server serves that kind.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn serves(&self, resource: &Resource, budget: Budget) -> Result<bool, ApiError> {
        match self.served_resources(resource.group(), resource.version(), budget) {
            Ok(plurals) => Ok(plurals.iter().any(|plural| plural == resource.plural())),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Preconditions {
    /// The one object that this is the state of.
    pub fn of(object: &Value) -> Preconditions {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Preconditions { uid: text("/metadata/uid"), resource_version: text("/metadata/resourceVersion") }
    }

    /// As a query: the library sends no body with a DELETE, and the server reads both alike.
    fn query(&self) -> String {
        let is_plain = |value: &str| value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let parts = [("uid", &self.uid), ("resourceVersion", &self.resource_version)];
        let parts = parts.into_iter().filter(|(_, value)| !value.is_empty() && is_plain(value));
        let parts: Vec<String> = parts.map(|(name, value)| format!("{name}={value}")).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::resource::{CSI_DRIVERS, DAEMON_SETS};
    use super::*;

    #[test]
    fn paths_are_those_of_the_object_and_of_its_collection() {
        let at = ObjectRef::namespaced(&DAEMON_SETS, "storage", "node");
        assert_eq!(at.path().unwrap(), "/apis/apps/v1/namespaces/storage/daemonsets/node");
        assert_eq!(at.collection().unwrap(), "/apis/apps/v1/namespaces/storage/daemonsets");
        assert_eq!(at.to_string(), "daemonsets.apps storage/node");
        let at = ObjectRef::cluster(&CSI_DRIVERS, "a.b");
        assert_eq!(at.path().unwrap(), "/apis/storage.k8s.io/v1/csidrivers/a.b");
        assert_eq!(at.collection().unwrap(), "/apis/storage.k8s.io/v1/csidrivers");
        assert_eq!(at.to_string(), "csidrivers.storage.k8s.io a.b");
    }

    #[test]
    fn a_name_that_could_change_the_path_is_refused() {
        for name in ["", "..", "a/b", "a?b", "A"] {
            assert!(ObjectRef::cluster(&CSI_DRIVERS, name).collection().is_err(), "{name}");
            assert!(ObjectRef::namespaced(&DAEMON_SETS, "storage", name).path().is_err(), "{name}");
        }
        assert!(ObjectRef::namespaced(&DAEMON_SETS, "a/b", "node").path().is_err());
    }

    #[test]
    fn preconditions_are_those_of_the_state_that_was_seen() {
        let seen = json!({"metadata": {"uid": "1-a", "resourceVersion": "7"}});
        assert_eq!(Preconditions::of(&seen).query(), "?uid=1-a&resourceVersion=7");
        assert_eq!(Preconditions::default().query(), "");
        let odd = json!({"metadata": {"uid": "1&x=2", "resourceVersion": "7"}});
        assert_eq!(Preconditions::of(&odd).query(), "?resourceVersion=7");
    }
}
