//! The objects, their versions, and the history that watches and paged lists read.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};

use super::clock::now;
use super::kinds::{self, has_generation, has_status, is_custom};
use super::managers;
use super::metadata::tidy;
use super::request::Key;
use super::secret;

/// All objects of the double.
pub struct Store {
    objects: BTreeMap<Key, Value>,
    /// The latest resource version.
    version: u64,
    history: VecDeque<Change>,
    /// What happened up to this version is no longer told.
    compacted: u64,
    /// Plurals that the server pretends not to know.
    uninstalled: HashSet<String>,
    /// What each manager has applied to the status of an object.
    applied: HashMap<(Key, String), Value>,
    /// Whether OpenShift's own groups are served.
    pub is_openshift: bool,
}

/// One change, as a watch reports it.
#[derive(Clone)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    /// The object before; `None` when it was added.
    pub before: Option<Value>,
    /// The object after; `None` when it was deleted.
    pub after: Option<Value>,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            objects: BTreeMap::new(),
            version: FIRST_VERSION,
            history: VecDeque::new(),
            compacted: FIRST_VERSION - 1,
            uninstalled: HashSet::new(),
            applied: HashMap::new(),
            is_openshift: false,
        }
    }
}

impl Store {
    /// The object of that key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Every object with its key.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// The objects of a resource, in one namespace or, if `namespace` is empty, in all.
    pub fn list<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        let first = (group.to_owned(), plural.to_owned(), namespace.to_owned(), String::new());
        self.objects.range(first..).take_while(move |(key, _)| is_in(key, group, plural, namespace))
    }

    /// The same as it was at that version, or `None` when that is no longer known.
    pub fn list_at(
        &self,
        version: u64,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> Option<Vec<(Key, Value)>> {
        if version < self.compacted {
            return None;
        }
        let now = self.list(group, plural, namespace);
        let mut objects: BTreeMap<Key, Value> =
            now.map(|(key, value)| (key.clone(), value.clone())).collect();
        let later = self.history.iter().rev().take_while(|change| change.version > version);
        for change in later.filter(|change| is_in(&change.key, group, plural, namespace)) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(objects.into_iter().collect())
    }

    /// Adds an object that does not exist yet, stamped as a server does, and returns it as stored.
    pub fn create(&mut self, key: Key, mut object: Value, manager: &str) -> Value {
        self.version += 1;
        let version = self.version;
        let now = now();
        let metadata = metadata_of(&mut object);
        metadata.insert("name".into(), json!(key.3));
        if !key.2.is_empty() {
            metadata.insert("namespace".into(), json!(key.2));
        }
        metadata.insert("uid".into(), json!(uid(version)));
        metadata.insert("creationTimestamp".into(), json!(now));
        metadata.insert("resourceVersion".into(), json!(version.to_string()));
        if has_generation(&key.0, &key.1) {
            metadata.insert("generation".into(), json!(1));
        }
        tidy(metadata);
        managers::track(None, &mut object, manager, &now, is_custom(&key.0));
        self.objects.insert(key.clone(), object.clone());
        self.log(key, None, Some(object.clone()));
        object
    }

    /// Replaces an object that exists, keeping what clients cannot change; nothing happens when nothing
    /// differs.
    pub fn replace(&mut self, key: Key, mut object: Value, manager: &str) -> Option<Value> {
        let stored = self.objects.get(&key)?;
        let old = &stored["metadata"];
        let metadata = metadata_of(&mut object);
        for field in KEPT_FIELDS {
            match old.get(field) {
                Some(value) => metadata.insert(field.into(), value.clone()),
                None => metadata.remove(field),
            };
        }
        tidy(metadata);
        managers::track(Some(stored), &mut object, manager, &now(), is_custom(&key.0));
        if object == *stored {
            return Some(object);
        }
        let content = |object: &Value| {
            let mut fields = object.as_object().cloned().unwrap_or_default();
            fields.remove("metadata");
            if has_status(&key.1) {
                fields.remove("status");
            }
            fields
        };
        if key.1 != "pods" && has_generation(&key.0, &key.1) && content(&object) != content(stored) {
            let generation = old["generation"].as_i64().unwrap_or(0) + 1;
            metadata_of(&mut object).insert("generation".into(), json!(generation));
        }
        self.version += 1;
        metadata_of(&mut object).insert("resourceVersion".into(), json!(self.version.to_string()));
        let before = self.objects.insert(key.clone(), object.clone());
        self.log(key, before, Some(object.clone()));
        Some(object)
    }

    /// Creates or replaces, by the object's own kind, namespace and name.
    pub fn put(&mut self, mut object: Value, manager: &str) -> Value {
        let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
        let group = group.map_or("", |(group, _)| group).to_owned();
        let plural = kinds::plural(object["kind"].as_str().expect("an object with a kind"));
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
        let key = (group, plural, text("namespace"), text("name"));
        assert!(!key.3.is_empty(), "an object with a name");
        if key.1 == "secrets" {
            secret::prepare(&mut object).expect("a Secret in its notation");
        }
        // A test may say that an object is being deleted, which no client can.
        let deleted = object["metadata"]["deletionTimestamp"].clone();
        let is_there = self.objects.contains_key(&key);
        if is_there && !deleted.is_null() {
            let stored = self.objects.get_mut(&key).expect("it is there");
            metadata_of(stored).insert("deletionTimestamp".into(), deleted);
        }
        match is_there {
            true => self.replace(key, object, manager).expect("it was there a moment ago"),
            false => self.create(key, object, manager),
        }
    }

    /// What the manager had applied to the status of that object before, and now applies.
    pub fn note_applied(&mut self, key: &Key, manager: &str, status: Value) -> Option<Value> {
        self.applied.insert((key.clone(), manager.to_owned()), status)
    }

    /// Notes that an object is to go as soon as its finalizers allow.
    pub fn mark_deleted(&mut self, key: &Key) -> Option<Value> {
        let before = self.objects.get(key)?.clone();
        let mut object = before.clone();
        let metadata = metadata_of(&mut object);
        if !metadata.contains_key("deletionTimestamp") {
            self.version += 1;
            metadata.insert("deletionTimestamp".into(), json!(now()));
            metadata.insert("deletionGracePeriodSeconds".into(), json!(0));
            metadata.insert("resourceVersion".into(), json!(self.version.to_string()));
            self.objects.insert(key.clone(), object.clone());
            self.log(key.clone(), Some(before), Some(object.clone()));
        }
        Some(object)
    }

    /// Removes an object and returns it.
    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let object = self.objects.remove(key)?;
        self.version += 1;
        self.log(key.clone(), Some(object.clone()), None);
        Some(object)
    }

    /// The latest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether a watch from `version` would miss nothing.
    pub fn remembers(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// The version from which on changes are told.
    pub fn oldest(&self) -> u64 {
        self.compacted
    }

    /// Forgets what happened so far: older versions can neither be watched from nor listed.
    pub fn forget_history(&mut self) {
        // A client that knows the latest version goes on; every one before is gone.
        self.compacted = self.version;
    }

    /// What happened after `version`, as far as it is kept.
    pub fn changes_after(&self, version: u64) -> impl Iterator<Item = &Change> {
        let first = self.history.partition_point(|change| change.version <= version);
        self.history.range(first..)
    }

    /// Pretends that the resource is not installed.
    pub fn uninstall(&mut self, plural: &str) {
        self.uninstalled.insert(plural.to_owned());
    }

    /// Takes [`Store::uninstall`] back.
    pub fn install(&mut self, plural: &str) {
        self.uninstalled.remove(plural);
    }

    /// Whether the resource is served.
    pub fn serves(&self, plural: &str) -> bool {
        let is_known = kinds::is_known(plural) || self.objects.keys().any(|key| key.1 == plural);
        is_known && !self.uninstalled.contains(plural)
    }

    fn log(&mut self, key: Key, before: Option<Value>, after: Option<Value>) {
        if self.history.len() >= LONGEST_HISTORY {
            let oldest = self.history.pop_front();
            self.compacted = self.compacted.max(oldest.map_or(0, |change| change.version));
        }
        self.history.push_back(Change { version: self.version, key, before, after });
    }
}

fn is_in(key: &Key, group: &str, plural: &str, namespace: &str) -> bool {
    key.0 == group && key.1 == plural && (namespace.is_empty() || key.2 == namespace)
}

/// The metadata of an object, made if it is not there.
pub fn metadata_of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it was just made one")
}

fn uid(number: u64) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// What an update cannot change.
const KEPT_FIELDS: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
    "generation",
    "resourceVersion",
];
/// Versions of a cluster that has lived a while: tests must not rely on small numbers.
const FIRST_VERSION: u64 = 1000;
/// As a real server, the double forgets; a watch from before gets 410.
const LONGEST_HISTORY: usize = 4096;
