//! The SecretProviderClasses that volumes of this node use.
//!
//! A first publish reads its class: what was applied a moment ago counts. Refreshes come every minute or two for every
//! volume, so they take it from a watch, which costs no request; where the watch is down, they read as well.
//!
//! A class that is larger than a class should be is used like any other, but not all of it is held while it is in use:
//! the rest is read for each call of its provider, by a few publishes at a time, so that many of them take no more
//! memory than these.
//!
//! A class is followed from before it is read, when no volume uses it yet. If none comes of it, nobody would ever let
//! it go: so a first publish holds a [`Need`], and whoever ends last, publish or volume, lets the class go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::lock::{Mutex, MutexGuard};
use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::gate::{Gate, Line, Pass};
use kube::types::{ObjectKey, SecretProviderClass};
use kube::watch::{Cache, Follower, Pause, Selection};

use super::volumes::Volumes;

/// Reads classes, and follows those that are in use.
pub struct Classes {
    client: Client,
    cache: Arc<Cache<SecretProviderClass>>,
    follower: Follower<SecretProviderClass>,
    /// Classes that publishes in hand need, and how many of these there are.
    needed: Mutex<HashMap<ObjectKey, usize>>,
    /// Turns of those who ask a provider with much in hand.
    turns: Gate,
    /// Classes that are too large, and what was said of each.
    told: Mutex<HashMap<ObjectKey, String>>,
}

impl Classes {
    /// Follows nothing yet: that begins with the first class that is read.
    pub fn new(client: Client, pause: Pause) -> Classes {
        let cache = Arc::new(Cache::of_tracked(|_| {}));
        let (followed, selection) = (Arc::clone(&cache), Selection::default());
        let follower = Follower::new("watch-classes", client.clone(), selection, followed, pause);
        let turns = Gate::new(MOST_LARGE_AT_ONCE);
        Classes { client, cache, follower, needed: Mutex::default(), turns, told: Mutex::default() }
    }

    /// A class for a publish that may make a volume of it.
    pub fn need<'a>(&'a self, key: ObjectKey, volumes: &'a Volumes) -> Need<'a> {
        *self.lock().entry(key.clone()).or_default() += 1;
        Need { classes: self, volumes, key }
    }

    /// The class as the API server has it now.
    fn read(&self, key: &ObjectKey, budget: Budget) -> Result<Arc<SecretProviderClass>, ApiError> {
        // Wanted before it is read, so that no change in between is missed.
        self.cache.track(key);
        self.follower.follow();
        match self.client.class(&key.namespace, &key.name, budget) {
            Ok(class) => {
                // Volumes of one class share it.
                let known = self.cache.get(key).filter(|known| **known == class);
                let class = known.unwrap_or_else(|| Arc::new(class));
                self.cache.insert(Arc::clone(&class));
                Ok(class)
            }
            Err(error) => {
                if error.is_not_found() {
                    self.cache.forget(key);
                }
                Err(error)
            }
        }
    }

    /// The class as the watch has it; read where the watch cannot tell.
    pub fn followed(&self, key: &ObjectKey, budget: Budget) -> Result<Arc<SecretProviderClass>, ApiError> {
        match self.cache.get_current(key) {
            Some(class) => Ok(class),
            None => self.read(key, budget),
        }
    }

    /// The class as the API server has it now, with all of its parameters.
    pub fn whole(&self, key: &ObjectKey, budget: Budget) -> Result<SecretProviderClass, ApiError> {
        self.client.whole_class(key, budget)
    }

    /// Waits, at most that long, until this publish may have much in hand; none when its turn did not come.
    pub fn turn(&self, patience: Duration) -> Option<Pass<'_>> {
        self.turns.enter(Line::Second, patience)
    }

    /// What a class has too much of, if that has not been said of it yet.
    pub fn excess_to_tell(&self, class: &SecretProviderClass) -> Option<String> {
        let excess = class.excess();
        let mut told = self.told.lock();
        let Some(excess) = excess else {
            told.remove(&class.key);
            return None;
        };
        let before = told.insert(class.key.clone(), excess.clone());
        Some(excess).filter(|excess| before.as_ref() != Some(excess))
    }

    /// Lets the class go, unless a volume uses it or a publish needs it.
    pub fn release(&self, key: &ObjectKey, volumes: &Volumes) {
        self.release_unneeded(&self.lock(), key, volumes);
    }

    /// Under the lock: who begins to need the class meanwhile waits, and wants it after it was let go. A publish that
    /// has made its volume has told so before it ceases to need the class.
    fn release_unneeded(&self, needed: &HashMap<ObjectKey, usize>, key: &ObjectKey, volumes: &Volumes) {
        if !needed.contains_key(key) && !volumes.any_uses(key) {
            self.cache.untrack(key);
            self.told.lock().remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, usize>> {
        self.needed.lock()
    }
}

/// A class that a first publish needs. When this is dropped and no volume has come of it, the class is let go.
pub struct Need<'a> {
    classes: &'a Classes,
    volumes: &'a Volumes,
    key: ObjectKey,
}

