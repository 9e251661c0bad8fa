//! The driver that runs here: found by its command line, which every process shows, even one whose memory is hidden.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::finding::Finding;
use super::options::Like;
use mounter::program;
use sys::proc;

/// What is known of the driver's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// It runs.
    Found {
        /// Its id.
        pid: u32,
        /// What it was started with, its own name excluded.
        arguments: Vec<OsString>,
    },
    /// It runs, and its flags are not those of this version.
    Strange {
        /// Its id.
        pid: u32,
    },
    /// Several run, and none of them is the first process of its container.
    Several {
        /// Their ids.
        pids: Vec<u32>,
    },
    /// One runs in a container, where other paths hold than here.
    Elsewhere {
        /// Its id.
        pid: u32,
    },
    /// None is seen.
    Absent,
    /// Nobody was to be looked for.
    NotAsked,
}

/// A process, as far as one can see from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id here.
    pub pid: u32,
    /// Its command line.
    pub command: Vec<OsString>,
    /// It lives in a container within this one's.
    pub is_contained: bool,
}

/// Looks for it. `program` is the name under which this program was started.
pub fn find(like: Like, program: &OsStr) -> Running {
    match like {
        Like::Nobody => Running::NotAsked,
        Like::Process(pid) => match process(pid) {
            Some(Process { command, .. }) => {
                Running::Found { pid, arguments: command.into_iter().skip(1).collect() }
            }
            None => Running::Absent,
        },
        Like::Found => {
            let own = std::process::id();
            let ids = proc::processes().unwrap_or_default();
            let others = ids.into_iter().filter(|pid| *pid != own).filter_map(process);
            choose(others.collect(), program)
        }
    }
}

/// The one of these that is the driver: it runs this same program, and no subcommand of it.
fn choose(processes: Vec<Process>, program: &OsStr) -> Running {
    let name = |path: &OsStr| Path::new(path).file_name().map(OsStr::to_owned);
    let is_driver = |process: &Process| match process.command.as_slice() {
        [first, rest @ ..] => {
            name(first).is_some()
                && name(first) == name(program)
                && rest.first().is_none_or(|word| word != super::SUBCOMMAND && word != program::SUBCOMMAND)
        }
        [] => false,
    };
    let (contained, mut here): (Vec<_>, Vec<_>) =
        processes.into_iter().filter(is_driver).partition(|process| process.is_contained);
    // In a pod the driver is the first process, whatever else was started there by hand.
    if here.iter().any(|process| process.pid == 1) {
        here.retain(|process| process.pid == 1);
    }
    match here.as_mut_slice() {
        [Process { pid, command, .. }] => {
            Running::Found { pid: *pid, arguments: command.drain(..).skip(1).collect() }
        }
        [] => contained.first().map_or(Running::Absent, |process| Running::Elsewhere { pid: process.pid }),
        several => Running::Several { pids: several.iter().map(|process| process.pid).collect() },
    }
}

/// The process of that id; none where it is gone, or is the kernel's own.
fn process(pid: u32) -> Option<Process> {
    let line = proc::read(format!("/proc/{pid}/cmdline")).ok()?;
    let status = proc::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let command = words(&line);
    (!command.is_empty()).then_some(Process { pid, command, is_contained: is_contained(&status) })
}

/// Each word of a command line ends with a zero.
fn words(line: &[u8]) -> Vec<OsString> {
    let Some(line) = line.strip_suffix(b"\0") else { return Vec::new() };
    line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// Whether it has a further id in a namespace of processes within this one.
fn is_contained(status: &[u8]) -> bool {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    line.is_some_and(|ids| OsStr::from_bytes(ids).to_string_lossy().split_whitespace().count() > 1)
}

/// The finding.
pub fn judge(running: &Running) -> Finding {
    const CHECK: &str = "driver-process";
    const NO_FLAGS: &str = "settings are this command line's and defaults";
    match running {
        Running::Found { pid, .. } => Finding::good(
            CHECK,
            format!("process {pid}; its flags are taken, with this command line's on top"),
        ),
        Running::Strange { pid } => Finding::unknown(
            CHECK,
            format!("process {pid} has flags that this version does not know: {NO_FLAGS}"),
        )
        .mended_by("use the doctor of the program that runs: kubectl exec into its pod"),
        Running::Several { pids } => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            Finding::unknown(CHECK, format!("several drivers run here: {}; {NO_FLAGS}", pids.join(", ")))
                .mended_by("name yours with --pid")
        }
        Running::Elsewhere { pid } => Finding::unknown(
            CHECK,
            format!("process {pid} runs in a container, with paths of its own: {NO_FLAGS}"),
        )
        .mended_by(EXEC),
        Running::Absent => Finding::warning(CHECK, format!("no driver runs here: {NO_FLAGS}"), EXEC),
        Running::NotAsked => Finding::unknown(CHECK, format!("not looked for: {NO_FLAGS}")),
    }
}

