//! The driver and its mounter as `/proc` shows them.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// A process, which is no other although its number may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    id: u32,
    /// When it began, in ticks of the kernel's.
    begun: u64,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    /// Resident memory in KiB.
    pub resident: u64,
    /// The part of it that no file backs, in KiB.
    pub anonymous: u64,
    pub descriptors: u64,
    pub threads: u64,
}

impl Process {
    /// The process of that number, if there is one that has not ended.
    pub fn of(id: u32) -> Option<Process> {
        let fields = fields(id)?;
        // One that has ended, and whose parent has not looked yet, holds nothing any more.
        let is_there = !["Z", "X"].contains(&fields.first()?.as_str());
        is_there.then_some(Process { id, begun: fields.get(BEGUN)?.parse().ok()? })
    }

    pub fn is_there(&self) -> bool {
        Process::of(self.id) == Some(*self)
    }

    /// What it has started.
    pub fn children(&self) -> Vec<Process> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id)).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let ids = lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        ids.filter_map(|id| Process::of(id.parse().ok()?)).collect()
    }

    /// What it holds; none when it has ended.
    pub fn holding(&self) -> Option<Holding> {
        // The sums in `status` are put together from counters of each processor, and may be off by a hundred KiB.
        let memory = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id)).ok()?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let descriptors = fs::read_dir(Path::new("/proc").join(self.id.to_string()).join("fd")).ok()?;
        Some(Holding {
            resident: field(&memory, "Rss:")?,
            anonymous: field(&memory, "Anonymous:")?,
            descriptors: u64::try_from(descriptors.count()).ok()?,
            threads: field(&status, "Threads:")?,
        })
    }

    /// Processor time that it has used so far, in steps of a hundredth of a second.
    pub fn processor_time(&self) -> Duration {
        let fields = fields(self.id).unwrap_or_default();
        let ticks = fields.iter().skip(USER_TIME).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * TICK_MILLIS)
    }
}

/// What the kernel says of a process, from its state on.
fn fields(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything; what follows comes after its closing parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Position of utime, with stime next to it, behind the name.
const USER_TIME: usize = 11;
/// Position of the time at which it began.
const BEGUN: usize = 19;
/// USER_HZ is 100 on every architecture that Linux runs on today.
const TICK_MILLIS: u64 = 10;
