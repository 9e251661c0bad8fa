//! What is known of a collection, or of those of its objects that are tracked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::budget::Budget;
use crate::types::{ObjectKey, Watched, is_older};
use base::lock::{Condvar, Mutex, MutexGuard};

/// Objects of one collection, as last seen.
pub struct Cache<T> {
    contents: Mutex<Contents<T>>,
    settled: Condvar,
    keeps: Filter<T>,
    listener: Listener<T>,
}

struct Contents<T> {
    objects: HashMap<ObjectKey, Arc<T>>,
    /// The keys that are kept; `None` for all.
    tracked: Option<Tracked>,
    /// What the list that is under way has shown so far.
    listed: Option<HashSet<ObjectKey>>,
    has_listed: bool,
    state: CacheState,
}

/// Keys, each with the version at which its object was last seen to go.
type Tracked = HashMap<ObjectKey, Option<String>>;

/// How well the cache knows the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// Not listed yet.
    Unknown,
    /// Changes arrive as they happen.
    Current,
    /// The connection is down; what the cache holds may be old.
    Behind,
    /// The service account may not list or watch.
    Forbidden,
}

type Filter<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type Listener<T> = Box<dyn Fn(Change<'_, T>) + Send + Sync>;

/// What a listener is told, without any lock held.
pub enum Change<'a, T> {
    /// An object that is kept has appeared, changed or gone.
    Object {
        /// Which.
        key: &'a ObjectKey,
        /// Its state before, if it was there.
        before: Option<&'a T>,
        /// Its state now, if it is there.
        now: Option<&'a T>,
    },
    /// The cache knows the collection better or worse than before.
    State(CacheState),
}

impl<T: Watched> Cache<T> {
    /// A cache of those objects of the collection that `keeps` picks.
    pub fn of_picked(
        keeps: impl Fn(&T) -> bool + Send + Sync + 'static,
        listener: impl Fn(Change<'_, T>) + Send + Sync + 'static,
    ) -> Cache<T> {
        Cache::new(None, Box::new(keeps), Box::new(listener))
    }

    /// A cache of those objects alone that are tracked: see [`Cache::track`].
    pub fn of_tracked(listener: impl Fn(Change<'_, T>) + Send + Sync + 'static) -> Cache<T> {
        Cache::new(Some(HashMap::new()), Box::new(|_| true), Box::new(listener))
    }

    fn new(tracked: Option<Tracked>, keeps: Filter<T>, listener: Listener<T>) -> Cache<T> {
        let objects = HashMap::new();
        let state = CacheState::Unknown;
        let contents = Contents { objects, tracked, listed: None, has_listed: false, state };
        Cache { contents: Mutex::new(contents), settled: Condvar::new(), keeps, listener }
    }

    /// The object as last seen.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.lock().objects.get(key).cloned()
    }

    /// The object as it is now, as far as an open watch can tell.
    pub fn get_current(&self, key: &ObjectKey) -> Option<Arc<T>> {
        let contents = self.lock();
        contents.objects.get(key).filter(|_| contents.state == CacheState::Current).cloned()
    }

    /// What an open watch can tell of the object: how it is now, or that it is not there; none where no watch is open.
    pub fn look(&self, key: &ObjectKey) -> Option<Option<Arc<T>>> {
        let contents = self.lock();
        (contents.state == CacheState::Current).then(|| contents.objects.get(key).cloned())
    }

    /// The first object that `is_it` picks.
    pub fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.lock().objects.values().find(|object| is_it(object)).cloned()
    }

    /// How well the collection is known.
    pub fn state(&self) -> CacheState {
        self.lock().state
    }

    /// Waits until the collection has been listed once; false when the budget was spent before.
    pub fn wait_until_listed(&self, budget: Budget) -> bool {
        let waited =
            self.settled.wait_timeout_while(self.lock(), budget.remaining(), |contents| !contents.has_listed);
        waited.0.has_listed
    }

    /// From now on the object of that key is kept when it is seen. It is not known before the next time that it
    /// changes, so the caller reads it once and hands it over with [`Cache::insert`].
    pub fn track(&self, key: &ObjectKey) {
        if let Some(tracked) = &mut self.lock().tracked
            && !tracked.contains_key(key)
        {
            tracked.insert(key.clone(), None);
        }
    }

