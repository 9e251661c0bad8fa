//! What is known of a collection, or of those of its objects that somebody wants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::budget::Budget;
use crate::types::{ObjectKey, Watched, is_older};
use base::lock::{Condvar, Mutex, MutexGuard};

/// Objects of one collection, as last seen.
pub struct Cache<T> {
    state: Mutex<State<T>>,
    settled: Condvar,
    keeps: Filter<T>,
    listener: Listener<T>,
}

struct State<T> {
    objects: HashMap<ObjectKey, Arc<T>>,
    /// The keys that are kept; `None` for all.
    wanted: Option<Wanted>,
    /// What the list that is under way has shown so far.
    listed: Option<HashSet<ObjectKey>>,
    has_listed: bool,
    standing: Standing,
}

/// Keys, each with the version at which its object was last seen to go.
type Wanted = HashMap<ObjectKey, Option<String>>;

/// How well the cache knows the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
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
type Listener<T> = Box<dyn Fn(News<'_, T>) + Send + Sync>;

/// What a listener is told, without any lock held.
pub enum News<'a, T> {
    /// An object that is kept has appeared, changed or gone.
    Changed {
        /// Which.
        key: &'a ObjectKey,
        /// Its state before, if it was there.
        before: Option<&'a T>,
        /// Its state now, if it is there.
        now: Option<&'a T>,
    },
    /// The cache knows the collection better or worse than before.
    Standing(Standing),
}

impl<T: Watched> Cache<T> {
    /// A cache of those objects of the collection that `keeps` picks.
    pub fn of_picked(
        keeps: impl Fn(&T) -> bool + Send + Sync + 'static,
        listener: impl Fn(News<'_, T>) + Send + Sync + 'static,
    ) -> Cache<T> {
        Cache::new(None, Box::new(keeps), Box::new(listener))
    }

    /// A cache of those objects alone that are wanted: see [`Cache::want`].
    pub fn of_wanted(listener: impl Fn(News<'_, T>) + Send + Sync + 'static) -> Cache<T> {
        Cache::new(Some(HashMap::new()), Box::new(|_| true), Box::new(listener))
    }

    fn new(wanted: Option<Wanted>, keeps: Filter<T>, listener: Listener<T>) -> Cache<T> {
        let objects = HashMap::new();
        let standing = Standing::Unknown;
        let state = State { objects, wanted, listed: None, has_listed: false, standing };
        Cache { state: Mutex::new(state), settled: Condvar::new(), keeps, listener }
    }

    /// The object as last seen.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.lock().objects.get(key).cloned()
    }

    /// The object as it is now, as far as an open watch can tell.
    pub fn get_current(&self, key: &ObjectKey) -> Option<Arc<T>> {
        let state = self.lock();
        state.objects.get(key).filter(|_| state.standing == Standing::Current).cloned()
    }

    /// What an open watch can tell of the object: how it is now, or that it is not there; none where no watch is open.
    pub fn look(&self, key: &ObjectKey) -> Option<Option<Arc<T>>> {
        let state = self.lock();
        (state.standing == Standing::Current).then(|| state.objects.get(key).cloned())
    }

    /// The first object that `is_it` picks.
    pub fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.lock().objects.values().find(|object| is_it(object)).cloned()
    }

    /// How well the collection is known.
    pub fn standing(&self) -> Standing {
        self.lock().standing
    }

    /// Waits until the collection has been listed once; false when the budget was spent before.
    pub fn wait_until_listed(&self, budget: Budget) -> bool {
        let waited =
            self.settled.wait_timeout_while(self.lock(), budget.remaining(), |state| !state.has_listed);
        waited.0.has_listed
    }

    /// From now on the object of that key is kept when it is seen. It is not known before the next time that it
    /// changes, so whoever wants it reads it once and hands it over with [`Cache::learn`].
    pub fn want(&self, key: &ObjectKey) {
        if let Some(wanted) = &mut self.lock().wanted
            && !wanted.contains_key(key)
        {
            wanted.insert(key.clone(), None);
        }
    }

    /// The object of that key is not kept any longer.
    pub fn unwant(&self, key: &ObjectKey) {
        let state = &mut *self.lock();
        if let Some(wanted) = &mut state.wanted {
            wanted.remove(key);
            state.objects.remove(key);
        }
    }

