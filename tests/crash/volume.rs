//! What a reader may see of a volume, checked as strictly as the kernel allows.
//!
//! One look opens the root, reads which generation `..data` names, opens that generation once, and reads every file of
//! it through this one descriptor: all of them have to be one state, whole, with the modes and the group that belong to
//! it, and nothing else may be there. Then the links in the root have to lead there, and the files are read by name.
//!
//! One thing alone is tolerated. The driver removes the former generation after the switch, so a reader that is on its
//! way through it may find a name gone, or a listing short, and has to look again ("a switch is seen by name" in
//! SECURITY.md). So a name that is missing is no fault if, and only if, `..data` names another generation by then than
//! it did when the look began. While it names the same one, a missing name is a fault; and whatever could be read has
//! to be whole, of one state and no older than what was seen before, in every case.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use crate::content::{ALWAYS, State};
use kit::world::Pod;

/// What a look showed.
pub enum Seen {
    /// All of one state. By name, some of it may have been of a later one.
    Whole {
        /// Which state.
        number: u64,
        /// How many files.
        files: u64,
    },
    /// The generation went while it was read, and another was live by then.
    Replaced,
}

/// A sight that no reader may ever have.
pub type Fault = String;

/// Looks at a volume once. It may show no state before `least`.
pub fn look(pod: &Pod, least: u64) -> Result<Seen, Fault> {
    Look::begin(pod)?.run(least)
}

/// Looks at a volume that nobody works on.
pub fn is_whole(pod: &Pod) -> Result<(), String> {
    match look(pod, 0)? {
        Seen::Whole { .. } => Ok(()),
        Seen::Replaced => Err("it changes, although nobody works on it".to_owned()),
    }
}

/// Whole, and with nothing of an earlier attempt in it or below it.
pub fn is_at_rest(pod: &Pod) -> Result<(), Fault> {
    is_whole(pod)?;
    let left = leftovers(pod)?;
    if !left.is_empty() {
        return Err(format!("leftovers in the root: {left:?}"));
    }
    match pod.mount_count() {
        1 => Ok(()),
        count => Err(format!("{count} mounts on one another")),
    }
}

struct Look<'a> {
    pod: &'a Pod,
    root: OwnedFd,
    /// What `..data` said at the beginning.
    live: CString,
}

/// A step ends with what it is for, with a name that is gone, or with a fault.
enum Stop {
    Gone(String),
    Fault(Fault),
}

impl<'a> Look<'a> {
    fn begin(pod: &'a Pod) -> Result<Look<'a>, Fault> {
        let root = rustix::fs::open(&pod.target, DIRECTORY, Mode::empty())
            .map_err(|errno| format!("the root does not open: {errno}"))?;
        let live = live(&root)?;
        let look = Look { pod, root, live };
        look.check_mode("the root", &look.root, 0o755)?;
        Ok(look)
    }

    fn run(&self, least: u64) -> Result<Seen, Fault> {
        let outcome = self.generation(least).and_then(|(number, files)| {
            self.links(number)?;
            Ok((number, files + self.by_name(number)?))
        });
        match outcome {
            Ok((number, files)) => Ok(Seen::Whole { number, files }),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Gone(_)) if live(&self.root)? != self.live => Ok(Seen::Replaced),
            Err(Stop::Gone(what)) => Err(format!("{what}, and ..data still names {:?}", self.live)),
        }
    }

    /// Every file of the generation, through its descriptor.
    fn generation(&self, least: u64) -> Result<(u64, u64), Stop> {
        let dir = openat(&self.root, &self.live, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| gone_or("the generation", errno))?;
        self.check_mode("the generation", &dir, 0o755).map_err(Stop::Fault)?;
        let first = self.read(&dir, ALWAYS[0])?;
        let Some(state) = State::named_in(&first).filter(|state| state.pod == self.pod.name) else {
            return Err(Stop::Fault(format!("{} is no file of this pod's, or not whole", ALWAYS[0])));
        };
        if state.number < least {
            return Err(Stop::Fault(format!("{state} after state {least}")));
        }
        let files = state.files();
        for (path, wanted) in &files {
            let found = self.read_checked(&dir, path, wanted.mode)?;
            compare(&state, path, &wanted.bytes, &found)?;
        }
        let wanted: BTreeSet<PathBuf> = files.keys().map(PathBuf::from).collect();
        let found = self.listing(&dir)?;
        if found != wanted {
            return Err(Stop::Gone(format!("the generation of {state} lists {found:?}")));
        }
        let count = u64::try_from(files.len()).expect("few");
        Ok((state.number, count + 1))
    }

    /// The links that make the state's names visible.
    fn links(&self, number: u64) -> Result<(), Stop> {
        let state = State { pod: self.pod.name.clone(), number };
        for path in state.files().keys() {
            let name = path.split('/').next().expect("a path has a name");
            let text = readlinkat(&self.root, name, Vec::new()).map_err(|errno| gone_or(name, errno))?;
            if text.to_bytes() != format!("..data/{name}").as_bytes() {
                return Err(Stop::Fault(format!("{name} leads to {text:?}")));
            }
        }
        Ok(())
    }