impl Need<'_> {
    /// The class as the API server has it now.
    pub fn read(&self, budget: Budget) -> Result<Arc<SecretProviderClass>, ApiError> {
        self.classes.read(&self.key, budget)
    }
}

impl Drop for Need<'_> {
    fn drop(&mut self) {
        let mut needed = self.classes.lock();
        if let Some(count) = needed.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                needed.remove(&self.key);
            }
        }
        self.classes.release_unneeded(&needed, &self.key, self.volumes);
    }
}

/// Publishes that have much in hand at once: some eight MiB each, with what the libraries copy of it.
const MOST_LARGE_AT_ONCE: usize = 2;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::volumes::Record;
    use super::*;
    use api_server::{ApiServer, Matcher};
    use kube::config::ClusterConfig;

    /// Generous, because a loaded machine must not fail a test.
    const PATIENCE: Duration = Duration::from_secs(30);
    const CLASSES_PATH: &str = "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses";
    const TARGET: &str = "/pods/a/mount";

    /// Classes of a server that has one, and the volumes that use them.
    struct Rig {
        server: ApiServer,
        classes: Classes,
        volumes: Volumes,
    }

    impl Rig {
        fn start() -> Rig {
            let server = ApiServer::start();
            server.put(json!({
                "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
                "metadata": {"namespace": "team", "name": "a"}, "spec": {"provider": "p"},
            }));
            // Only what is read and let go is looked at, and not what a watch would bring.
            server.fail_always(Matcher::verb("list").and_path(CLASSES_PATH), 403);
            let config = ClusterConfig {
                server: server.url(),
                ca_file: None,
                token_file: None,
                request_timeout: PATIENCE,
                user_agent: "csi-secrets-store/test".to_owned(),
            };
            let client = Client::new(&config, Arc::new(|_: &str, _: &str| {})).unwrap();
            let classes = Classes::new(client, Arc::new(|_| true));
            Rig { server, classes, volumes: Volumes::default() }
        }

        fn need(&self) -> Need<'_> {
            self.classes.need(key(), &self.volumes)
        }

        fn begin_use(&self, class: Arc<SecretProviderClass>) {
            self.volumes.remember(TARGET, Record { class: Some(class), ..Record::default() });
        }

        /// As when the last volume is taken down.
        fn end_use(&self) {
            self.volumes.forget(TARGET);
            self.classes.release(&key(), &self.volumes);
        }

        fn is_kept(&self) -> bool {
            self.classes.cache.get(&key()).is_some()
        }
    }

    fn key() -> ObjectKey {
        ObjectKey::new("team", "a")
    }

    fn budget() -> Budget {
        Budget::lasting(PATIENCE)
    }

    #[test]
    fn a_class_of_which_no_volume_has_come_is_let_go() {
        let rig = Rig::start();
        let need = rig.need();
        need.read(budget()).unwrap();
        assert!(rig.is_kept());
        drop(need);
        assert!(!rig.is_kept());
        assert!(rig.classes.lock().is_empty());
    }

    #[test]
    fn a_class_that_could_not_be_read_is_let_go_as_well() {
        let rig = Rig::start();
        rig.server.fail_next(1, Matcher::verb("get"), 403, None);
        let need = rig.need();
        need.read(budget()).unwrap_err();
        drop(need);
        rig.classes.cache.insert(rig.classes.client.class("team", "a", budget()).unwrap());
        assert!(!rig.is_kept(), "nobody wants it any longer");
    }

    #[test]
    fn a_class_that_a_volume_uses_is_kept_when_another_publish_fails() {
        let rig = Rig::start();
        let need = rig.need();
        rig.begin_use(need.read(budget()).unwrap());
        drop(need);
        let failing = rig.need();
        failing.read(budget()).unwrap();
        drop(failing);
        assert!(rig.is_kept());
        rig.end_use();
        assert!(!rig.is_kept());
    }

    #[test]
    fn a_class_that_a_publish_needs_outlasts_the_publish_that_fails_and_the_volume_that_ends() {
        let rig = Rig::start();
        let (failing, other) = (rig.need(), rig.need());
        let class = other.read(budget()).unwrap();
        failing.read(budget()).unwrap();
        drop(failing);
        assert!(rig.is_kept());
        rig.begin_use(Arc::clone(&class));
        rig.end_use();
        assert!(rig.is_kept());
        rig.begin_use(class);
        drop(other);
        assert!(rig.is_kept(), "a volume has come of it");
    }
}
