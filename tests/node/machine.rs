//! A machine within this one: namespaces of its own, with a disk in memory that outlives a power failure.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::groups::Groups;
use crate::init;

/// The machine. When it ends, everything that runs on it ends, and what it has mounted is gone.
pub struct Machine {
    power: Option<Power>,
    // After what runs in them.
    groups: Groups,
    disk: PathBuf,
}

/// As long as it is held, the machine runs.
struct Power {
    /// Has made the namespaces, and takes their first process with it.
    process: Child,
    // The first process writes there once; closing it earlier would be its end.
    _said: BufReader<ChildStdout>,
    first: u32,
}

impl Machine {
    /// Switches one on, whose disk is that directory.
    pub fn start(disk: &Path) -> Machine {
        let mut machine = Machine { power: None, groups: Groups::make(), disk: disk.to_owned() };
        machine.switch_on();
        machine
    }

    /// Ends everything that runs on it at once, as a power failure does. Its disk stays.
    pub fn switch_off(&mut self) {
        self.power = None;
        self.groups.clear();
    }

    /// Starts it again with what is on its disk.
    pub fn switch_on(&mut self) {
        // The group before the namespace, so that it is the root of it.
        let mut process = self
            .groups
            .enter()
            .args(ENDS_WITH_PARENT)
            .args(NAMESPACES)
            .arg("--")
            .arg(std::env::current_exe().expect("this program has a file"))
            .args(["init".as_ref(), self.disk.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let mut said = BufReader::new(process.stdout.take().expect("a pipe was asked for"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a pipe can be read");
        assert_eq!(line.trim(), init::BOOTED, "the machine did not start");
        let first = only_child(process.id()).expect("it has just said something");
        self.power = Some(Power { process, _said: said, first });
    }

    /// A command that runs on the machine and ends with this program.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.enter(&["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"]);
        command.args(["sh", "-euc", JOIN, "sh"]).args(ENDS_WITH_PARENT).arg(program);
        command
    }

    /// Where this machine sees a path of that one, through its first process.
    pub fn see(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first()))
    }

    fn enter(&self, namespaces: &[&str]) -> Command {
        let mut command = Command::new(ENDS_WITH_PARENT[0]);
        let target = self.first().to_string();
        command
            .args(&ENDS_WITH_PARENT[1..])
            .args(["nsenter", "--target", &target])
            .args(namespaces)
            .arg("--");
        command
    }

    fn first(&self) -> u32 {
        self.power.as_ref().expect("the machine is on").first
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        // Ended already is fine. The kernel ends the rest before the first process is gone, which its parent waits for.
        let first = PathBuf::from(format!("/proc/{}", self.first));
        drop(self.process.kill());
        drop(self.process.wait());
        while first.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// The child of a process that has just one.
pub fn only_child(process: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Asks the kernel to kill the process when the thread that started it ends, then becomes the program named next.
pub const ENDS_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
const NAMESPACES: [&str; 11] = [
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--uts",
    "--ipc",
    "--cgroup",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
    "--propagation=private",
];
/// Has the shell be in the group of what is no pod, and become the rest.
const JOIN: &str = r#"
for procs in /sys/fs/cgroup/system/cgroup.procs /sys/fs/cgroup/*/system/cgroup.procs; do
    [ ! -e "$procs" ] || echo $$ >"$procs"
done
exec "$@""#;
