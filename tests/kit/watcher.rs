//! A program in a pod that watches its secrets, by every event that the kernel tells.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watches the root of a volume and everything that was in it when the watch began.
pub struct Watcher {
    root: PathBuf,
    queue: OwnedFd,
    /// Paths by the number of their watch.
    watched: BTreeMap<i32, PathBuf>,
    /// What each path was like.
    before: BTreeMap<PathBuf, String>,
}

impl Watcher {
    /// Begins to watch.
    pub fn of(root: &Path) -> Watcher {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify is there");
        let before = state(root);
        let watch = |path: &PathBuf| {
            let mask = WatchFlags::ALL_EVENTS | WatchFlags::DONT_FOLLOW;
            let number = inotify::add_watch(&queue, path, mask)
                .unwrap_or_else(|errno| panic!("watching {}: {errno}", path.display()));
            (number, path.clone())
        };
        let watched = before.keys().map(watch).collect();
        Watcher { root: root.to_owned(), queue, watched, before }
    }

    /// Everything that somebody who watches would have heard or could see now, but for reading: events since the watch
    /// began, and differences of owner, mode, size and times.
    pub fn stirred(&self) -> Vec<String> {
        let mut stirred = self.events();
        let now = state(&self.root);
        for (path, before) in &self.before {
            match now.get(path) {
                Some(after) if after == before => {}
                after => stirred.push(format!("{}: {before} -> {after:?}", path.display())),
            }
        }
        let new = now.keys().filter(|path| !self.before.contains_key(*path));
        stirred.extend(new.map(|path| format!("{} is new", path.display())));
        stirred
    }

    fn events(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut events = Vec::new();
        let mut reader = inotify::Reader::new(&self.queue, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if is_of_reading(event.events()) => {}
                Ok(event) => {
                    let mut text = format!("{:?}", event.events());
                    let path = self.watched.get(&event.wd()).map(|path| path.display().to_string());
                    write!(text, " of {path:?} {:?}", event.file_name()).expect("texts take texts");
                    events.push(text);
                }
                Err(Errno::AGAIN) => return events,
                Err(errno) => panic!("reading events: {errno}"),
            }
        }
    }
}

fn is_of_reading(event: ReadFlags) -> bool {
    let reading = ReadFlags::ACCESS | ReadFlags::OPEN | ReadFlags::CLOSE_NOWRITE | ReadFlags::ISDIR;
    reading.contains(event)
}

/// Everything below `root` and itself, not followed: what `stat` says of it but for the time of reading.
fn state(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut state = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let found = std::fs::symlink_metadata(&path).expect("what is listed is there");
        if found.is_dir() {
            let entries = std::fs::read_dir(&path).expect("the test may list it");
            pending.extend(entries.map(|entry| entry.expect("it can be listed").path()));
        }
        let text = format!(
            "inode {} mode {:o} owner {}:{} size {} mtime {}.{:09} ctime {}.{:09}",
            found.ino(),
            found.mode(),
            found.uid(),
            found.gid(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        );
        state.insert(path, text);
    }
    state
}
