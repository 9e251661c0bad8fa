//! The objects, their versions, and the history that watches read.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Group, plural, namespace (empty for cluster scope), name.
pub type Key = (String, String, String, String);

/// All objects of the double.
pub struct Store {
    objects: BTreeMap<Key, Value>,
    /// The latest resource version.
    version: u64,
    history: VecDeque<Change>,
    /// Plurals that the server pretends not to know.
    uninstalled: HashSet<String>,
}

/// One change, as a watch reports it.
#[derive(Clone)]
pub struct Change {
    pub version: u64,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub kind: &'static str,
    pub key: Key,
    pub object: Value,
}

impl Default for Store {
    fn default() -> Store {
        // Versions of a cluster that has lived a while: tests must not rely on small numbers.
        Store {
            objects: BTreeMap::new(),
            version: 1000,
            history: VecDeque::new(),
            uninstalled: HashSet::new(),
        }
    }
}

impl Store {
    /// The object of that key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a resource, in one namespace or, if `namespace` is empty, in all.
    pub fn list<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        let first = (group.to_owned(), plural.to_owned(), namespace.to_owned(), String::new());
        let is_in = move |key: &Key| {
            key.0 == group && key.1 == plural && (namespace.is_empty() || key.2 == namespace)
        };
        self.objects.range(first..).take_while(move |(key, _)| is_in(key)).map(|(_, object)| object)
    }

    /// Adds an object that does not exist yet, stamped as a server does, and returns it as stored.
    pub fn create(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        let metadata = metadata_of(&mut object);
        metadata.insert("name".into(), json!(key.3));
        if !key.2.is_empty() {
            metadata.insert("namespace".into(), json!(key.2));
        }
        metadata.insert("uid".into(), json!(uid(self.version)));
        metadata.insert("creationTimestamp".into(), json!(now()));
        metadata.insert("resourceVersion".into(), json!(self.version.to_string()));
        if is_custom(&key) {
            metadata.insert("generation".into(), json!(1));
        }
        self.change("ADDED", key, object)
    }

    /// Replaces an object that exists, keeping what clients cannot change; nothing happens when nothing
    /// differs.
    pub fn replace(&mut self, key: Key, mut object: Value) -> Option<Value> {
        let stored = self.objects.get(&key)?;
        let old = stored["metadata"].clone();
        let metadata = metadata_of(&mut object);
        for field in ["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"] {
            match old.get(field) {
                Some(value) => metadata.insert(field.into(), value.clone()),
                None => metadata.remove(field),
            };
        }
        if object == *stored {
            return Some(object);
        }
        let content = |object: &Value| {
            let mut fields = object.as_object().cloned().unwrap_or_default();
            fields.remove("metadata");
            fields
        };
        let is_new_generation = is_custom(&key) && content(&object) != content(stored);
        self.version += 1;
        let metadata = metadata_of(&mut object);
        metadata.insert("resourceVersion".into(), json!(self.version.to_string()));
        if is_new_generation {
            let generation = old["generation"].as_i64().unwrap_or(0) + 1;
            metadata.insert("generation".into(), json!(generation));
        }
        Some(self.change("MODIFIED", key, object))
    }

    /// Creates or replaces, by the object's own kind, namespace and name.
    pub fn put(&mut self, object: Value) -> Value {
        let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
        let group = group.map_or("", |(group, _)| group).to_owned();
        let plural = plural(object["kind"].as_str().expect("an object with a kind"));
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
        let key = (group, plural, text("namespace"), text("name"));
        assert!(!key.3.is_empty(), "an object with a name");
        match self.objects.contains_key(&key) {
            true => self.replace(key, object).expect("it was there a moment ago"),
            false => self.create(key, object),
        }
    }

    /// Removes an object and returns it.
    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.remove(key)?;
        self.version += 1;
        metadata_of(&mut object).insert("resourceVersion".into(), json!(self.version.to_string()));
        self.log("DELETED", key.clone(), object.clone());
        Some(object)
    }

    /// Removes what has owners of which none exists, until nothing more goes.
    pub fn collect_garbage(&mut self) -> usize {
        let mut removed = 0;
        loop {
            let uids: HashSet<&str> =
                self.objects.values().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
            let is_orphan = |object: &Value| {
                let owners = object["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
                let lives = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| uids.contains(uid));
                !owners.is_empty() && !owners.iter().any(lives)
            };
            let orphans: Vec<Key> = self
                .objects
                .iter()
                .filter(|(_, object)| is_orphan(object))
                .map(|(key, _)| key.clone())
                .collect();
            if orphans.is_empty() {
                return removed;
            }
            for key in orphans {
                self.remove(&key);
                removed += 1;
            }
        }
    }

    /// The latest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What happened after `version`, or `None` when that is no longer known.
    pub fn changes_after(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        let oldest = self.history.front().map_or(self.version + 1, |change| change.version);
        (version + 1 >= oldest || version >= self.version)
            .then(|| self.history.iter().filter(move |change| change.version > version))
    }

    /// Pretends that the resource is not installed.
    pub fn uninstall(&mut self, plural: &str) {
        self.uninstalled.insert(plural.to_owned());
    }

    /// Whether the resource is served.
    pub fn serves(&self, plural: &str) -> bool {
        !self.uninstalled.contains(plural)
    }

    fn change(&mut self, kind: &'static str, key: Key, object: Value) -> Value {
        self.objects.insert(key.clone(), object.clone());
        self.log(kind, key, object.clone());
        object
    }

    fn log(&mut self, kind: &'static str, key: Key, object: Value) {
        if self.history.len() >= LONGEST_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Change { version: self.version, kind, key, object });
    }
}

/// The kind of a resource, for lists and messages.
pub fn kind(plural: &str) -> String {
    KINDS
        .iter()
        .find(|(_, known)| *known == plural)
        .map_or_else(|| plural.to_owned(), |(kind, _)| (*kind).to_owned())
}

fn plural(kind: &str) -> String {
    match KINDS.iter().find(|(known, _)| *known == kind) {
        Some((_, plural)) => (*plural).to_owned(),
        None => format!("{}s", kind.to_lowercase()),
    }
}

/// Whether the resource is a custom one, which has generations and no unconditional update.
pub fn is_custom(key: &Key) -> bool {
    key.0.contains('.') && !key.0.ends_with(".k8s.io")
}

fn metadata_of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it was just made one")
}

fn uid(number: u64) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// The time as the API writes it, counted off year by year and month by month.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, mut year) = (seconds / 86_400, 1970);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

/// Kinds whose plural is not theirs with an `s`, or whose case matters in lists.
const KINDS: [(&str, &str); 12] = [
    ("SecretProviderClass", "secretproviderclasses"),
    ("SecretProviderClassPodStatus", "secretproviderclasspodstatuses"),
    ("Pod", "pods"),
    ("Secret", "secrets"),
    ("Event", "events"),
    ("Namespace", "namespaces"),
    ("Node", "nodes"),
    ("ServiceAccount", "serviceaccounts"),
    ("ReplicaSet", "replicasets"),
    ("Deployment", "deployments"),
    ("DaemonSet", "daemonsets"),
    ("CSIDriver", "csidrivers"),
];
/// As a real server, the double forgets; a watch from before gets 410.
const LONGEST_HISTORY: usize = 4096;
