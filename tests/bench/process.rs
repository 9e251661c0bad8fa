//! A process as `/proc` shows it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sys::mountinfo;

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// Resident memory in KiB: VmRSS.
    pub resident: u64,
    /// The part of it that no file backs, in KiB: RssAnon.
    pub anonymous: u64,
    /// The most that was ever resident, in KiB: VmHWM.
    pub peak: u64,
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub files: u64,
}

impl Snapshot {
    /// Looks at a process.
    pub fn of(pid: u32) -> Snapshot {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("the kernel shows no {name}"))
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is ours");
        Snapshot {
            resident: field("VmRSS:"),
            anonymous: field("RssAnon:"),
            peak: field("VmHWM:"),
            threads: field("Threads:"),
            files: u64::try_from(files.count()).expect("files are countable"),
        }
    }
}

/// What a process has used up so far.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Processor time, in steps of a hundredth of a second.
    pub processor: Duration,
    /// Switches of its present threads to others, by their will or not.
    pub switches: u64,
    /// Bytes that it has had written to storage.
    pub written: u64,
}

impl Cost {
    /// Looks at a process.
    pub fn of(pid: u32) -> Cost {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
        let switches = tasks.flatten().map(|task| {
            // A thread may end meanwhile.
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
            lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
        });
        let switches = switches.sum();
        let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("this process may look");
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        let written = written.and_then(|bytes| bytes.parse().ok()).expect("the kernel counts bytes");
        Cost { processor: processor_time(pid), switches, written }
    }

    /// What was used up since an earlier look.
    pub fn since(self, before: Cost) -> Cost {
        Cost {
            processor: self.processor.saturating_sub(before.processor),
            switches: self.switches.saturating_sub(before.switches),
            written: self.written.saturating_sub(before.written),
        }
    }
}

/// Processor time that a process has used so far, in steps of a hundredth of a second.
pub fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    // The name may hold anything; the numbers come after its closing parenthesis.
    let (_, numbers) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks: u64 = numbers
        .split_whitespace()
        .skip(USER_TIME)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("times are numbers"))
        .sum();
    Duration::from_millis(ticks * TICK_MILLIS)
}

/// The machine in general terms.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field(&read("/proc/cpuinfo"), "model name");
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let release =
        kernel.trim().split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default().to_owned();
    format!(
        "{cores} cores ({model}), {} GiB, Linux {release}, {}",
        memory.div_ceil(1024 * 1024),
        std::env::consts::ARCH
    )
}

/// Type of the file system that holds a path.
pub fn file_system_of(path: &Path) -> String {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    mountinfo::parse(&text)
        .into_iter()
        .filter(|mount| path.starts_with(&mount.mount_point))
        // Of mounts on one place the last one is on top.
        .max_by_key(|mount| mount.mount_point.as_os_str().len())
        .map_or("unknown".to_owned(), |mount| mount.fs_type)
}

/// Position of utime, with stime next to it, behind the name.
const USER_TIME: usize = 11;
/// USER_HZ is 100 on every architecture that Linux runs on today.
const TICK_MILLIS: u64 = 10;
