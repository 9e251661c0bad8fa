//! A collection that is followed from the first time that somebody needs it.

use std::sync::Arc;
use std::time::Duration;

use super::cache::Cache;
use super::reflector::{Reflector, Selection};
use crate::client::Client;
use crate::types::Watched;
use base::lock::Mutex;

/// Starts a reflector once.
pub struct Follower<T> {
    name: &'static str,
    client: Client,
    selection: Selection,
    cache: Arc<Cache<T>>,
    pause: Pause,
    is_started: Mutex<bool>,
}

/// Waits, and answers whether the process is about to end.
pub type Pause = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

impl<T: Watched> Follower<T> {
    /// Starts nothing yet. `name` is that of the thread to come.
    pub fn new(
        name: &'static str,
        client: Client,
        selection: Selection,
        cache: Arc<Cache<T>>,
        pause: Pause,
    ) -> Follower<T> {
        Follower { name, client, selection, cache, pause, is_started: Mutex::new(false) }
    }

    /// From now on the cache is kept like the collection. Where no thread can be started that is logged, and tried
    /// again the next time: until then the cache is not current, as its users have to expect anyway.
    pub fn follow(&self) {
        let mut is_started = self.is_started.lock();
        if *is_started {
            return;
        }
        let (client, selection, cache) =
            (self.client.clone(), self.selection.clone(), Arc::clone(&self.cache));
        let pause = Arc::clone(&self.pause);
        match Reflector::start(self.name, client, selection, cache, move |time| pause(time)) {
            Ok(()) => *is_started = true,
            Err(error) => log::error!(thread = self.name, error:% = error; "could not start a thread"),
        }
    }
}
