//! A directory in the place of a volume's root, and beside it what no write may touch.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getegid, geteuid, getrlimit, setrlimit};
use sys::at::Dir;

use crate::input::Input;

use super::model::{Content, Entry, Tree};

pub struct Room {
    directory: tempfile::TempDir,
    root: Dir,
}

impl Room {
    /// In the directory that `TMPDIR` names, which is on a tmpfs when the run's script could find one.
    pub fn new() -> Room {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::create_dir_all(directory.path().join("victim/directory")).unwrap();
        for file in VICTIMS {
            fs::write(directory.path().join("victim").join(file), PRECIOUS).unwrap();
        }
        let root = Dir::open_trusting_path(&directory.path().join("root")).unwrap();
        Room { directory, root }
    }

    pub fn root(&self) -> &Dir {
        &self.root
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn victim(&self) -> PathBuf {
        self.directory.path().join("victim")
    }

    /// No group, the one that the process has, or, where it may give to any, another one.
    pub fn group(&self, input: &mut Input<'_>) -> Option<u32> {
        let own = getegid().as_raw();
        let other = if geteuid().is_root() { 4242 } else { own };
        input.pick(&[None, None, None, Some(own), Some(other)])
    }

    #[track_caller]
    pub fn assert_nothing_happened_outside(&self) {
        for file in VICTIMS {
            assert_eq!(fs::read(self.victim().join(file)).unwrap(), PRECIOUS, "{file}");
            let found = fs::metadata(self.victim().join(file)).unwrap();
            assert_eq!(
                (found.mode() & 0o7777, found.gid()),
                (self.untouched().0, self.untouched().1),
                "{file}"
            );
        }
        let names = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!((names(self.directory.path()), names(&self.victim())), (2, 2));
        assert_eq!(names(&self.victim().join("directory")), 1);
    }

    /// Mode and group of a file that was made here and never changed.
    fn untouched(&self) -> (u32, u32) {
        let found = fs::metadata(self.victim()).unwrap();
        (found.mode() & 0o666, found.gid())
    }

    /// Everything in the root, not followed.
    pub fn tree(&self) -> Tree {
        let top = self.path("");
        let mut tree = Tree::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(above) = pending.pop() {
            for entry in fs::read_dir(top.join(&above)).unwrap() {
                let path = above.join(entry.unwrap().file_name());
                let found = fs::symlink_metadata(top.join(&path)).unwrap();
                let mode = found.permissions().mode() & 0o7777;
                let entry = if found.is_dir() {
                    pending.push(path.clone());
                    Entry::Directory(mode, found.gid())
                } else if found.is_symlink() {
                    Entry::Symlink(fs::read_link(top.join(&path)).unwrap())
                } else if found.is_file() {
                    Entry::File(mode, fs::read(top.join(&path)).unwrap(), found.gid())
                } else {
                    Entry::Other
                };
                tree.insert(path, entry);
            }
        }
        tree
    }

    /// The name to which `..data` leads; empty when there is none.
    pub fn generation(&self) -> OsString {
        fs::read_link(self.path("..data")).map(PathBuf::into_os_string).unwrap_or_default()
    }

    /// What a reader sees that opens `..data` once and reads below it.
    pub fn through_data(&self) -> Content {
        match fs::metadata(self.path("..data")) {
            Ok(found) if found.is_dir() => files_below(&self.path("..data"), ""),
            _ => Content::new(),
        }
    }

    /// What a reader sees that opens the names which the root shows.
    pub fn through_names(&self) -> Content {
        files_below(&self.path(""), "..")
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(_) => {}
        }
    }

    /// Something that a provider, or a neighbour on the node, may have put there.
    pub fn plant(&self, kind: usize, name: &str) {
        let path = self.path(name);
        match kind {
            0 => fs::write(path, "foreign").unwrap(),
            1 => {
                fs::create_dir_all(path.join("x/y")).unwrap();
                fs::write(path.join("x/f"), "foreign").unwrap();
                symlink(self.victim(), path.join("bait")).unwrap();
            }
            2 => symlink(self.victim().join("directory"), path).unwrap(),
            3 => symlink("../victim", path).unwrap(),
            4 => symlink("..data/elsewhere", path).unwrap(),
            5 => symlink("foreign/x", path).unwrap(),
            _ => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap(),
        }
    }

    /// Something that a crash of a writer may have left there.
    pub fn litter(&self, is_link: bool, name: &str) {
        let path = self.path(name);
        if is_link {
            return symlink(self.victim(), path).unwrap();
        }
        fs::create_dir_all(path.join("..trash.1/x")).unwrap();
        symlink(self.victim(), path.join("..trash.1/bait")).unwrap();
    }

    pub fn lead_data_to(&self, name: &str) {
        self.remove("..data");
        symlink(name, self.path("..data")).unwrap();
    }

    /// Spoils a file of the live generation: it is gone, is another one, or is no file.
    pub fn damage(&self, file: &str, how: usize) {
        let path = self.path("..data").join(file);
        // Below a leftover that leads out, the file would be a victim, and this hand the one that harms it.
        let above = fs::canonicalize(path.parent().unwrap()).unwrap();
        if !above.starts_with(fs::canonicalize(self.path("")).unwrap()) {
            return;
        }
        match how {
            0 => fs::remove_file(path).unwrap(),
            1 => {
                let mode = fs::metadata(&path).unwrap().permissions();
                fs::remove_file(&path).unwrap();
                fs::write(&path, "another").unwrap();
                fs::set_permissions(path, mode).unwrap();
            }
            _ => {
                fs::remove_file(&path).unwrap();
                symlink(self.victim().join("file"), path).unwrap();
            }
        }
    }
}

/// Names that lead nowhere are left out, as are those that begin with `hidden`, when it is not empty.
fn files_below(directory: &Path, hidden: &str) -> Content {
    let mut content = Content::new();
    let mut pending = vec![String::new()];
    while let Some(above) = pending.pop() {
        for entry in fs::read_dir(directory.join(&above)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if above.is_empty() && !hidden.is_empty() && name.starts_with(hidden) {
                continue;
            }
            let path = if above.is_empty() { name } else { format!("{above}/{name}") };
            match fs::metadata(directory.join(&path)) {
                Ok(found) if found.is_dir() => pending.push(path),
                Ok(found) if found.is_file() => {
                    let contents = fs::read(directory.join(&path)).unwrap();
                    content.insert(path, (found.permissions().mode() & 0o7777, contents));
                }
                _ => {}
            }
        }
    }
    content
}

/// As long as it lives, the process may open only a few files more.
pub struct FewDescriptors(Rlimit);

impl FewDescriptors {
    pub fn left(spare: usize) -> FewDescriptors {
        let before = getrlimit(Resource::Nofile);
        // The lowest free number is where the next file would be.
        let next = std::os::fd::AsRawFd::as_raw_fd(&fs::File::open("/dev/null").unwrap());
        let current = u64::try_from(next).unwrap() + u64::try_from(spare).unwrap();
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..before.clone() }).unwrap();
        FewDescriptors(before)
    }
}

impl Drop for FewDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0.clone()).unwrap();
    }
}

/// The content of what is outside.
pub const PRECIOUS: &[u8] = b"precious";
const VICTIMS: [&str; 2] = ["file", "directory/file"];
