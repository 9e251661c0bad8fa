//! Control groups as kubelet makes them: one of a pod, and in it one of each container that it starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kit::{eventually, shell};

/// The group of a pod, whose memory is limited. Dropping it removes it, when nothing runs in it any longer.
pub struct Group {
    limit_bytes: u64,
    directory: PathBuf,
    version: Version,
    containers: usize,
}

/// What a container sees of the groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All of the node's.
    Node,
    /// Its own alone.
    Container,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Group {
    /// Makes one of so much memory.
    pub fn make(name: &str, limit_bytes: u64) -> io::Result<Group> {
        let (version, above) = above()?;
        // As kubelet does, by the uid of the pod: no two are the same.
        let number = PODS.fetch_add(1, Ordering::Relaxed);
        let directory = above.join(format!("driver-{name}-pod{:016x}{number:016x}", std::process::id()));
        fs::create_dir(&directory)?;
        let group = Group { limit_bytes, directory, version, containers: 0 };
        if version == Version::Two {
            limit_memory_below(&group.directory)?;
        }
        group.limit(&group.directory)?;
        Ok(group)
    }

    /// Makes the group of one more container, and answers the command in front of a program that runs in it. What that
    /// hides stays hidden from everybody until [`Group::show_again`].
    pub fn container(&mut self, sight: Sight) -> Vec<String> {
        self.containers += 1;
        let directory = self.directory.join(format!("container-{}", self.containers));
        fs::create_dir(&directory).expect("a group takes another");
        self.limit(&directory).expect("a group can be limited");
        let hide = match sight {
            Sight::Node => String::new(),
            Sight::Container => format!("mount --bind \"$0\" {} && ", self.mount_point()),
        };
        let enter = format!("echo $$ > \"$0/cgroup.procs\" && {hide}exec \"$@\"");
        ["/bin/sh", "-c", &enter, directory.to_str().expect("paths are UTF-8")].map(str::to_owned).to_vec()
    }

    /// After a container that sees its own group alone has looked.
    pub fn show_again(&self) {
        shell::unmount(Path::new(self.mount_point()));
    }

    fn mount_point(&self) -> &'static str {
        match self.version {
            Version::One => "/sys/fs/cgroup/memory",
            Version::Two => "/sys/fs/cgroup",
        }
    }

    fn limit(&self, directory: &Path) -> io::Result<()> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        fs::write(directory.join(file), self.limit_bytes.to_string())
    }

    /// The most memory that the pod had so far, in MiB; `None` where the kernel does not tell, which it does for
    /// version 2 since 5.19.
    pub fn peak_mib(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        self.directory.join(file).exists().then(|| self.number(file) >> 20)
    }

    /// The memory that the pod has now, in MiB.
    pub fn usage_mib(&self) -> u64 {
        self.number(match self.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        }) >> 20
    }

    fn number(&self, file: &str) -> u64 {
        let text = fs::read_to_string(self.directory.join(file)).expect("the kernel tells");
        text.trim().parse().expect("the kernel tells a number")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Innermost first. The kernel needs a moment after the end of the last process.
        let mut directories: Vec<PathBuf> =
            (1..=self.containers).map(|number| self.directory.join(format!("container-{number}"))).collect();
        directories.push(self.directory.clone());
        if !std::thread::panicking() {
            eventually("the control group is empty", || {
                directories.retain(|directory| fs::remove_dir(directory).is_err());
                directories.is_empty()
            });
        }
    }
}

/// The group below which this process makes others: its own, or with version 2 the nearest above it that holds no
/// process, since no other has groups below it whose memory is limited.
fn above() -> io::Result<(Version, PathBuf)> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let path_of = |controller: &str| {
        let fields = |line: &'_ str| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|one| one == controller).then(|| path.to_owned())
        };
        groups.lines().find_map(fields)
    };
    if let Some(path) = path_of("memory") {
        return Ok((Version::One, Path::new("/sys/fs/cgroup/memory").join(path.trim_start_matches('/'))));
    }
    let path = path_of("").ok_or_else(|| io::Error::other("this process is in no group"))?;
    let mut refused = None;
    for group in Path::new(path.trim_start_matches('/')).ancestors() {
        let directory = Path::new("/sys/fs/cgroup").join(group);
        match limit_memory_below(&directory) {
            Ok(()) => return Ok((Version::Two, directory)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::other("there is no group")))
}

/// Lets the memory of each group below that one be limited.
fn limit_memory_below(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("cgroup.subtree_control"), "+memory")
}

/// So many pods were made.
static PODS: AtomicU32 = AtomicU32::new(0);

/// The limit of the driver's container in `deploy/` and in the chart.
pub const SHIPPED_BYTES: u64 = 200 << 20;
