//! What wakes the loop: rung by whoever has news, heard by the loop. News of a version that the loop itself has written is
//! none.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::lock::{Condvar, Mutex, MutexGuard};

/// Clones are the same bell.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<Rung>, Condvar)>);

#[derive(Default)]
struct Rung {
    is_rung: bool,
    /// Versions of objects that it was rung for.
    versions: HashSet<String>,
}

impl Bell {
    /// Wakes the loop, or lets it go round once more if it is awake.
    pub fn ring(&self) {
        self.lock().is_rung = true;
        self.0.1.notify_all();
    }

    /// The same for an object that has become this version.
    pub fn ring_for(&self, version: &str) {
        self.lock().versions.insert(version.to_owned());
        self.0.1.notify_all();
    }

    /// That version is the loop's own.
    pub fn hush(&self, version: &str) {
        self.lock().versions.remove(version);
    }

    /// Waits until it rings, or for that long; true when it rang.
    pub fn wait(&self, limit: Duration) -> bool {
        let (mut rung, _) = self.0.1.wait_timeout_while(self.lock(), limit, |rung| !rung.is_news());
        std::mem::take(&mut *rung).is_news()
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.0.0.lock()
    }
}

impl Rung {
    fn is_news(&self) -> bool {
        self.is_rung || !self.versions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_once_even_when_nobody_was_listening() {
        let bell = Bell::default();
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }

    #[test]
    fn the_loops_own_versions_are_no_news_and_another_one_beside_them_is() {
        let bell = Bell::default();
        bell.ring_for("7");
        bell.hush("7");
        assert!(!bell.wait(Duration::ZERO));
        for version in ["6", "7"] {
            bell.ring_for(version);
        }
        bell.hush("7");
        assert!(bell.wait(Duration::ZERO), "somebody was faster");
        assert!(!bell.wait(Duration::ZERO));
    }
}
