//! Kubelet's directory of pods: is it there, and does what is mounted below it reach the pods.

use std::path::Path;

use super::finding::Finding;
use super::subject::Subject;
use sys::at::{Dir, SysError};
use sys::mountinfo::{self, MountEntry};
use sys::proc;

/// The directory and the propagation of mounts.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let directory = subject.pods_dir();
    let is_told = subject.config().kubelet_pods_dir.is_some();
    let mut found = vec![judge_directory(&directory, is_told, Dir::open_trusting_path(&directory).map(drop))];
    if found.iter().all(|finding| finding.remedy.is_none()) {
        found.push(match proc::read("/proc/self/mountinfo") {
            Ok(list) => judge_propagation(&directory, &mountinfo::parse(&list)),
            Err(error) => Finding::unknown(PROPAGATION, error.to_string()),
        });
    }
    found
}

fn judge_directory(directory: &Path, is_told: bool, opened: Result<(), SysError>) -> Finding {
    let shown = directory.display();
    match opened {
        Ok(()) => Finding::good(DIRECTORY, format!("{shown} is there")),
        // Without the flag any directory may be kubelet's.
        Err(error) if !is_told => {
            Finding::unknown(DIRECTORY, format!("{shown}, where it usually is: {error}"))
                .mended_by(OTHER_ROOT)
        }
        Err(error) => Finding::wrong(
            DIRECTORY,
            format!("{shown}: {error}; mounts fail with \"no such file or directory\""),
            OTHER_ROOT,
        ),
    }
}

fn judge_propagation(directory: &Path, mounts: &[MountEntry]) -> Finding {
    let Some(mount) = holding(directory, mounts) else {
        return Finding::unknown(PROPAGATION, format!("no mount holds {}", directory.display()));
    };
    let at = mount.mount_point.display();
    if mount.is_shared {
        return Finding::good(
            PROPAGATION,
            format!("mounts below {} reach the pods (shared, by {at})", directory.display()),
        );
    }
    Finding::wrong(
        PROPAGATION,
        format!(
            "mounts below {} stay in this container (private, by {at}): pods see empty directories",
            directory.display()
        ),
        "mount kubelet's pods directory into the driver's container with mountPropagation: Bidirectional, which needs \
         privileged: true; on the node its file system must be shared (mount --make-rshared)",
    )
}

/// The mount that holds a directory: the longest way there, and of several at one place the last.
fn holding<'a>(directory: &Path, mounts: &'a [MountEntry]) -> Option<&'a MountEntry> {
    let above = mounts.iter().filter(|mount| directory.starts_with(&mount.mount_point));
    above.max_by_key(|mount| mount.mount_point.components().count())
}

const DIRECTORY: &str = "kubelet-directory";
const PROPAGATION: &str = "mount-propagation";
const OTHER_ROOT: &str = "kubelet's root directory is elsewhere on some distributions: set linux.kubeletRootDir of the chart \
                          (k3s and RKE2 /var/lib/kubelet, RKE /opt/rke/var/lib/kubelet, MicroK8s \
                          /var/snap/microk8s/common/var/lib/kubelet), or --kubelet-pods-dir and its hostPath";

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::finding::Verdict;

    fn mounts(rows: &[(&str, bool)]) -> Vec<MountEntry> {
        let entry = |(at, is_shared): &(&str, bool)| MountEntry {
            id: 1,
            root: "/".into(),
            mount_point: (*at).into(),
            fs_type: "ext4".to_owned(),
            source: "/dev/sda1".to_owned(),
            is_shared: *is_shared,
        };
        rows.iter().map(entry).collect()
    }

    #[test]
    fn the_nearest_mount_above_decides() {
        let pods = "/var/lib/kubelet/pods";
        type Row<'a> = (&'a str, &'a [(&'a str, bool)], Verdict);
        let rows: [Row<'_>; 7] = [
            ("bidirectional", &[("/", false), (pods, true)], Verdict::Good),
            ("private", &[("/", true), (pods, false)], Verdict::Wrong),
            ("a host", &[("/", true)], Verdict::Good),
            ("of several the last", &[(pods, true), (pods, false)], Verdict::Wrong),
            ("the last is shared", &[(pods, false), (pods, true)], Verdict::Good),
            ("beside it", &[("/", false), ("/var/lib/kubelet/pods2", true)], Verdict::Wrong),
            ("none", &[("/other", true)], Verdict::Unknown),
        ];
        for (name, list, verdict) in rows {
            assert_eq!(judge_propagation(Path::new(pods), &mounts(list)).verdict, verdict, "{name}");
        }
    }

    #[test]
    fn a_missing_directory_is_told_with_where_it_may_be() {
        let missing = || Err(SysError::new("open", "/pods", Errno::NOENT));
        let finding = judge_directory(Path::new("/pods"), true, missing());
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert!(finding.what.contains("no such file or directory"), "{finding:?}");
        let remedy = finding.remedy.unwrap();
        for part in
            ["linux.kubeletRootDir", "/opt/rke/var/lib/kubelet", "/var/snap/microk8s/common/var/lib/kubelet"]
        {
            assert!(remedy.contains(part), "{remedy}");
        }
        assert_eq!(judge_directory(Path::new("/pods"), false, missing()).verdict, Verdict::Unknown);
        assert_eq!(judge_directory(Path::new("/pods"), true, Ok(())).verdict, Verdict::Good);
    }
}
