//! An application in the pod: a thread that reads all files of the volume over and over.
//!
//! It reads them in two ways. By their names, each has to hold one of the contents that the store has had. Through
//! the directory that `..data` names at that moment, all of them together have to be one state of the store, and
//! states never come back. A file that vanishes between two steps belonged to a directory that was replaced just
//! then: the reader looks again, as the next state is there already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base::secret::SecretBytes;

use crate::store::Objects;
use kit::eventually;

/// The running reader.
pub struct Reader {
    seen: Arc<Mutex<Seen>>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it may see, and what it saw.
#[derive(Default)]
struct Seen {
    /// The store's states up to now, the latest last, and how often each was read.
    states: Vec<(Objects, u64)>,
    /// The state that was read last.
    latest: usize,
    /// The first thing that must not be.
    fault: Option<String>,
}

impl Reader {
    /// Begins to read the volume, which holds `now`.
    pub fn start(volume: &Path, now: &Objects) -> Reader {
        let seen = Arc::new(Mutex::new(Seen { states: vec![(now.clone(), 0)], ..Seen::default() }));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (volume, shared, stop) = (volume.to_owned(), Arc::clone(&seen), Arc::clone(&is_stopped));
        let named = std::thread::Builder::new().name("application".to_owned());
        let thread = named.spawn(move || {
            let mut vanished = 0;
            while !stop.load(Ordering::SeqCst) && shared.lock().unwrap().fault.is_none() {
                match round(&volume, &shared) {
                    Ok(()) => vanished = 0,
                    Err(error) if error.kind() == io::ErrorKind::NotFound && vanished < PATIENCE_ROUNDS => {
                        vanished += 1;
                    }
                    Err(error) => {
                        shared.lock().unwrap().fault = Some(format!("a file did not open: {error}"))
                    }
                }
                // Leaves the processors to those who do the work.
                std::thread::sleep(PAUSE);
            }
        });
        let thread = Some(thread.expect("a thread can be started"));
        Reader { seen, is_stopped, thread }
    }

    /// From now on the reader may see this as well.
    pub fn expect(&self, next: &Objects) {
        self.seen.lock().unwrap().states.push((next.clone(), 0));
    }

    /// Waits until it has seen the latest state, or what must not be.
    pub fn wait_for_latest(&self) {
        let is_done =
            |seen: &Seen| seen.states.last().is_some_and(|(_, count)| *count > 0) || seen.fault.is_some();
        eventually("the application has read the new files", || is_done(&self.seen.lock().unwrap()));
    }

    /// How often it has read the latest state.
    pub fn latest_reads(&self) -> u64 {
        self.seen.lock().unwrap().states.last().map_or(0, |(_, count)| *count)
    }

    /// Waits until it has read the latest state once more, begun after this call, or found what must not be.
    pub fn wait_for_another(&self) {
        // One round may have been under way.
        let enough = self.latest_reads() + 2;
        eventually("the application has read the files again", || {
            self.latest_reads() >= enough || self.fault().is_some()
        });
    }

    /// How often it has read each state.
    pub fn counts(&self) -> Vec<u64> {
        self.seen.lock().unwrap().states.iter().map(|(_, count)| *count).collect()
    }

    /// What it saw and must not.
    pub fn fault(&self) -> Option<String> {
        self.seen.lock().unwrap().fault.clone()
    }

    /// Stops reading.
    pub fn stop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader does not panic");
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads everything once.
fn round(volume: &Path, shared: &Mutex<Seen>) -> io::Result<()> {
    let names: Vec<String> = shared.lock().unwrap().states[0].0.keys().cloned().collect();
    let read = |directory: PathBuf| -> io::Result<Objects> {
        let file = |name: &String| Ok((name.clone(), SecretBytes::new(fs::read(directory.join(name))?)));
        names.iter().map(file).collect()
    };
    let together = read(volume.join(fs::read_link(volume.join("..data"))?))?;
    let by_name = read(volume.to_owned())?;
    let mut seen = shared.lock().unwrap();
    let Some(state) = seen.states.iter().rposition(|(objects, _)| *objects == together) else {
        seen.fault = Some("files that are no state of the store, but a mix or a part of one".to_owned());
        return Ok(());
    };
    if state < seen.latest {
        seen.fault = Some("old files after new ones".to_owned());
        return Ok(());
    }
    seen.latest = state;
    seen.states[state].1 += 1;
    // The switch may have come after the first reading: what is read later may be newer, and never older.
    let later = &seen.states[state..];
    let is_known = |(name, contents)| later.iter().any(|(objects, _)| objects.get(name) == Some(contents));
    if let Some((name, _)) = by_name.iter().find(|file| !is_known((file.0, file.1))) {
        seen.fault = Some(format!("a content of {name:?} that the store never had at that time"));
    }
    Ok(())
}

/// Far more rounds than a switch takes.
const PATIENCE_ROUNDS: u32 = 1000;
const PAUSE: Duration = Duration::from_micros(200);
