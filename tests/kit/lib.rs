//! What the tests, the demonstration and the benchmark stand on: the real driver as a process, scripted and reference
//! providers on real sockets, and a client that calls as kubelet does. The double of the API server is a crate of its
//! own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test stands on ends the test where it cannot go on"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

pub mod api_cases;
pub mod driver;
pub mod elf;
pub mod gate;
pub mod habits;
pub mod http2;
pub mod kubelet;
pub mod mirror;
pub mod objects;
pub mod plugin_watcher;
pub mod provider;
pub mod random;
pub mod raw;
pub mod registrar;
pub mod repository;
pub mod scene;
pub mod shell;
pub mod tokens;
pub mod watcher;
pub mod wire;
pub mod world;
pub mod yaml;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once: long, since a busy machine may be slow, and
/// never slept through.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Held while this process has another umask for a moment, and while it starts one that would inherit it.
pub fn umask_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` holds, or panics with what was waited for.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
