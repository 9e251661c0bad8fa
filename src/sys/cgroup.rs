//! The control groups of this process, as far as they limit its memory: its own and those above it.
//!
//! Files are opened once, at the start, and read anew through their descriptors. Source: the kernel's
//! `cgroup-v2.rst` and `cgroup-v1/memory.rst`.

#![expect(
    clippy::disallowed_methods,
    reason = "files of the kernel's own, where nobody else places anything"
)]

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::mountinfo::{self, MountEntry};

/// The groups that can be seen, this process's own first.
#[derive(Debug, Default)]
pub struct MemoryGroups {
    levels: Vec<Level>,
    sees_parent: bool,
}

/// What one group says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The most that the group may have, in bytes.
    pub limit: u64,
    /// What it has, in bytes, without the caches of files that the kernel would give up first.
    pub used: u64,
}

#[derive(Debug)]
struct Level {
    version: Version,
    limits: Vec<File>,
    usage: File,
    stat: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl MemoryGroups {
    /// Finds the groups of this process. None are no error: then nothing limits its memory that it could see.
    pub fn of_this_process() -> io::Result<MemoryGroups> {
        MemoryGroups::shown_in(Path::new("/"))
    }

    /// The same where the kernel's files are in another directory than the root.
    fn shown_in(root: &Path) -> io::Result<MemoryGroups> {
        let groups = fs::read_to_string(root.join("proc/self/cgroup"))?;
        let mounts = mountinfo::parse(&fs::read(root.join("proc/self/mountinfo"))?);
        let Some(place) = Place::find(&groups, &mounts)? else { return Ok(MemoryGroups::default()) };
        let mut levels = Vec::new();
        for directory in place.directories() {
            match Level::open(place.version, &root.join(beneath_root(&directory))) {
                Ok(level) => levels.push(level),
                // The root of the hierarchy has no limit, and in version 2 no such files either.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        let sees_parent = levels.len() > 1;
        Ok(MemoryGroups { levels, sees_parent })
    }

    /// True when the group above this process's own can be seen, which in Kubernetes is the pod's.
    pub fn sees_parent(&self) -> bool {
        self.sees_parent
    }

    /// Each group that has a limit, this process's own first. What cannot be read is left out.
    pub fn read(&mut self) -> Vec<Reading> {
        self.levels.iter_mut().filter_map(|level| level.read().ok().flatten()).collect()
    }
}

/// Where the hierarchy is mounted, and which part of it leads to this process.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    mount_point: PathBuf,
    below: PathBuf,
}

impl Place {
    fn find(groups: &str, mounts: &[MountEntry]) -> io::Result<Option<Place>> {
        let (version, path, fs_type) = match (path_of(groups, "memory"), path_of(groups, "")) {
            (Some(path), _) if mounts.iter().any(is_memory) => (Version::One, path, "cgroup"),
            (_, Some(path)) => (Version::Two, path, "cgroup2"),
            _ => return Ok(None),
        };
        // What is mounted over another is what can be seen.
        let is_covered = |(index, mount): (usize, &MountEntry)| {
            mounts.iter().skip(index + 1).any(|later| later.mount_point == mount.mount_point)
        };
        let shown = mounts.iter().enumerate().filter(|found| {
            found.1.fs_type == fs_type
                && (version == Version::Two || is_memory(found.1))
                && !is_covered(*found)
        });
        let shown: Vec<&MountEntry> = shown.map(|(_, mount)| mount).collect();
        let leads_here =
            |mount: &&MountEntry| Path::new(path).strip_prefix(&mount.root).ok().map(Path::to_owned);
        let place =
            |mount: &MountEntry, below| Place { version, mount_point: mount.mount_point.clone(), below };
        let leading = shown.iter().filter_map(|mount| Some((mount, leads_here(mount)?)));
        // The one that shows most of what is above.
        if let Some((mount, below)) = leading.max_by_key(|(_, below)| below.components().count()) {
            return Ok(Some(place(mount, below)));
        }
        // From within a namespace of its own, a mount of the node's begins so many groups above it, without their names.
        let is_of_node = |mount: &&&MountEntry| mount.root.starts_with("/..");
        match shown.iter().find(|mount| !is_of_node(mount)) {
            // A container may be shown its own group alone, by a mount that begins there.
            Some(mount) => Ok(Some(place(mount, PathBuf::new()))),
            None if shown.is_empty() => Ok(None),
            None => Err(io::Error::other("control groups are mounted as another namespace has them")),
        }
    }

    /// From the process's own group upwards.
    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        self.below.ancestors().map(|below| self.mount_point.join(beneath_root(below)))
    }
}

/// The path of this process's own group that limits memory, as `/proc/self/cgroup` tells it: from the root of the
/// hierarchy, or of the namespace that the process is in.
pub fn memory_group(groups: &str) -> Option<&str> {
    path_of(groups, "memory").or_else(|| path_of(groups, ""))
}

/// This process's own group for that controller, as version 1 has one for each; version 2 has one for all, with no name.
fn path_of<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.find(|(found, _)| found.split(',').any(|one| one == controller)).map(|(_, path)| path)
}