    /// The object of that key is not kept any longer.
    pub fn untrack(&self, key: &ObjectKey) {
        let contents = &mut *self.lock();
        if let Some(tracked) = &mut contents.tracked {
            tracked.remove(key);
            contents.objects.remove(key);
        }
    }

    /// Takes over an object that was read or written, unless the watch has brought a newer one meanwhile, or its end.
    /// The listener is not called: the caller knows already.
    pub fn insert(&self, object: impl Into<Arc<T>>) {
        let object = object.into();
        let contents = &mut *self.lock();
        if contents.tracks(object.key())
            && !contents.is_outdated(&object)
            && !contents.has_gone_since(&object)
        {
            contents.objects.insert(object.key().clone(), object);
        }
    }

    /// Drops an object that was found missing.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().objects.remove(key);
    }

    pub(super) fn begin_list(&self) {
        self.lock().listed = Some(HashSet::new());
    }

    pub(super) fn complete_list(&self) {
        let mut contents = self.lock();
        let listed = contents.listed.take().unwrap_or_default();
        let gone: Vec<(ObjectKey, Arc<T>)> =
            contents.objects.extract_if(|key, _| !listed.contains(key)).collect();
        contents.has_listed = true;
        drop(contents);
        self.settled.notify_all();
        for (key, before) in &gone {
            (self.listener)(Change::Object { key, before: Some(before), now: None });
        }
    }

    pub(super) fn upsert(&self, object: T) {
        if !(self.keeps)(&object) {
            return;
        }
        let mut contents = self.lock();
        if !contents.tracks(object.key()) {
            return;
        }
        let key = object.key().clone();
        if let Some(listed) = &mut contents.listed {
            listed.insert(key.clone());
        }
        if contents.is_outdated(&object) {
            return;
        }
        let now = Arc::new(object);
        let before = contents.objects.insert(key.clone(), Arc::clone(&now));
        drop(contents);
        if before.as_ref() != Some(&now) {
            (self.listener)(Change::Object { key: &key, before: before.as_deref(), now: Some(&now) });
        }
    }

    pub(super) fn delete(&self, object: &T) {
        let mut contents = self.lock();
        if contents.is_outdated(object) {
            return;
        }
        if let Some(gone) = contents.tracked.as_mut().and_then(|tracked| tracked.get_mut(object.key())) {
            *gone = Some(object.version().to_owned());
        } else if !contents.objects.contains_key(object.key()) {
            return;
        }
        let before = contents.objects.remove(object.key());
        drop(contents);
        (self.listener)(Change::Object { key: object.key(), before: before.as_deref(), now: None });
    }

    pub(super) fn set_state(&self, state: CacheState) {
        let mut contents = self.lock();
        let is_changed = std::mem::replace(&mut contents.state, state) != state;
        drop(contents);
        if is_changed {
            (self.listener)(Change::State(state));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents<T>> {
        self.contents.lock()
    }
}

impl<T: Watched> Contents<T> {
    fn tracks(&self, key: &ObjectKey) -> bool {
        self.tracked.as_ref().is_none_or(|tracked| tracked.contains_key(key))
    }

    /// True when the watch has told that the object went after it was as it is given here.
    fn has_gone_since(&self, object: &T) -> bool {
        let gone = self.tracked.as_ref().and_then(|tracked| tracked.get(object.key())?.as_deref());
        gone.is_some_and(|gone| is_older(object.version(), gone))
    }

    /// True when the cache has a later state of the object: a watch may lag behind what was read or written.
    fn is_outdated(&self, object: &T) -> bool {
        self.objects.get(object.key()).is_some_and(|known| is_older(object.version(), known.version()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::SecretMeta;

    type Told = Arc<Mutex<Vec<String>>>;

    fn secret(name: &str, version: &str) -> SecretMeta {
        SecretMeta {
            key: ObjectKey::new("team", name),
            resource_version: version.into(),
            ..SecretMeta::default()
        }
    }

    fn noting(told: &Told) -> impl Fn(Change<'_, SecretMeta>) + Send + Sync + 'static {
        let told = Arc::clone(told);
        move |change| {
            let version =
                |object: Option<&SecretMeta>| object.map_or("-", |object| object.version()).to_owned();
            told.lock().push(match change {
                Change::Object { key, before, now } => {
                    format!("{} {} {}", key.name, version(before), version(now))
                }
                Change::State(state) => format!("{state:?}"),
            });
        }
    }

    fn taken(told: &Told) -> Vec<String> {
        std::mem::take(&mut *told.lock())
    }

    #[test]
    fn what_is_not_tracked_is_not_kept() {
        let told = Told::default();
        let cache = Cache::of_tracked(noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.track(&key);
        cache.upsert(secret("a", "1"));
        cache.upsert(secret("b", "2"));
        assert!(cache.get(&key).is_some());
        assert!(cache.get(&ObjectKey::new("team", "b")).is_none());
        cache.untrack(&key);
        assert!(cache.get(&key).is_none());
        cache.insert(secret("a", "3"));
        assert!(cache.get(&key).is_none());
        assert_eq!(taken(&told), ["a - 1"]);
    }

    #[test]
    fn what_is_not_picked_is_not_kept() {
        let told = Told::default();
        let cache = Cache::of_picked(|object: &SecretMeta| object.key.name != "b", noting(&told));
        cache.upsert(secret("a", "1"));
        cache.upsert(secret("b", "2"));
        assert_eq!(taken(&told), ["a - 1"]);
    }

    #[test]
    fn a_list_replaces_what_was_known() {
        let told = Told::default();
        let cache = Cache::of_picked(|_| true, noting(&told));
        for name in ["a", "b"] {
            cache.upsert(secret(name, "1"));
        }
        taken(&told);
        cache.begin_list();
        cache.upsert(secret("b", "1"));
        cache.upsert(secret("c", "5"));
        assert!(!cache.wait_until_listed(Budget::lasting(Duration::ZERO)));
        cache.complete_list();
        assert!(cache.wait_until_listed(Budget::lasting(Duration::ZERO)));
        assert_eq!(taken(&told), ["c - 5", "a 1 -"], "b is as it was");
        assert!(cache.find(|object| object.key.name == "a").is_none());
    }

    #[test]
    fn a_late_echo_does_not_undo_what_was_read_meanwhile() {
        let told = Told::default();
        let cache = Cache::of_picked(|_| true, noting(&told));
        let version = |cache: &Cache<SecretMeta>| {
            cache.get(&ObjectKey::new("team", "a")).map(|object| object.resource_version.clone())
        };
        cache.insert(secret("a", "10"));
        cache.upsert(secret("a", "9"));
        cache.delete(&secret("a", "8"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        cache.upsert(secret("a", "10"));
        assert_eq!(taken(&told), Vec::<String>::new(), "nothing of this is news");
        cache.insert(secret("a", "7"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        cache.delete(&secret("a", "11"));
        assert_eq!(version(&cache), None);
        assert_eq!(taken(&told), ["a 10 -"]);
    }

    #[test]
    fn what_was_read_before_its_end_does_not_come_back_and_its_end_is_told_although_it_was_not_known() {
        let told = Told::default();
        let cache = Cache::of_tracked(noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.track(&key);
        cache.delete(&secret("a", "11"));
        cache.insert(secret("a", "10"));
        assert!(cache.get(&key).is_none());
        cache.insert(secret("a", "12"));
        assert!(cache.get(&key).is_some(), "it was made again");
        cache.delete(&secret("b", "13"));
        assert_eq!(taken(&told), ["a - -"]);
    }

    #[test]
    fn only_a_change_of_state_is_told_and_only_an_open_watch_is_current() {
        let told = Told::default();
        let cache = Cache::of_picked(|_| true, noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.insert(secret("a", "1"));
        assert!(cache.get_current(&key).is_none());
        assert!(cache.look(&key).is_none() && cache.look(&ObjectKey::new("team", "b")).is_none());
        for state in [CacheState::Current, CacheState::Current, CacheState::Behind] {
            cache.set_state(state);
            assert_eq!(cache.get_current(&key).is_some(), state == CacheState::Current);
            assert_eq!(
                cache.look(&ObjectKey::new("team", "b")),
                (state == CacheState::Current).then_some(None)
            );
        }
        assert_eq!(taken(&told), ["Current", "Behind"]);
    }
}