/// Where the settings come from, for the head of the report.
pub fn origin(running: &Running) -> String {
    match running {
        Running::Found { pid, .. } => format!("settings of process {pid} and of this command line"),
        _ => "settings of this command line alone".to_owned(),
    }
}

const EXEC: &str = "run it in the driver's pod: kubectl exec -n kube-system <pod> -c secrets-store -- \
                    /secrets-store-csi-driver doctor; if there is no such pod on this node, look at the DaemonSet's \
                    node selector and tolerations";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    fn process(pid: u32, line: &str, is_contained: bool) -> Process {
        Process { pid, command: line.split(' ').map(OsString::from).collect(), is_contained }
    }

    #[test]
    fn the_driver_is_told_from_everything_else() {
        let driver = "/secrets-store-csi-driver --nodeid=a";
        let found = |pid| Running::Found { pid, arguments: vec![OsString::from("--nodeid=a")] };
        let rows = [
            ("alone", vec![process(1, driver, false)], found(1)),
            (
                "by another path",
                vec![process(9, "/opt/secrets-store-csi-driver --nodeid=a", false)],
                found(9),
            ),
            ("beside others", vec![process(1, "/pause", false), process(9, driver, false)], found(9)),
            (
                "beside a doctor",
                vec![process(1, driver, false), process(8, "/secrets-store-csi-driver doctor", false)],
                found(1),
            ),
            ("first in the pod", vec![process(1, driver, false), process(7, driver, false)], found(1)),
            ("beside a container", vec![process(40, driver, true), process(50, driver, false)], found(50)),
            ("in a container", vec![process(40, driver, true)], Running::Elsewhere { pid: 40 }),
            (
                "several",
                vec![process(5, driver, false), process(7, driver, false)],
                Running::Several { pids: vec![5, 7] },
            ),
            (
                "another program",
                vec![process(5, "/bin/sh -c secrets-store-csi-driver", false)],
                Running::Absent,
            ),
            ("nothing", vec![], Running::Absent),
        ];
        for (name, processes, expected) in rows {
            assert_eq!(choose(processes, OsStr::new("/secrets-store-csi-driver")), expected, "{name}");
        }
    }

    #[test]
    fn a_command_line_and_a_status_are_read_as_the_kernel_writes_them() {
        assert_eq!(words(b"a\0--b=\0\0"), ["a", "--b=", ""]);
        assert_eq!(words(b""), Vec::<OsString>::new());
        assert!(is_contained(b"Name:\tx\nNSpid:\t400\t1\nOther:\n"));
        assert!(!is_contained(b"Name:\tx\nNSpid:\t400\n"));
        assert!(!is_contained(b""));
    }

    #[test]
    fn only_a_driver_that_is_found_is_good() {
        let rows = [
            (Running::Found { pid: 1, arguments: vec![] }, Verdict::Good),
            (Running::Strange { pid: 1 }, Verdict::Unknown),
            (Running::Several { pids: vec![1, 2] }, Verdict::Unknown),
            (Running::Elsewhere { pid: 1 }, Verdict::Unknown),
            (Running::Absent, Verdict::Warning),
            (Running::NotAsked, Verdict::Unknown),
        ];
        for (running, verdict) in rows {
            assert_eq!(judge(&running).verdict, verdict, "{running:?}");
        }
    }
}