/// True for the mount of version 1 that limits memory.
fn is_memory(mount: &MountEntry) -> bool {
    let name = mount.mount_point.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    mount.fs_type == "cgroup" && name.split(',').any(|controller| controller == "memory")
}

fn beneath_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

impl Level {
    fn open(version: Version, directory: &Path) -> io::Result<Level> {
        let (limits, usage): (&[&str], &str) = match version {
            Version::One => (&["memory.limit_in_bytes"], "memory.usage_in_bytes"),
            // Beyond `high` the kernel slows the process down until nothing moves.
            Version::Two => (&["memory.max", "memory.high"], "memory.current"),
        };
        let open = |name: &&str| File::open(directory.join(name));
        Ok(Level {
            version,
            limits: limits.iter().map(open).collect::<io::Result<_>>()?,
            usage: open(&usage)?,
            stat: open(&"memory.stat")?,
        })
    }

    fn read(&mut self) -> io::Result<Option<Reading>> {
        let mut limits = String::new();
        for file in &mut self.limits {
            limits.push_str(&again(file)?);
        }
        let (usage, stat) = (again(&mut self.usage)?, again(&mut self.stat)?);
        Ok(reading(self.version, &limits, &usage, &stat))
    }
}

/// The file's text as it is now.
fn again(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// What these texts say; `None` without a limit, or where they make no sense.
fn reading(version: Version, limits: &str, usage: &str, stat: &str) -> Option<Reading> {
    let of = |name: &str| {
        let value = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse::<u64>().ok()
    };
    let reclaimable: &[&str] = match version {
        Version::One => &["total_inactive_file", "total_active_file"],
        Version::Two => &["inactive_file", "active_file", "slab_reclaimable"],
    };
    // Groups above may have less, also those that cannot be seen.
    let inherited = of("hierarchical_memory_limit").filter(|_| version == Version::One);
    let own = limits.split_ascii_whitespace().filter_map(|limit| limit.parse::<u64>().ok());
    let limit = own.chain(inherited).min().filter(|limit| *limit < NO_LIMIT)?;
    let usage: u64 = usage.trim().parse().ok()?;
    let reclaimable: u64 = reclaimable.iter().filter_map(|name| of(name)).sum();
    Some(Reading { limit, used: usage.saturating_sub(reclaimable) })
}

/// Version 1 writes "no limit" as the largest number of whole pages, which differs with the size of a page.
const NO_LIMIT: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str, mount_point: &str, fs_type: &str) -> MountEntry {
        MountEntry {
            id: 1,
            root: root.into(),
            mount_point: mount_point.into(),
            fs_type: fs_type.to_owned(),
            source: "cgroup".to_owned(),
            is_shared: false,
        }
    }

    #[test]
    fn the_groups_of_a_process_are_found_from_its_own_upwards() {
        let first = "9:memory:/kubepods/pod1/c1\n8:pids:/x\n0::/\n";
        let second = "0::/kubepods.slice/pod1.slice/c1.scope\n";
        let rows = [
            (
                "version 1, as the node sees it",
                first,
                mount("/", "/sys/fs/cgroup/memory", "cgroup"),
                vec!["memory/kubepods/pod1/c1", "memory/kubepods/pod1", "memory/kubepods", "memory"],
            ),
            (
                "version 1, as a container sees it",
                first,
                mount("/kubepods/pod1/c1", "/sys/fs/cgroup/memory", "cgroup"),
                vec!["memory"],
            ),
            (
                "version 2, in a privileged container",
                second,
                mount("/", "/sys/fs/cgroup", "cgroup2"),
                vec!["kubepods.slice/pod1.slice/c1.scope", "kubepods.slice/pod1.slice", "kubepods.slice", ""],
            ),
            ("version 2, in a namespace", "0::/\n", mount("/", "/sys/fs/cgroup", "cgroup2"), vec![""]),
        ];
        for (name, groups, mount, expected) in rows {
            let mounts = [self::mount("/", "/sys/fs/cgroup/cpu", "cgroup"), mount];
            let place = Place::find(groups, &mounts).unwrap().unwrap();
            let found: Vec<PathBuf> = place.directories().collect();
            let expected: Vec<PathBuf> =
                expected.iter().map(|below| Path::new("/sys/fs/cgroup").join(below)).collect();
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(Place::find(first, &[]).unwrap(), None);
    }

    #[test]
    fn the_limit_is_the_least_and_what_can_be_reclaimed_is_not_in_use() {
        // As kernels 5.10 and 6.8 wrote them, shortened.
        let first = "cache 9\ninactive_file 7\nhierarchical_memory_limit 209715200\n\
                     total_inactive_file 4096\ntotal_active_file 8192\ntotal_unevictable 0\n";
        let second = "anon 4096\nfile 1\nshmem 150994944\ninactive_file 12288\nactive_file 4096\nslab_reclaimable 100\n";
        let none = "9223372036854771712\n";
        let rows = [
            (
                "a limit of a group above",
                Version::One,
                none,
                "20000000\n",
                first,
                Some((209_715_200, 19_987_712)),
            ),
            ("its own", Version::One, "104857600\n", "20000000\n", first, Some((104_857_600, 19_987_712))),
            ("none", Version::One, none, "20000000\n", "total_inactive_file 1\n", None),
            (
                "version 2",
                Version::Two,
                "209715200\nmax\n",
                "20000000\n",
                second,
                Some((209_715_200, 19_983_516)),
            ),
            ("a high mark", Version::Two, "max\n104857600\n", "16384\n", second, Some((104_857_600, 0))),
            ("no limit", Version::Two, "max\nmax\n", "20000000\n", second, None),
            ("nonsense", Version::Two, "x\ny\n", "z\n", "", None),
        ];
        for (name, version, limits, usage, stat, expected) in rows {
            let found = reading(version, limits, usage, stat).map(|found| (found.limit, found.used));
            assert_eq!(found, expected, "{name}");
        }
    }

    /// Lays out what a kernel has shown in one scene of `tests/golden/cgroup-v2/`, below a directory.
    fn lay_out(kernel: &str, scene: &str) -> tempfile::TempDir {
        let file =
            format!("{}/../../tests/golden/cgroup-v2/{kernel}/{scene}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let root = tempfile::tempdir().unwrap();
        for part in text.split("==> ").skip(1) {
            let (name, content) = part.split_once(" <==\n").unwrap();
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn kernels_with_version_2_show_the_content_that_each_group_has() {
        const MIB: u64 = 1 << 20;
        // Limit and content, of the container and then of its pod, where an earlier container has written 100 MiB.
        let node: &[(u64, u64)] = &[(200 * MIB, 20 * MIB), (200 * MIB, 120 * MIB)];
        let scenes: &[(&str, &[(u64, u64)])] = &[
            ("systemd-driver", node),
            ("cgroupfs-driver", &[(160 * MIB, 20 * MIB), (300 * MIB, 120 * MIB)]),
            ("own-namespace", &node[..1]),
            ("own-group-mounted", &node[..1]),
            ("no-limit", &[]),
        ];
        for kernel in KERNELS {
            for (scene, expected) in scenes {
                let root = lay_out(kernel, scene);
                let mut groups = MemoryGroups::shown_in(root.path()).unwrap();
                let found = groups.read();
                let limits: Vec<u64> = found.iter().map(|reading| reading.limit).collect();
                let expected_limits: Vec<u64> = expected.iter().map(|(limit, _)| *limit).collect();
                assert_eq!(limits, expected_limits, "{kernel}: {scene}");
                // Beside it there are a shell and what the kernel has for its files, but no caches of 8 MiB.
                for (reading, (_, content)) in found.iter().zip(*expected) {
                    let rest = reading.used.checked_sub(*content);
                    assert!(rest.is_some_and(|rest| rest < MIB), "{kernel}: {scene}: {reading:?}");
                }
                let is_visible = !scene.starts_with("own");
                assert_eq!(groups.sees_parent(), is_visible, "{kernel}: {scene}");
            }
        }
    }

    #[test]
    fn groups_that_cannot_be_told_apart_are_an_error_and_not_no_limit() {
        for kernel in KERNELS {
            let root = lay_out(kernel, "nodes-mount-in-own-namespace");
            let error = MemoryGroups::shown_in(root.path()).unwrap_err();
            assert!(error.to_string().contains("another namespace"), "{kernel}: {error}");
        }
    }

    /// Whose files are kept.
    const KERNELS: [&str; 2] = ["linux-6.1", "linux-6.12"];

    #[test]
    fn the_groups_of_this_very_process_can_be_read() {
        let mut groups = MemoryGroups::of_this_process().unwrap();
        let before = groups.read();
        assert_eq!(groups.read().len(), before.len(), "a second reading shows the same groups");
        assert!(before.iter().all(|reading| reading.limit > 0 && reading.used > 0), "{before:?}");
    }
}