    /// Takes over an object that was read or written, unless the watch has brought a newer one meanwhile, or its end.
    /// Tells nobody: whoever hands it over knows.
    pub fn learn(&self, object: impl Into<Arc<T>>) {
        let object = object.into();
        let state = &mut *self.lock();
        if state.wants(object.key()) && !state.is_outdated(&object) && !state.has_gone_since(&object) {
            state.objects.insert(object.key().clone(), object);
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
        let mut state = self.lock();
        let listed = state.listed.take().unwrap_or_default();
        let gone: Vec<(ObjectKey, Arc<T>)> =
            state.objects.extract_if(|key, _| !listed.contains(key)).collect();
        state.has_listed = true;
        drop(state);
        self.settled.notify_all();
        for (key, before) in &gone {
            (self.listener)(News::Changed { key, before: Some(before), now: None });
        }
    }

    pub(super) fn present(&self, object: T) {
        if !(self.keeps)(&object) {
            return;
        }
        let mut state = self.lock();
        if !state.wants(object.key()) {
            return;
        }
        let key = object.key().clone();
        if let Some(listed) = &mut state.listed {
            listed.insert(key.clone());
        }
        if state.is_outdated(&object) {
            return;
        }
        let now = Arc::new(object);
        let before = state.objects.insert(key.clone(), Arc::clone(&now));
        drop(state);
        if before.as_ref() != Some(&now) {
            (self.listener)(News::Changed { key: &key, before: before.as_deref(), now: Some(&now) });
        }
    }

    pub(super) fn gone(&self, object: &T) {
        let mut state = self.lock();
        if state.is_outdated(object) {
            return;
        }
        if let Some(gone) = state.wanted.as_mut().and_then(|wanted| wanted.get_mut(object.key())) {
            *gone = Some(object.version().to_owned());
        } else if !state.objects.contains_key(object.key()) {
            return;
        }
        let before = state.objects.remove(object.key());
        drop(state);
        (self.listener)(News::Changed { key: object.key(), before: before.as_deref(), now: None });
    }

    pub(super) fn stand(&self, standing: Standing) {
        let mut state = self.lock();
        let is_news = std::mem::replace(&mut state.standing, standing) != standing;
        drop(state);
        if is_news {
            (self.listener)(News::Standing(standing));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }
}

impl<T: Watched> State<T> {
    fn wants(&self, key: &ObjectKey) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains_key(key))
    }

    /// True when the watch has told that the object went after it was as it is given here.
    fn has_gone_since(&self, object: &T) -> bool {
        let gone = self.wanted.as_ref().and_then(|wanted| wanted.get(object.key())?.as_deref());
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

    fn noting(told: &Told) -> impl Fn(News<'_, SecretMeta>) + Send + Sync + 'static {
        let told = Arc::clone(told);
        move |news| {
            let version =
                |object: Option<&SecretMeta>| object.map_or("-", |object| object.version()).to_owned();
            told.lock().push(match news {
                News::Changed { key, before, now } => {
                    format!("{} {} {}", key.name, version(before), version(now))
                }
                News::Standing(standing) => format!("{standing:?}"),
            });
        }
    }

    fn taken(told: &Told) -> Vec<String> {
        std::mem::take(&mut *told.lock())
    }

    #[test]
    fn what_nobody_wants_is_not_kept() {
        let told = Told::default();
        let cache = Cache::of_wanted(noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.want(&key);
        cache.present(secret("a", "1"));
        cache.present(secret("b", "2"));
        assert!(cache.get(&key).is_some());
        assert!(cache.get(&ObjectKey::new("team", "b")).is_none());
        cache.unwant(&key);
        assert!(cache.get(&key).is_none());
        cache.learn(secret("a", "3"));
        assert!(cache.get(&key).is_none());
        assert_eq!(taken(&told), ["a - 1"]);
    }

    #[test]
    fn what_is_not_picked_is_not_kept() {
        let told = Told::default();
        let cache = Cache::of_picked(|object: &SecretMeta| object.key.name != "b", noting(&told));
        cache.present(secret("a", "1"));
        cache.present(secret("b", "2"));
        assert_eq!(taken(&told), ["a - 1"]);
    }

    #[test]
    fn a_list_replaces_what_was_known() {
        let told = Told::default();
        let cache = Cache::of_picked(|_| true, noting(&told));
        for name in ["a", "b"] {
            cache.present(secret(name, "1"));
        }
        taken(&told);
        cache.begin_list();
        cache.present(secret("b", "1"));
        cache.present(secret("c", "5"));
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
        cache.learn(secret("a", "10"));
        cache.present(secret("a", "9"));
        cache.gone(&secret("a", "8"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        cache.present(secret("a", "10"));
        assert_eq!(taken(&told), Vec::<String>::new(), "nothing of this is news");
        cache.learn(secret("a", "7"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        cache.gone(&secret("a", "11"));
        assert_eq!(version(&cache), None);
        assert_eq!(taken(&told), ["a 10 -"]);
    }

    #[test]
    fn what_was_read_before_its_end_does_not_come_back_and_its_end_is_told_although_it_was_not_known() {
        let told = Told::default();
        let cache = Cache::of_wanted(noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.want(&key);
        cache.gone(&secret("a", "11"));
        cache.learn(secret("a", "10"));
        assert!(cache.get(&key).is_none());
        cache.learn(secret("a", "12"));
        assert!(cache.get(&key).is_some(), "it was made again");
        cache.gone(&secret("b", "13"));
        assert_eq!(taken(&told), ["a - -"]);
    }

    #[test]
    fn only_a_change_of_standing_is_told_and_only_an_open_watch_is_current() {
        let told = Told::default();
        let cache = Cache::of_picked(|_| true, noting(&told));
        let key = ObjectKey::new("team", "a");
        cache.learn(secret("a", "1"));
        assert!(cache.get_current(&key).is_none());
        assert!(cache.look(&key).is_none() && cache.look(&ObjectKey::new("team", "b")).is_none());
        for standing in [Standing::Current, Standing::Current, Standing::Behind] {
            cache.stand(standing);
            assert_eq!(cache.get_current(&key).is_some(), standing == Standing::Current);
            assert_eq!(
                cache.look(&ObjectKey::new("team", "b")),
                (standing == Standing::Current).then_some(None)
            );
        }
        assert_eq!(taken(&told), ["Current", "Behind"]);
    }
}