    /// The files that every state has, by their names: each whole, and no older than `number`.
    fn by_name(&self, number: u64) -> Result<u64, Stop> {
        for path in ALWAYS {
            let mut before = live(&self.root).map_err(Stop::Fault)?;
            let found = loop {
                match std::fs::read(self.pod.target.join(path)) {
                    Ok(bytes) => break bytes,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        let now = live(&self.root).map_err(Stop::Fault)?;
                        if now == before {
                            return Err(Stop::Fault(format!(
                                "{path} does not open by name, without a switch"
                            )));
                        }
                        before = now;
                    }
                    Err(error) => return Err(Stop::Fault(format!("{path} by name: {error}"))),
                }
            };
            let state = State::named_in(&found).filter(|state| state.pod == self.pod.name);
            let Some(state) = state else {
                return Err(Stop::Fault(format!("{path} by name is no file of this pod's, or not whole")));
            };
            if state.number < number {
                return Err(Stop::Fault(format!("{path} by name is of {state}, after state {number}")));
            }
            compare(&state, path, &state.files()[path].bytes, &found)?;
        }
        Ok(u64::try_from(ALWAYS.len()).expect("few"))
    }

    fn read(&self, dir: &OwnedFd, path: &str) -> Result<Vec<u8>, Stop> {
        let file = openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|errno| gone_or(path, errno))?;
        read_all(file, path)
    }

    fn read_checked(&self, dir: &OwnedFd, path: &str, mode: u32) -> Result<Vec<u8>, Stop> {
        let file = openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|errno| gone_or(path, errno))?;
        let of_group = if self.pod.group.is_some() { (mode & 0o400) >> 3 } else { 0 };
        self.check_mode(path, &file, mode | of_group).map_err(Stop::Fault)?;
        read_all(file, path)
    }

    fn check_mode(&self, what: &str, file: &OwnedFd, mode: u32) -> Result<(), Fault> {
        let found = rustix::fs::fstat(file).map_err(|errno| format!("{what}: {errno}"))?;
        if found.st_mode & 0o7777 != mode {
            return Err(format!("{what} has mode {:04o} instead of {mode:04o}", found.st_mode & 0o7777));
        }
        match self.pod.group {
            Some(gid) if found.st_gid != gid => {
                Err(format!("{what} has group {} instead of {gid}", found.st_gid))
            }
            _ => Ok(()),
        }
    }

    /// Paths of all files below a directory.
    fn listing(&self, dir: &OwnedFd) -> Result<BTreeSet<PathBuf>, Stop> {
        let mut files = BTreeSet::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(above) = pending.pop() {
            let place = if above.as_os_str().is_empty() { Path::new(".") } else { above.as_path() };
            let opened = openat(dir, place, DIRECTORY, Mode::empty());
            let opened = opened.map_err(|errno| gone_or("a directory", errno))?;
            let entries = rustix::fs::Dir::new(opened).map_err(|errno| gone_or("a listing", errno))?;
            for entry in entries {
                let entry = entry.map_err(|errno| gone_or("a listing", errno))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == "." || name == ".." {
                    continue;
                }
                let path = above.join(name);
                if entry.file_type() == rustix::fs::FileType::Directory {
                    pending.push(path);
                } else {
                    files.insert(path);
                }
            }
        }
        Ok(files)
    }
}

/// Which generation `..data` names. It always names one, as long as the volume is published.
fn live(root: &OwnedFd) -> Result<CString, Fault> {
    readlinkat(root, "..data", Vec::new()).map_err(|errno| format!("..data: {errno}"))
}

fn read_all(file: OwnedFd, path: &str) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes)
        .map_err(|error| Stop::Fault(format!("{path}: {error}")))?;
    Ok(bytes)
}

fn gone_or(what: &str, errno: Errno) -> Stop {
    match errno {
        Errno::NOENT => Stop::Gone(format!("{what} is gone")),
        errno => Stop::Fault(format!("{what}: {errno}")),
    }
}

fn compare(state: &State, path: &str, wanted: &[u8], found: &[u8]) -> Result<(), Stop> {
    if wanted == found {
        return Ok(());
    }
    let other = State::named_in(found).filter(|other| other != state);
    Err(Stop::Fault(match other {
        _ if found.is_empty() => format!("{path} of {state} is empty"),
        _ if wanted.starts_with(found) => format!("{path} of {state} is cut off at {} bytes", found.len()),
        Some(other) => format!("{path} of {state} is of {other}"),
        None => format!("{path} of {state} has a content that no state has"),
    }))
}

/// What is in the root of a volume that nothing works on: one generation, the link to it, and the names of its state.
pub fn leftovers(pod: &Pod) -> Result<Vec<String>, Fault> {
    let first =
        std::fs::read(pod.target.join(ALWAYS[0])).map_err(|error| format!("{}: {error}", ALWAYS[0]))?;
    let state = State::named_in(&first).ok_or("the volume has no state")?;
    let mut expected: BTreeSet<String> = state
        .files()
        .keys()
        .map(|path| path.split('/').next().expect("a path has a name").to_owned())
        .collect();
    expected.insert("..data".to_owned());
    expected.insert(pod.generation().to_string_lossy().into_owned());
    let entries = std::fs::read_dir(&pod.target).map_err(|error| format!("the root: {error}"))?;
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !expected.contains(name)).collect())
}

/// True when something is mounted on the target.
pub fn is_mounted(target: &Path) -> bool {
    let above = target.parent().and_then(|above| std::fs::metadata(above).ok());
    let found = std::fs::symlink_metadata(target).ok();
    matches!((found, above), (Some(found), Some(above)) if found.is_dir() && found.dev() != above.dev())
}

/// Permission bits of the root, if the target is there.
pub fn root_mode(target: &Path) -> Option<u32> {
    std::fs::symlink_metadata(target).ok().map(|found| found.mode() & 0o7777)
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
