//! The pod that this process runs in, as the kernel shows it: nobody has to tell the driver.
//!
//! It stays the same over restarts of the container, and a new pod is another one. Kubelet names the control group of
//! a pod after it, and mounts files of the pod's own directory into each container; where the container does not see
//! the name of its group, the mounts tell.

use std::fmt;
use std::path::Path;

use sys::mountinfo::{self, MountEntry};
use sys::{cgroup, proc};

/// The uid of a pod: a UUID, or for a static pod as many digits without dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodUid(u128);

impl PodUid {
    /// That of the pod that this process runs in; `None` where nothing shows it, as outside of Kubernetes.
    pub fn of_this_process() -> Option<PodUid> {
        let text = |path| proc::read(path).unwrap_or_default();
        let groups = text("/proc/self/cgroup");
        let mounts = mountinfo::parse(&text("/proc/self/mountinfo"));
        PodUid::shown_by(&String::from_utf8_lossy(&groups), &mounts)
    }

    /// What is charged follows the control group, so that counts first.
    fn shown_by(groups: &str, mounts: &[MountEntry]) -> Option<PodUid> {
        let group = cgroup::memory_group(groups).map(Path::new);
        // Where a node runs in a pod of another cluster, the innermost is this one's.
        let mut names = group.into_iter().flat_map(|group| group.components().rev());
        let by_group = names.find_map(|name| PodUid::of_group(name.as_os_str().to_str()?));
        by_group.or_else(|| mounts.iter().rev().find_map(PodUid::of_mount))
    }

    /// From the name of a control group: `pod<uid>`, or as systemd has it, `kubepods-burstable-pod<uid>.slice`.
    fn of_group(name: &str) -> Option<PodUid> {
        let (before, uid) = name.strip_suffix(".slice").unwrap_or(name).rsplit_once("pod")?;
        if before.is_empty() || before.ends_with('-') { PodUid::parse(&uid.replace('_', "-")) } else { None }
    }

    /// From a file that kubelet mounts from `pods/<uid>/` of its own directory, wherever that is.
    fn of_mount(mount: &MountEntry) -> Option<PodUid> {
        let below = match mount.mount_point.to_str()? {
            "/etc/hosts" => 1,
            "/dev/termination-log" => 3,
            _ => return None,
        };
        let mut above = mount.root.ancestors().skip(below);
        let (pod, pods) = (above.next()?, above.next()?);
        if pods.ends_with("pods") { PodUid::parse(pod.file_name()?.to_str()?) } else { None }
    }

    /// Parses 32 hexadecimal digits, with the dashes of a UUID or without.
    pub fn parse(text: &str) -> Option<PodUid> {
        let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let is_whole = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_uid = is_whole && (dashes.is_empty() || dashes == [8, 13, 18, 23]);
        if is_uid { u128::from_str_radix(&digits, 16).ok().map(PodUid) } else { None }
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "f0e9d8c7-1234-4321-8765-0123456789ab";

    fn uid() -> Option<PodUid> {
        PodUid::parse(UID)
    }

    #[test]
    fn a_container_knows_its_pod_by_its_group_or_by_what_kubelet_mounts() {
        for kernel in ["linux-6.1", "linux-6.12"] {
            let read = |scene: &str| {
                let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/cgroup-v2");
                let text = std::fs::read_to_string(format!("{directory}/{kernel}/{scene}.txt")).unwrap();
                let part = |name: &str| {
                    let after = text.split(&format!("==> {name} <==\n")).nth(1).unwrap();
                    after.split("==> ").next().unwrap().to_owned()
                };
                (part("proc/self/cgroup"), mountinfo::parse(part("proc/self/mountinfo").as_bytes()))
            };
            for scene in ["systemd-driver", "cgroupfs-driver", "own-group-mounted", "no-limit"] {
                let (groups, mounts) = read(scene);
                assert!(uid().is_some() && PodUid::shown_by(&groups, &[]) == uid(), "{kernel}: {scene}");
                assert_eq!(PodUid::shown_by(&groups, &mounts), uid(), "{kernel}: {scene}");
            }
            let (groups, mounts) = read("own-namespace");
            assert_eq!(PodUid::shown_by(&groups, &[]), None, "{kernel}: the namespace hides the name");
            for (one, other) in
                [("/etc/hosts", "/dev/termination-log"), ("/dev/termination-log", "/etc/hosts")]
            {
                let without: Vec<MountEntry> =
                    mounts.iter().filter(|mount| mount.mount_point != Path::new(one)).cloned().collect();
                assert_eq!(PodUid::shown_by(&groups, &without), uid(), "{kernel}: by {other}");
            }
        }
    }

    #[test]
    fn names_of_groups_that_are_no_pods_tell_nothing() {
        let plain = UID.replace('-', "");
        let rows = [
            (format!("4:memory:/kubepods/burstable/pod{UID}/c1\n0::/\n"), uid()),
            (
                format!("4:memory:/kubelet/kubepods/pod{}/c/kubepods/pod{UID}/c\n", UID.replace('f', "0")),
                uid(),
            ),
            (format!("0::/kubepods-pod{}.slice/crio-1.scope\n", UID.replace('-', "_")), uid()),
            (format!("0::/kubepods/pod{plain}/c1\n"), uid()),
            (format!("4:memory:/\n0::/kubepods/pod{UID}/c1\n"), None),
            (format!("0::/kubepods/{UID}/c1\n"), None),
            (format!("0::/tripod{UID}/c1\n"), None),
            (format!("0::/pod{UID}0/c1\n"), None),
            ("0::/kubepods/podman/c1\n".to_owned(), None),
            ("0::/system.slice/driver.service\n".to_owned(), None),
            (String::new(), None),
        ];
        for (groups, expected) in rows {
            assert_eq!(PodUid::shown_by(&groups, &[]), expected, "{groups}");
        }
    }

    #[test]
    fn mounts_that_are_not_kubelets_tell_nothing() {
        let rows = [
            (format!("/var/lib/kubelet/pods/{UID}/etc-hosts"), "/etc/hosts", uid()),
            (format!("/pods/{UID}/etc-hosts"), "/etc/hosts", uid()),
            (format!("/data/kubelet/pods/{UID}/containers/driver/0a1b"), "/dev/termination-log", uid()),
            (format!("/var/lib/kubelet/pods/{UID}/volumes/hosts"), "/etc/hosts", None),
            (format!("/var/lib/kubelet/pods/{UID}/etc-hosts"), "/elsewhere", None),
            (format!("/docker/containers/{UID}/hosts"), "/etc/hosts", None),
            ("/etc/hosts".to_owned(), "/etc/hosts", None),
            ("/".to_owned(), "/etc/hosts", None),
        ];
        for (root, mount_point, expected) in rows {
            let line = format!("7 6 8:1 {root} {mount_point} rw - ext4 /dev/sda1 rw\n");
            let mounts = mountinfo::parse(line.as_bytes());
            assert_eq!(PodUid::shown_by("0::/\n", &mounts), expected, "{line}");
        }
    }

    #[test]
    fn a_uid_is_written_as_it_is_read() {
        let uid = uid().unwrap();
        assert_eq!(PodUid::parse(&uid.to_string()), Some(uid));
        for none in ["", "f", "f0e9d8c7-1234-4321-8765-0123456789a", "f0e9d8c712-34-4321-8765-0123456789ab"] {
            assert_eq!(PodUid::parse(none), None, "{none:?}");
        }
    }
}
