//! The kernel and what it lets this container do: mounts, swap, privileges, core dumps.

use super::finding::Finding;
use super::subject::Subject;
use sys::at::SysError;
use sys::mount::Mounter;
use sys::{proc, process};
use volume::limits::ContentLimits;

/// Release and kinds of mounts, swap, privileges and core dumps.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let config = subject.config();
    let mounter = Mounter::new();
    let limits = ContentLimits { bytes: config.volume_size_limit, inodes: config.volume_inode_limit };
    let tried = mounter.probe(limits.file_system());
    let is_privileged = proc::read("/proc/self/status").ok().and_then(|status| may_mount(&status));
    let release = proc::read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = String::from_utf8_lossy(&release).trim().to_owned();
    let keeps = tried.is_ok().then(|| mounter.keeps_out_of_swap());
    vec![
        judge_kernel(&release, mounter.makes_detached(), &tried),
        judge_swap(keeps, proc::read("/proc/swaps").ok().map(|list| has_swap(&list))),
        judge_privileges(is_privileged),
        judge_dumps(process::hide_memory()),
    ]
}

fn judge_kernel(release: &str, is_detached: bool, tried: &Result<(), SysError>) -> Finding {
    const KERNEL: &str = "kernel";
    match tried {
        Ok(()) if is_detached => {
            Finding::good(KERNEL, format!("Linux {release}: a tmpfs can be made apart and then attached"))
        }
        Ok(()) => Finding::good(
            KERNEL,
            format!("Linux {release} is older than 5.2: mounts go the old way, which works too"),
        ),
        Err(error) if error.is_refusal() => Finding::wrong(
            KERNEL,
            format!("Linux {release} refuses to make a tmpfs: {error}"),
            "the container needs privileged: true and root; see privileges",
        ),
        Err(error) => Finding::wrong(
            KERNEL,
            format!("Linux {release} makes no tmpfs: {error}"),
            "look at --volume-size-limit and --volume-inode-limit, and whether the kernel has tmpfs",
        ),
    }
}

/// `keeps`: whether the kernel keeps a volume out of swap, where that could be tried.
fn judge_swap(keeps: Option<bool>, is_on: Option<bool>) -> Finding {
    const SWAP: &str = "swap";
    match (keeps, is_on) {
        (Some(true), _) => Finding::good(SWAP, "volumes are kept out of swap (noswap)"),
        (_, Some(false)) => Finding::good(SWAP, "there is none"),
        (Some(false), Some(true)) => Finding::warning(
            SWAP,
            "it is on, and this kernel or namespace knows no noswap: secrets may be written to disk",
            "turn swap off on this node, encrypt it, or use a kernel from 6.4",
        ),
        (Some(false), None) => {
            Finding::unknown(SWAP, "no noswap here, and whether swap is on cannot be seen")
        }
        (None, _) => {
            Finding::unknown(SWAP, "whether volumes are kept out of swap could not be tried: see kernel")
        }
    }
}

fn judge_privileges(may_mount: Option<bool>) -> Finding {
    const PRIVILEGES: &str = "privileges";
    match may_mount {
        Some(true) => Finding::good(PRIVILEGES, "this container may mount (CAP_SYS_ADMIN)"),
        Some(false) => Finding::wrong(
            PRIVILEGES,
            "this container may not mount: it lacks CAP_SYS_ADMIN",
            "set securityContext.privileged: true for the driver's container, and let it run as root",
        ),
        None => Finding::unknown(PRIVILEGES, "the kernel does not tell"),
    }
}

/// What the driver does at its start was done by the doctor too, who holds the same token.
fn judge_dumps(hidden: Result<(), SysError>) -> Finding {
    const DUMPS: &str = "core-dumps";
    match hidden {
        Ok(()) => Finding::good(DUMPS, "a process here can forbid its own, as the driver does at its start"),
        Err(error) => Finding::warning(
            DUMPS,
            format!("a process here cannot forbid its own, which would hold secrets: {error}"),
            "allow prctl in the container's seccomp profile, or set the limit of core dumps to 0 on the node",
        ),
    }
}

/// CAP_SYS_ADMIN among the effective capabilities.
fn may_mount(status: &[u8]) -> Option<bool> {
    let text = str::from_utf8(status).ok()?;
    let set = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(set.trim(), 16).ok()?;
    Some(set & CAP_SYS_ADMIN != 0)
}

/// The list has a heading, and a line for each file or partition.
fn has_swap(list: &[u8]) -> bool {
    String::from_utf8_lossy(list).lines().skip(1).any(|line| !line.trim().is_empty())
}

/// Number 21, from linux/capability.h.
const CAP_SYS_ADMIN: u64 = 1 << 21;

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn a_kernel_is_good_that_makes_a_tmpfs_either_way() {
        let refused = |errno| Err(SysError::new("fsopen", "tmpfs", errno));
        let rows = [
            ("new", true, Ok(()), Verdict::Good, "apart"),
            ("old", false, Ok(()), Verdict::Good, "old way"),
            ("refused", true, refused(Errno::PERM), Verdict::Wrong, "refuses"),
            ("limits", true, refused(Errno::INVAL), Verdict::Wrong, "makes no tmpfs"),
        ];
        for (name, is_detached, tried, verdict, words) in rows {
            let finding = judge_kernel("6.1", is_detached, &tried);
            assert_eq!(finding.verdict, verdict, "{name}");
            assert!(finding.what.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn swap_matters_where_the_kernel_does_not_keep_volumes_out_of_it() {
        let rows = [
            (Some(true), Some(true), Verdict::Good),
            (Some(true), None, Verdict::Good),
            (Some(false), Some(true), Verdict::Warning),
            (Some(false), Some(false), Verdict::Good),
            (Some(false), None, Verdict::Unknown),
            (None, Some(true), Verdict::Unknown),
            (None, Some(false), Verdict::Good),
        ];
        for (keeps, is_on, verdict) in rows {
            assert_eq!(judge_swap(keeps, is_on).verdict, verdict, "{keeps:?} {is_on:?}");
        }
        assert!(!has_swap(b"Filename\tType\tSize\tUsed\tPriority\n"));
        assert!(has_swap(b"Filename\tType\tSize\tUsed\tPriority\n/swapfile file 1 0 -2\n"));
        assert!(!has_swap(b""));
    }

    #[test]
    fn the_one_capability_that_mounting_needs_is_found() {
        let status = |set: &str| format!("Name:\tx\nCapPrm:\tffff\nCapEff:\t{set}\nCapBnd:\tffff\n");
        assert_eq!(may_mount(status("000001ffffffffff").as_bytes()), Some(true));
        assert_eq!(may_mount(status("0000000000200000").as_bytes()), Some(true));
        assert_eq!(may_mount(status("000001ffffdfffff").as_bytes()), Some(false));
        assert_eq!(may_mount(b"Name:\tx\n"), None);
        assert_eq!(judge_privileges(Some(false)).verdict, Verdict::Wrong);
        assert_eq!(judge_privileges(Some(true)).verdict, Verdict::Good);
    }

    #[test]
    fn core_dumps_that_cannot_be_forbidden_are_warned_about() {
        assert_eq!(judge_dumps(Ok(())).verdict, Verdict::Good);
        assert_eq!(judge_dumps(Err(SysError::new("prctl", "", Errno::PERM))).verdict, Verdict::Warning);
    }
}
