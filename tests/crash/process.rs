//! Processes of the driver's program: its helpers, and those that nobody waits for any more.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kit::PATIENCE;

/// Processes that this one has started and that are still there.
pub fn children(parent: u32) -> Vec<u32> {
    all().into_iter().filter(|process| process.parent == parent).map(|process| process.id).collect()
}

/// The threads of a process that have this name.
pub fn threads(process: u32, name: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_named = |id: &u32| {
        std::fs::read_to_string(format!("/proc/{process}/task/{id}/comm"))
            .is_ok_and(|found| found.trim() == name)
    };
    ids.filter(is_named).collect()
}

/// Waits until a process has ended; false when it does not.
pub fn ends(id: u32) -> bool {
    let until = Instant::now() + PATIENCE;
    while is_alive(id) {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// True while a process runs.
pub fn is_alive(id: u32) -> bool {
    all().iter().any(|process| process.id == id)
}

/// Waits until no process of this program is left but these and their children; those that stay.
pub fn strays(program: &Path, known: &[u32]) -> Vec<u32> {
    let until = Instant::now() + PATIENCE;
    loop {
        let strays: Vec<u32> = all()
            .into_iter()
            .filter(|process| !known.contains(&process.id) && !known.contains(&process.parent))
            .filter(|process| is_ours(process.id, program))
            .map(|process| process.id)
            .collect();
        if strays.is_empty() || Instant::now() > until {
            return strays;
        }
        thread::sleep(PAUSE);
    }
}

struct Process {
    id: u32,
    parent: u32,
}

fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("the kernel lists processes").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold anything; what follows its closing parenthesis are the state and the parent.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // One that has ended, and whose parent has not looked yet, holds nothing any more.
        (state != "Z" && state != "X").then_some(Process { id, parent })
    })
    .collect()
}

/// True when a process runs this program within this very namespace of mounts, which is the sandbox's own.
fn is_ours(id: u32, program: &Path) -> bool {
    let link = |name: &str| std::fs::read_link(format!("/proc/{id}/{name}")).ok();
    let own = std::fs::read_link("/proc/self/ns/mnt").ok();
    link("exe").as_deref() == Some(program) && link("ns/mnt") == own
}

const PAUSE: Duration = Duration::from_millis(5);
