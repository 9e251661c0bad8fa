//! The garbage collector: what happens to an object when its owners go.

use std::collections::HashSet;

use serde_json::Value;

use super::kinds;
use super::request::Key;
use super::store::{Store, metadata_of};

/// Removes what has owners of which none exists, and otherwise the owners that do not exist, until nothing more
/// goes; the number of objects removed.
pub fn collect(store: &mut Store) -> usize {
    let mut removed = 0;
    loop {
        let uids: HashSet<String> = store
            .all()
            .filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned))
            .collect();
        // Of an owner of a kind that is not served, nobody can say that it is gone.
        let is_known = |kind: &str| store.serves(&kinds::plural(kind));
        let lives = |owner: &Value| {
            owner["uid"].as_str().is_some_and(|uid| uids.contains(uid))
                || owner["kind"].as_str().is_some_and(|kind| !is_known(kind))
        };
        let dangling: Vec<(Key, Vec<Value>)> = store
            .all()
            .filter_map(|(key, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array()?;
                let living: Vec<Value> = owners.iter().filter(|owner| lives(owner)).cloned().collect();
                (living.len() < owners.len()).then(|| (key.clone(), living))
            })
            .collect();
        if dangling.is_empty() {
            return removed;
        }
        for (key, living) in dangling {
            if living.is_empty() {
                store.remove(&key);
                removed += 1;
            } else if let Some(mut object) = store.get(&key).cloned() {
                metadata_of(&mut object).insert("ownerReferences".into(), Value::Array(living));
                store.replace(key, object, COLLECTOR);
            }
        }
    }
}

/// Who does this in a cluster.
const COLLECTOR: &str = "kube-controller-manager";
