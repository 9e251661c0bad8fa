//! The first process of the machine: it makes its places, says that it has, and takes leave of whoever is orphaned.
//!
//! It runs in namespaces that are new, and ends with its machine: the kernel kills all others of its namespace with it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::groups;

/// Never returns: whoever has started the machine kills it.
pub fn run(disk: &Path) -> ! {
    boot(disk);
    let mut out = std::io::stdout();
    writeln!(out, "{BOOTED}").and_then(|()| out.flush()).expect("somebody waits for this line");
    loop {
        // Without a child there is nothing to wait for yet.
        if rustix::process::wait(rustix::process::WaitOptions::empty()).is_err() {
            std::thread::sleep(STEP);
        }
    }
}

fn boot(disk: &Path) {
    // What the driver mounts has to appear on the node.
    command("mount", &["--make-rshared", "/"]);
    tmpfs(Path::new("/run"));
    for place in ["/var/lib", "/var/log"] {
        let on_disk = disk.join(place.trim_start_matches('/'));
        fs::create_dir_all(&on_disk).unwrap_or_else(|error| panic!("{}: {error}", on_disk.display()));
        command("mount", &["--bind", path(&on_disk), place]);
        // So that mounts below it do not show a second time on the disk.
        command("mount", &["--make-private", place]);
        command("mount", &["--make-shared", place]);
    }
    overlay(disk, "/etc");
    own_settings(disk);
    own_groups();
    command("hostname", &[crate::node::NAME]);
    command("ip", &["link", "set", "lo", "up"]);
    for address in [crate::control_plane::NODE_ADDRESS, crate::control_plane::SERVICE_ADDRESS] {
        command("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("the machine's network is its own");
}

/// What is written to that directory is on the machine's disk; what is read is the real one's where nothing was
/// written.
fn overlay(disk: &Path, directory: &str) {
    let [upper, work] =
        ["upper", "work"].map(|kind| disk.join(format!("{kind}{}", directory.replace('/', "-"))));
    for directory in [&upper, &work] {
        fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    }
    let options = format!("lowerdir={directory},upperdir={},workdir={}", upper.display(), work.display());
    command("mount", &["-t", "overlay", "-o", &options, "overlay", directory]);
}

/// Kubelet sets these for the whole machine. Here it sets files of its own, and the real machine stays as it was.
fn own_settings(disk: &Path) {
    for (number, setting) in SETTINGS.iter().enumerate() {
        let real = Path::new("/proc/sys").join(setting);
        let own = disk.join(format!("setting-{number}"));
        let value = fs::read(&real).unwrap_or_else(|error| panic!("{}: {error}", real.display()));
        fs::write(&own, value).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
        command("mount", &["--bind", path(&own), path(&real)]);
    }
    // Where something of it is hidden, nobody in a user namespace may mount another, as the pods with users of their
    // own do.
    let whole = Path::new("/run/proc");
    fs::create_dir(whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()));
    command("mount", &["-t", "proc", "proc", path(whole)]);
}

/// Shows the groups as the namespace has them, the machine's own as the root, and makes one in it for what is no pod:
/// in version 2 a group that has others whose resources are limited holds no process.
fn own_groups() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the kernel tells of mounts");
    let real: Vec<(PathBuf, Vec<String>)> = groups::hierarchies()
        .into_iter()
        .map(|place| {
            let line = mounts.lines().find(|line| line.split(' ').nth(1) == place.to_str());
            let fields: Vec<&str> = line.expect("it was found there").split(' ').collect();
            (place, vec![fields[2].to_owned(), controllers(fields[3])])
        })
        .collect();
    // All in one place, as version 1 has them.
    let in_one = real.len() > 1;
    for (place, _) in real.iter().rev() {
        command("umount", &[path(place)]);
    }
    if in_one {
        command("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup"]);
    }
    for (place, kind) in &real {
        fs::create_dir_all(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let options: &[&str] = if kind[1].is_empty() { &[] } else { &["-o", &kind[1]] };
        command("mount", &[&["-t", &kind[0]], options, &[&kind[0], path(place)]].concat());
        let system = place.join(SYSTEM);
        fs::create_dir_all(&system).unwrap_or_else(|error| panic!("{}: {error}", system.display()));
        groups::inherit_processors(&system);
        enter(&system);
        if let Ok(offered) = fs::read_to_string(place.join("cgroup.controllers")) {
            for controller in offered.split_whitespace() {
                let file = place.join("cgroup.subtree_control");
                fs::write(&file, format!("+{controller}"))
                    .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
        }
    }
}

/// Moves this process there.
fn enter(group: &Path) {
    let file = group.join("cgroup.procs");
    fs::write(&file, "0").unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Of the options of a mount, those that say which hierarchy it is.
fn controllers(options: &str) -> String {
    let general = ["rw", "ro", "nosuid", "nodev", "noexec", "relatime", "nsdelegate", "memory_recursiveprot"];
    let named = options.split(',').filter(|option| !general.contains(option));
    named.filter(|option| !option.starts_with("favor")).collect::<Vec<_>>().join(",")
}

fn tmpfs(place: &Path) {
    command("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", path(place)]);
}

fn command(name: &str, arguments: &[&str]) {
    let status = Command::new(name).args(arguments).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{name} {arguments:?}: {status:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths are UTF-8")
}

/// What the first process says when the machine is as it should be.
pub const BOOTED: &str = "booted";
/// The group of what is no pod.
pub const SYSTEM: &str = "system";
const STEP: std::time::Duration = std::time::Duration::from_millis(200);
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
