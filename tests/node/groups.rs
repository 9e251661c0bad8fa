//! The control groups below which everything of the machine is, so that kubelet's are none of the real machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use e2e::patience::until;

/// One group in each hierarchy. They are removed when this ends, in whatever way it does.
pub struct Groups {
    directories: Vec<PathBuf>,
    // Closed by the kernel with the last of this process.
    heartbeat: Option<ChildStdin>,
    undertaker: Child,
}

impl Groups {
    /// Makes them, below nobody's.
    pub fn make() -> Groups {
        let name = format!("{PREFIX}{}", std::process::id());
        let directories: Vec<PathBuf> = hierarchies().iter().map(|hierarchy| hierarchy.join(&name)).collect();
        assert!(!directories.is_empty(), "no control groups are mounted in {MOUNTS}");
        for directory in &directories {
            let made = fs::create_dir(directory);
            made.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            inherit_processors(directory);
        }
        // In a session of its own: neither Ctrl-C nor the end of a terminal keeps it from its work.
        let mut undertaker = Command::new("setsid")
            .args(["sh", "-c", BURY, "sh"])
            .args(&directories)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let heartbeat = undertaker.stdin.take();
        Groups { directories, heartbeat, undertaker }
    }

    /// Removes all groups within them, in which nothing runs any longer: no machine that starts has any.
    pub fn clear(&self) {
        until("the machine's control groups are empty", || {
            let cleared = Command::new("find")
                .args(&self.directories)
                .args(["-mindepth", "1", "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"])
                .stderr(Stdio::null())
                .status();
            // It also fails where a process is not quite gone.
            cleared.is_ok_and(|status| status.success())
        });
    }

    /// A command in front of others that enters the groups first.
    pub fn enter(&self) -> Command {
        let mut command = Command::new("sh");
        let count = self.directories.len().to_string();
        command.args(["-euc", ENTER, "sh", &count]).args(&self.directories);
        command
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        drop(self.heartbeat.take());
        let told = self.undertaker.wait();
        if !std::thread::panicking() {
            assert!(
                told.is_ok_and(|status| status.success()),
                "control groups of the machine are left in {MOUNTS}"
            );
        }
    }
}

/// Where the hierarchies are mounted: one in version 2, one for each controller in version 1.
pub fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the kernel tells of mounts");
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split(' ').collect();
        matches!(fields[..], [_, place, "cgroup" | "cgroup2", ..] if place.starts_with(MOUNTS))
    };
    let place = |line: &str| PathBuf::from(line.split(' ').nth(1).expect("a mount has a place"));
    mounts.lines().filter(is_one).map(place).collect()
}

/// Gives a group of version 1 the processors of the one above it: it begins without any, and so takes no process.
pub fn inherit_processors(group: &Path) {
    let above = group.parent().expect("a group is in another");
    for file in ["cpuset.cpus", "cpuset.mems"].map(|name| (above.join(name), group.join(name))) {
        let (theirs, own) = file;
        if theirs.exists() && own.exists() {
            let copied = fs::read(&theirs).and_then(|processors| fs::write(&own, processors));
            copied.unwrap_or_else(|error| panic!("{}: {error}", own.display()));
        }
    }
}

/// Where the system has its hierarchies.
const MOUNTS: &str = "/sys/fs/cgroup";
/// How the groups' names begin.
const PREFIX: &str = "secrets-store-node-";
/// Has the shell be in the first so many directories, and become the rest.
const ENTER: &str = r#"
left=$1
shift
while [ "$left" -gt 0 ]; do
    echo $$ >"$1/cgroup.procs"
    shift
    left=$((left - 1))
done
exec "$@""#;
/// Waits for the end of whoever has started it, and removes the groups as soon as their last process is gone.
const BURY: &str = r#"
cat
tries=300
while [ "$tries" -gt 0 ]; do
    left=
    for group; do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
        [ ! -d "$group" ] || left=yes
    done
    [ -n "$left" ] || exit 0
    sleep 0.1
    tries=$((tries - 1))
done
exit 1"#;
