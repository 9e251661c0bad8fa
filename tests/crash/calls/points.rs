//! Which cases there are: one for each system call that a recording shows, and what makes sense to do to it.

use std::collections::BTreeMap;

use super::lane::{Case, Op, Who};
use super::strace::{Injection, calls};

/// The cases of one recorded call of kubelet's.
pub fn of(op: Op, who: Who, log: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (call, line) in calls(log) {
        let nth = counts.entry(call).or_default();
        *nth += 1;
        if !UNTOUCHED.contains(&call) {
            let kill = Injection::Kill { call: call.to_owned(), nth: *nth };
            cases.push(Case { op, who, injection: kill, is_undone: false });
        }
        // The library that speaks gRPC wakes its own threads in this way, and takes it for granted that it can.
        if line.contains(r#""\1\0\0\0\0\0\0\0", 8)"#) {
            continue;
        }
        for (errno, and_later) in errors_of(call) {
            let injection =
                Injection::Error { call: call.to_owned(), nth: *nth, errno, and_later: *and_later };
            // What is short for good is short for the undoing as well.
            let is_undone = !and_later && !NETWORK.contains(&call);
            cases.push(Case { op, who, injection, is_undone });
        }
    }
    cases
}

/// A part of the cases, evenly spread over all calls: those that change nothing make room first.
pub fn sample(cases: Vec<Case>, most: usize) -> Vec<Case> {
    if cases.len() <= most {
        return cases;
    }
    let (changing, others): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| CHANGING.contains(&case.call()));
    let for_changing = most.saturating_sub(others.len().min(most / 4)).min(changing.len());
    let for_others = most - for_changing;
    let mut chosen = evenly(changing, for_changing);
    chosen.extend(evenly(others, for_others));
    chosen
}

fn evenly(cases: Vec<Case>, most: usize) -> Vec<Case> {
    let all = cases.len().max(1);
    let is_chosen = |place: usize| (place + 1) * most / all > place * most / all;
    cases.into_iter().enumerate().filter(|(place, _)| is_chosen(*place)).map(|(_, case)| case).collect()
}

fn errors_of(call: &str) -> &'static [(&'static str, bool)] {
    match call {
        "open" | "openat" | "openat2" => {
            &[("EMFILE", false), ("ENOMEM", false), ("EIO", false), ("ENOSPC", false), ("EMFILE", true)]
        }
        "mkdirat" | "symlinkat" | "renameat" | "renameat2" | "write" | "pwrite64" => {
            &[("ENOSPC", false), ("EIO", false), ("ENOMEM", false), ("ENOSPC", true)]
        }
        "fchmod" | "fchown" => &[("EIO", false), ("ENOMEM", true)],
        "unlinkat" | "umount2" => &[("EIO", false), ("ENOMEM", false), ("EIO", true)],
        "fsopen" | "fsmount" | "open_tree" => &[("EMFILE", false), ("ENOMEM", false), ("ENOMEM", true)],
        "fsconfig" | "move_mount" | "mount" => &[("ENOMEM", false), ("ENOMEM", true)],
        "newfstatat" | "fstat" | "statx" | "fstatfs" | "readlinkat" | "getdents64" | "read" => {
            &[("EIO", false), ("ENOMEM", false), ("ENOMEM", true)]
        }
        "fcntl" | "dup" | "socket" | "socketpair" => &[("EMFILE", false)],
        "connect" | "sendto" | "sendmsg" | "recvfrom" | "recvmsg" => &[("ENOMEM", false)],
        _ => &[],
    }
}

/// Nothing that is outside the process, or that comes after it, depends on them.
const UNTOUCHED: [&str; 14] = [
    "restart_syscall",
    "futex",
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
    "mremap",
    "brk",
    "rt_sigprocmask",
    "rt_sigaction",
    "sigaltstack",
    "sched_yield",
    "getrandom",
    "clock_nanosleep",
];

/// After their failure the answer may be lost although all has been done.
const NETWORK: [&str; 8] = ["fcntl", "socket", "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read"];

/// What others see: files, directories, mounts.
pub const CHANGING: [&str; 17] = [
    "mkdirat",
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "fchmod",
    "fchown",
    "symlinkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "fsopen",
    "fsconfig",
    "fsmount",
    "move_mount",
    "mount",
    "umount2",
];
