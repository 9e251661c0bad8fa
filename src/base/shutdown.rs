//! The wish to stop: a token that any thread can wait on, and the signals that trigger it.
//!
//! Knows nothing of what is being stopped. Nobody polls: whoever waits is woken. A second signal ends the
//! process inside the signal handler, so that even a process with every thread stuck can be stopped by hand.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::panics;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

/// Set once, never unset; clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_triggered: Mutex<bool>,
    changed: Condvar,
}

/// Signals could not be listened to.
#[derive(Debug)]
pub enum ShutdownError {
    /// The kernel refused a handler.
    Handler {
        /// What it said.
        source: io::Error,
    },
    /// No thread could be started to wait for signals.
    Thread {
        /// What the kernel said.
        source: io::Error,
    },
}

/// Listens to signals for as long as it lives. When dropped it ends its thread; a second signal still ends
/// the process.
#[derive(Debug)]
pub struct SignalWatch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Shutdown {
    /// A token that is not triggered.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Asks everybody to stop and wakes all who wait. Repeating it changes nothing.
    pub fn trigger(&self) {
        *self.lock() = true;
        self.0.changed.notify_all();
    }

    /// True from the first trigger on.
    pub fn is_triggered(&self) -> bool {
        *self.lock()
    }

    /// Blocks until triggered.
    pub fn wait(&self) {
        let woken = self.0.changed.wait_while(self.lock(), |is_triggered| !*is_triggered);
        drop(woken);
    }

    /// Blocks until triggered or until `limit` has passed; true when triggered.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let woken = self.0.changed.wait_timeout_while(self.lock(), limit, |is_triggered| !*is_triggered);
        let (guard, _) = woken;
        *guard
    }

    /// Triggers this token at the first SIGTERM or SIGINT; the second ends the process at once with exit code
    /// 1.
    pub fn on_signals(&self) -> Result<SignalWatch, ShutdownError> {
        let handler = |source| ShutdownError::Handler { source };
        let is_armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: the first signal finds the flag unset and sets it, the second finds it set.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&is_armed)).map_err(handler)?;
            flag::register(signal, Arc::clone(&is_armed)).map_err(handler)?;
        }
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(handler)?;
        let handle = signals.handle();
        let token = self.clone();
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    log::info!(signal = signal; "received a signal, shutting down");
                    token.trigger();
                }
            })
            .map_err(|source| ShutdownError::Thread { source })?;
        Ok(SignalWatch { handle, thread: Some(thread) })
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.is_triggered.lock()
    }
}

/// Goes on at SIGTERM and SIGINT. For a process that another one ends in its own time: whoever stops a service may send
/// them to all of its processes at once.
pub fn outlive_signals() -> Result<(), ShutdownError> {
    for signal in [SIGTERM, SIGINT] {
        // Nobody reads the flag: it is there because a handler has to do something.
        flag::register(signal, Arc::default()).map_err(|source| ShutdownError::Handler { source })?;
    }
    Ok(())
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            panics::joined(thread.join());
        }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShutdownError::Handler { source } => write!(f, "could not listen to signals: {source}"),
            ShutdownError::Thread { source } => write!(f, "could not start the signals thread: {source}"),
        }
    }
}

impl std::error::Error for ShutdownError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ShutdownError::Handler { source } | ShutdownError::Thread { source } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use signal_hook::low_level;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_fresh_token_is_not_triggered_and_a_short_wait_ends() {
        let token = Shutdown::new();
        assert!(!token.is_triggered());
        assert!(!token.wait_timeout(Duration::from_millis(1)));
    }

    #[test]
    fn a_trigger_wakes_every_clone() {
        let token = Shutdown::new();
        let waiting: Vec<_> = [token.clone(), token.clone()]
            .into_iter()
            .map(|clone| thread::spawn(move || clone.wait_timeout(PATIENCE)))
            .collect();
        let forever = token.clone();
        let without_limit = thread::spawn(move || forever.wait());
        token.trigger();
        token.trigger();
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
        without_limit.join().unwrap();
        assert!(token.is_triggered());
    }

    #[test]
    fn a_triggered_token_does_not_block() {
        let token = Shutdown::new();
        token.trigger();
        token.wait();
        assert!(token.wait_timeout(Duration::MAX));
    }

    #[test]
    fn the_longest_wait_is_no_overflow() {
        let token = Shutdown::new();
        let clone = token.clone();
        let thread = thread::spawn(move || clone.wait_timeout(Duration::MAX));
        token.trigger();
        assert!(thread.join().unwrap());
    }

    // Signals concern a whole process, so each case runs this test binary once more, for itself alone.

    #[test]
    fn the_first_signal_triggers_the_token() {
        let output = run_alone("child_raises_one_signal");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        assert!(stdout.contains("1 passed"), "{stdout}");
    }

    #[test]
    fn the_second_signal_ends_the_process_with_exit_code_1() {
        let output = run_alone("child_raises_two_signals");
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    }

    fn run_alone(name: &str) -> Output {
        let module = module_path!().split_once("::").unwrap().1;
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{name}"), "--ignored"])
            .output()
            .unwrap()
    }

    #[test]
    #[ignore = "raises a signal; run by the_first_signal_triggers_the_token in a process of its own"]
    fn child_raises_one_signal() {
        let token = Shutdown::new();
        let watch = token.on_signals().unwrap();
        low_level::raise(SIGTERM).unwrap();
        assert!(token.wait_timeout(PATIENCE));
        drop(watch);
    }

    #[test]
    #[ignore = "ends the process; run by the_second_signal_ends_the_process_with_exit_code_1"]
    fn child_raises_two_signals() {
        let token = Shutdown::new();
        let _watch = token.on_signals().unwrap();
        low_level::raise(SIGTERM).unwrap();
        low_level::raise(SIGINT).unwrap();
        panic!("the second signal did not end the process");
    }
}
