//! What a volume looks like after a write, and what readers see until then.

mod behaviour;
mod crashes;
mod limits;
mod model;
mod readers;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::super::payload::tests::payload;
use super::*;

/// Only the kernel has limits here.
const ENDLESS: ContentLimits = ContentLimits { bytes: u64::MAX, inodes: u64::MAX };

/// A directory in the place of a volume's root, and one beside it that no write may touch.
struct Volume {
    directory: tempfile::TempDir,
    root: Dir,
}

impl Volume {
    fn new() -> Volume {
        let directory = in_memory();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::create_dir_all(directory.path().join("victim/directory")).unwrap();
        for file in VICTIMS {
            fs::write(directory.path().join("victim").join(file), "precious").unwrap();
        }
        let root = Dir::open_trusting_path(&directory.path().join("root")).unwrap();
        Volume { directory, root }
    }

    fn holding(payload: &Payload) -> Volume {
        let volume = Volume::new();
        assert_eq!(volume.write(payload), Ok(Written::Changed));
        volume
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn victim(&self) -> std::path::PathBuf {
        self.directory.path().join("victim")
    }

    fn write(&self, payload: &Payload) -> Result<Written, WriteError> {
        write(&self.root, payload, None, ENDLESS, SystemTime::now())
    }

    /// Ends a write where `step` begins as a crash does: nothing is cleaned up. False when it never got there.
    fn crash(&self, payload: &Payload, step: Step) -> bool {
        struct Crash;
        let mut observer = |reached| {
            if reached == step {
                // Unlike a panic, this says nothing on standard error.
                resume_unwind(Box::new(Crash));
            }
        };
        let write = || write_observed(&self.root, payload, None, ENDLESS, SystemTime::now(), &mut observer);
        match catch_unwind(AssertUnwindSafe(write)) {
            Ok(outcome) => {
                outcome.unwrap();
                false
            }
            Err(thrown) => {
                assert!(thrown.is::<Crash>(), "a panic of the writer's own at {step:?}");
                true
            }
        }
    }

    /// Everything in the root, not followed.
    fn tree(&self) -> Tree {
        tree_of(&self.path(""))
    }

    /// The volume's tree is that of the payload, with nothing else beside it.
    #[track_caller]
    fn assert_is_exactly(&self, payload: &Payload, why: &str) {
        assert_eq!(self.tree(), self.tree_for(payload), "{why}");
        self.assert_victim_is_untouched(why);
    }

    /// The whole tree that makes a payload visible.
    fn tree_for(&self, payload: &Payload) -> Tree {
        let generation = fs::read_link(self.path(DATA)).unwrap();
        let mut tree = Tree::from([
            (DATA.into(), Entry::Symlink(generation.clone())),
            (generation.clone(), Entry::Directory(0o755)),
        ]);
        for name in payload.visible_names() {
            tree.insert(name.into(), Entry::Symlink(Path::new(DATA).join(name)));
        }
        for directory in payload.directories() {
            tree.insert(generation.join(directory), Entry::Directory(0o755));
        }
        for (path, file) in payload.files() {
            let contents = file.contents.expose().to_vec();
            tree.insert(generation.join(path.as_str()), Entry::File(file.mode.bits(), contents));
        }
        tree
    }

    #[track_caller]
    fn assert_victim_is_untouched(&self, why: &str) {
        for file in VICTIMS {
            let contents = fs::read_to_string(self.victim().join(file));
            assert_eq!(contents.ok().as_deref(), Some("precious"), "{why}: {file}");
        }
        assert_eq!(fs::read_dir(self.victim()).unwrap().count(), 2, "{why}");
    }

    /// What a reader sees that opens `..data` once and reads below it.
    fn through_data(&self) -> Content {
        match fs::File::open(self.path(DATA)) {
            Ok(data) => files_below(Path::new(&descriptor_path(&data)), ""),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::new(),
            Err(error) => panic!("..data: {error}"),
        }
    }

    /// What a reader sees that opens the names which the root shows.
    fn through_names(&self) -> Content {
        let mut content = files_below(&self.path(""), "..");
        content.retain(|path, _| !path.starts_with(".."));
        content
    }
}

/// A directory on a tmpfs, as a volume is, where the system has one for everybody: a disk has to journal it all.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Files below a directory, symlinks followed, by path.
type Content = BTreeMap<String, (u32, Vec<u8>)>;

/// Names that lead nowhere are left out, as are names that begin with `hidden`, when it is not empty.
fn files_below(directory: &Path, hidden: &str) -> Content {
    let mut content = Content::new();
    let mut pending = vec![String::new()];
    while let Some(above) = pending.pop() {
        for entry in fs::read_dir(directory.join(&above)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if above.is_empty() { name } else { format!("{above}/{name}") };
            if !hidden.is_empty() && path.starts_with(hidden) {
                continue;
            }
            match fs::metadata(directory.join(&path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{path}: {error}"),
                Ok(found) if found.is_dir() => pending.push(path),
                Ok(found) => {
                    let contents = fs::read(directory.join(&path)).unwrap();
                    content.insert(path, (found.permissions().mode() & 0o7777, contents));
                }
            }
        }
    }
    content
}

/// What readers should see of a payload.
fn content_of(payload: &Payload) -> Content {
    let files = payload.files();
    files
        .map(|(path, file)| (path.to_string(), (file.mode.bits(), file.contents.expose().to_vec())))
        .collect()
}

/// An entry, not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Directory(u32),
    File(u32, Vec<u8>),
    Symlink(std::path::PathBuf),
}

type Tree = BTreeMap<std::path::PathBuf, Entry>;

fn tree_of(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![std::path::PathBuf::new()];
    while let Some(above) = pending.pop() {
        for entry in fs::read_dir(top.join(&above)).unwrap() {
            let path = above.join(entry.unwrap().file_name());
            let found = fs::symlink_metadata(top.join(&path)).unwrap();
            let mode = found.permissions().mode() & 0o7777;
            let entry = if found.is_dir() {
                pending.push(path.clone());
                Entry::Directory(mode)
            } else if found.is_symlink() {
                Entry::Symlink(fs::read_link(top.join(&path)).unwrap())
            } else {
                Entry::File(mode, fs::read(top.join(&path)).unwrap())
            };
            tree.insert(path, entry);
        }
    }
    tree
}

fn descriptor_path(file: &fs::File) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))
}

const VICTIMS: [&str; 2] = ["file", "directory/file"];
