//! What a driver holds of the machine: mounts, names in kubelet's directory, descriptors, threads. Taken before a fault
//! and after it, since what is more afterwards was left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use kit::world::World;

/// One count of everything, by kind.
#[derive(Clone, Default)]
pub struct Census {
    things: BTreeMap<String, usize>,
    /// Most memory that was ever resident, in KiB, of all processes of the driver.
    pub peak: usize,
}

impl Census {
    /// Counts what there is.
    pub fn take(world: &World) -> Census {
        let mut census = Census::default();
        let root = world.path("");
        for mount in world.mounts() {
            census.add(format!("mount {}", below(&mount, &root)));
        }
        for name in ["pods", "csi", "providers"] {
            for path in tree(&world.path(name)) {
                census.add(format!("name {}", below(&path, &root)));
            }
        }
        let processes = family(world.driver().id());
        for (generation, pid) in processes {
            census.add_process(if generation == 0 { "" } else { "child's " }, pid, &root, &world.api.url());
        }
        census
    }

    /// What is more now than it was, in words; empty when nothing was left.
    pub fn more_than(&self, before: &Census) -> Vec<String> {
        let was = |thing: &str| before.things.get(thing).copied().unwrap_or_default();
        let more = self.things.iter().filter(|(thing, now)| **now > was(thing).max(allowed(thing)));
        more.map(|(thing, now)| format!("{thing}: {now} instead of {}", was(thing))).collect()
    }

    fn add_process(&mut self, whose: &str, pid: u32, root: &Path, api: &str) {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let sockets = sockets(&proc, root, api);
        for descriptor in entries(&proc.join("fd")) {
            // Closed meanwhile.
            let Ok(link) = fs::read_link(&descriptor) else { continue };
            let link = link.to_string_lossy();
            let kind = match link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
                Some(inode) => sockets.get(inode).cloned().unwrap_or("socket".to_owned()),
                None if link.starts_with("pipe:") => "pipe".to_owned(),
                None => below(Path::new(&*link), root),
            };
            self.add(format!("{whose}descriptor {kind}"));
        }
        for task in entries(&proc.join("task")) {
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            self.add(format!(
                "{whose}thread {}",
                name.trim_end().trim_end_matches(|c: char| c.is_ascii_digit())
            ));
        }
        self.peak += peak(&proc);
    }

    fn add(&mut self, thing: String) {
        *self.things.entry(thing).or_default() += 1;
    }
}

/// Processor time that the driver has used so far, its child's included, in milliseconds.
pub fn processor_millis(pid: u32) -> u64 {
    let of_one = |(_, pid): (usize, u32)| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may hold anything; the numbers come after its closing parenthesis.
        let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
        let times = numbers.split_whitespace().skip(USER_TIME).take(2);
        times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_MILLIS
    };
    family(pid).into_iter().map(of_one).sum()
}

/// A process and what it has started, with the generation of each.
fn family(pid: u32) -> Vec<(usize, u32)> {
    let mut family = vec![(0, pid)];
    let mut next = 0;
    while let Some((generation, pid)) = family.get(next).copied() {
        for task in entries(Path::new(&format!("/proc/{pid}/task"))) {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            family.extend(
                children.split_whitespace().filter_map(|pid| Some((generation + 1, pid.parse().ok()?))),
            );
        }
        next += 1;
    }
    family
}

/// What each socket of a process' network namespace is, by its inode.
fn sockets(proc: &Path, root: &Path, api: &str) -> BTreeMap<String, String> {
    let table = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    let mut sockets = BTreeMap::new();
    for line in table("unix").lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name =
            fields.get(7).map_or("unix".to_owned(), |path| format!("unix {}", below(Path::new(path), root)));
        sockets.insert(fields.get(6).copied().unwrap_or_default().to_owned(), name);
    }
    let api_port = api.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or_default();
    for line in table("tcp").lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_to_api = fields.get(2).is_some_and(|remote| remote.ends_with(&format!(":{api_port:04X}")));
        let name = if is_to_api { API_CONNECTION } else { "tcp" };
        sockets.insert(fields.get(9).copied().unwrap_or_default().to_owned(), name.to_owned());
    }
    sockets
}

/// What may stay for the next time, by design: a few idle connections to the API server; the gRPC library's threads, up
/// to two for timers and two of a kind for each core, which it starts when those that run are busy; and the descriptors
/// by which they are woken, as many as ever waited at once.
fn allowed(thing: &str) -> usize {
    match thing {
        _ if thing.ends_with(API_CONNECTION) => MOST_CONNECTIONS,
        _ if thing.ends_with("thread grpc_global_tim") => 2,
        _ if thing.ends_with("descriptor anon_inode:[eventfd]") => MOST_WAKERS,
        _ if thing.ends_with("thread default-executo") || thing.ends_with("thread event_engine") => {
            2 * thread::available_parallelism().map_or(1, usize::from)
        }
        _ => 0,
    }
}

fn peak(proc: &Path) -> usize {
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kibibytes| kibibytes.parse().ok()).unwrap_or_default()
}

/// Every name below a directory, mounts included.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Two for the threads that wait for kubelet, and two for those of each provider.
const MOST_WAKERS: usize = 6;
const API_CONNECTION: &str = "connection to the API server";
/// Eight that the driver keeps for later, and three that watch.
const MOST_CONNECTIONS: usize = 11;
/// Position of utime, with stime next to it, behind the name.
const USER_TIME: usize = 11;
/// USER_HZ is 100 on every architecture that Linux runs on today.
const TICK_MILLIS: u64 = 10;
