//! The volumes that are mounted: how many, and whether one was left closed by an attempt that crashed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::finding::Finding;
use super::subject::Subject;
use sys::at::{Dir, Metadata};
use sys::mountinfo::{self, MountEntry};
use sys::{mount, proc};

/// The volumes that this driver mounted, as the kernel lists them.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let list = match proc::read("/proc/self/mountinfo") {
        Ok(list) => list,
        Err(error) => return vec![Finding::unknown(VOLUMES, error.to_string())],
    };
    let directory = subject.pods_dir();
    let mounts = mountinfo::parse(&list);
    let volumes: Vec<&MountEntry> = mounts.iter().filter(|entry| is_ours(entry, &directory)).collect();
    let now = SystemTime::now();
    let state = |entry: &&MountEntry| {
        // One that is gone meanwhile is neither.
        let root = Dir::open_trusting_path(&entry.mount_point).and_then(|root| root.metadata());
        root.ok().map(|root| State::of(&root, now))
    };
    let states: Vec<State> = volumes.iter().filter_map(state).collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    vec![judge(count(State::Open), count(State::Underway), count(State::Left))]
}

fn is_ours(entry: &MountEntry, directory: &Path) -> bool {
    entry.fs_type == "tmpfs" && entry.source == mount::SOURCE && entry.mount_point.starts_with(directory)
}

/// How far a volume has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Whole, and open to its pod.
    Open,
    /// Closed for a while that a publish may take.
    Underway,
    /// Closed for longer.
    Left,
}

impl State {
    fn of(root: &Metadata, now: SystemTime) -> State {
        let age = now.duration_since(root.modified).unwrap_or_default();
        match root.mode & 0o077 {
            0 if age > LONGEST_PUBLISH => State::Left,
            0 => State::Underway,
            _ => State::Open,
        }
    }
}

fn judge(open: usize, underway: usize, left: usize) -> Finding {
    let what = format!("{open} are mounted and whole, {underway} are being made");
    if left > 0 {
        return Finding::warning(
            VOLUMES,
            format!("{what}, {left} are closed: attempts that crashed before they were whole"),
            "kubelet's next call begins anew; where the pod still waits, kubectl describe pod says for what",
        );
    }
    Finding::good(VOLUMES, what)
}

const VOLUMES: &str = "volumes";
/// Kubelet gives a call two minutes.
const LONGEST_PUBLISH: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;
    use sys::at::EntryKind;

    #[test]
    fn only_our_mounts_below_kubelets_directory_count() {
        let entry = |at: &str, fs_type: &str, source: &str| MountEntry {
            id: 1,
            root: "/".into(),
            mount_point: at.into(),
            fs_type: fs_type.to_owned(),
            source: source.to_owned(),
            is_shared: true,
        };
        let rows = [
            (entry("/pods/u/v/mount", "tmpfs", "secrets-store-csi"), true),
            (entry("/pods/u/v/mount", "tmpfs", "tmpfs"), false),
            (entry("/pods/u/v/mount", "ext4", "secrets-store-csi"), false),
            (entry("/elsewhere/mount", "tmpfs", "secrets-store-csi"), false),
        ];
        for (entry, expected) in rows {
            assert_eq!(is_ours(&entry, Path::new("/pods")), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_closed_root_is_left_behind_when_no_call_can_be_at_it_any_more() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let rows = [
            (0o755, 9_999, State::Open),
            (0o1777, 9_999, State::Open),
            (0o700, 120, State::Underway),
            (0o700, 121, State::Left),
        ];
        for (mode, age, expected) in rows {
            let modified = now - Duration::from_secs(age);
            let root = Metadata {
                kind: EntryKind::Directory,
                mode,
                gid: 0,
                uid: 0,
                size: 0,
                device: 0,
                inode: 0,
                modified,
            };
            assert_eq!(State::of(&root, now), expected, "{mode:o} {age}");
        }
        assert_eq!(judge(3, 1, 0).verdict, Verdict::Good);
        assert_eq!(judge(3, 0, 1).verdict, Verdict::Warning);
    }
}
