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
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = mountinfo::parse(&fs::read("/proc/self/mountinfo")?);
        let Some(place) = Place::find(&groups, &mounts) else { return Ok(MemoryGroups::default()) };
        let mut levels = Vec::new();
        for directory in place.directories() {
            match Level::open(place.version, &directory) {
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
    fn find(groups: &str, mounts: &[MountEntry]) -> Option<Place> {
        let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let path_of = |controllers: &str| {
            lines().find(|(found, _)| found.split(',').any(|one| one == controllers)).map(|(_, path)| path)
        };
        let is_memory = |mount: &&MountEntry| {
            let name = mount.mount_point.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            mount.fs_type == "cgroup" && name.split(',').any(|controller| controller == "memory")
        };
        let first = mounts.iter().find(is_memory).zip(path_of("memory")).map(|found| (Version::One, found));
        let second = || mounts.iter().find(|mount| mount.fs_type == "cgroup2").zip(path_of(""));
        let (version, (mount, path)) = first.or_else(|| second().map(|found| (Version::Two, found)))?;
        // A container may be shown its own group alone, by a mount that begins there.
        let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        Some(Place { version, mount_point: mount.mount_point.clone(), below: below.to_owned() })
    }

    /// From the process's own group upwards.
    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        self.below.ancestors().map(|below| self.mount_point.join(below.strip_prefix("/").unwrap_or(below)))
    }
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
            let place =
                Place::find(groups, &[self::mount("/", "/sys/fs/cgroup/cpu", "cgroup"), mount]).unwrap();
            let found: Vec<PathBuf> = place.directories().collect();
            let expected: Vec<PathBuf> =
                expected.iter().map(|below| Path::new("/sys/fs/cgroup").join(below)).collect();
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(Place::find(first, &[]), None);
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

    #[test]
    fn the_groups_of_this_very_process_can_be_read() {
        let mut groups = MemoryGroups::of_this_process().unwrap();
        let before = groups.read();
        assert_eq!(groups.read().len(), before.len(), "a second reading shows the same groups");
        assert!(before.iter().all(|reading| reading.limit > 0 && reading.used > 0), "{before:?}");
    }
}
