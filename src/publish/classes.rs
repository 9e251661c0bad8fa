//! The SecretProviderClasses that volumes of this node use.
//!
//! A first publish reads its class: what was applied a moment ago counts. Refreshes come every minute or two for every
//! volume, so they take it from a watch, which costs no request; where the watch is down, they read as well.

use std::sync::Arc;

use crate::kube::budget::Budget;
use crate::kube::client::Client;
use crate::kube::error::ApiError;
use crate::kube::types::{ObjectKey, SecretProviderClass};
use crate::kube::watch::{Cache, Follower, Pause, Selection};

/// Reads classes, and follows those that are in use.
pub struct Classes {
    client: Client,
    cache: Arc<Cache<SecretProviderClass>>,
    follower: Follower<SecretProviderClass>,
}

impl Classes {
    /// Follows nothing yet: that begins with the first class that is read.
    pub fn new(client: Client, pause: Pause) -> Classes {
        let cache = Arc::new(Cache::of_wanted(|_| {}));
        let (followed, selection) = (Arc::clone(&cache), Selection::default());
        let follower = Follower::new("watch-classes", client.clone(), selection, followed, pause);
        Classes { client, cache, follower }
    }

    /// The class as the API server has it now.
    pub fn read(&self, key: &ObjectKey, budget: Budget) -> Result<Arc<SecretProviderClass>, ApiError> {
        // Wanted before it is read, so that no change in between is missed.
        self.cache.want(key);
        self.follower.follow();
        match self.client.class(&key.namespace, &key.name, budget) {
            Ok(class) => {
                self.cache.learn(class.clone());
                Ok(Arc::new(class))
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

    /// No volume uses the class any longer.
    pub fn release(&self, key: &ObjectKey) {
        self.cache.unwant(key);
    }
}
