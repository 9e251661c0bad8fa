//! When each volume was last refreshed with success, kept for the process that comes after this one.
//!
//! The times live in memory, with the rest of what is known of volumes. Nothing in a volume may tell them: whoever
//! watches it would be woken by every refresh that brings no news. So they are written to a small file in the driver's
//! own directory, beside its socket: seldom, and when the driver stops. A file that is lost, old or damaged makes
//! volumes due earlier than they would have been, and nothing else.
//!
//! ```text
//! secrets-store-csi refresh times 1
//! 412 1764499200.000000000 /var/lib/kubelet/pods/<uid>/volumes/kubernetes.io~csi/<name>/mount
//! ```
//!
//! Each line has the kernel's number of the mount (`-` where there is none), the time in seconds since 1970, and the
//! target. A time counts for that mount alone: the next volume at the same place is another one.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::at::{Dir, SysError, io_error};

/// A refresh that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRefresh {
    /// The kernel's number of the mount that was refreshed; `None` where it does not tell.
    pub mount: Option<u64>,
    /// When.
    pub at: SystemTime,
}

/// What an earlier process left, and where this one leaves its own.
pub struct RefreshTimes {
    /// `None` where nothing is kept.
    directory: Option<PathBuf>,
    /// By target.
    inherited: HashMap<String, LastRefresh>,
    hasher: RandomState,
    /// Digest of what was last written.
    written: Mutex<Option<u64>>,
}

impl RefreshTimes {
    /// The names that may be in its directory.
    pub const FILES: [&str; 2] = [FILE, FRESH_FILE];

    /// Keeps nothing: where volumes are not refreshed, or the driver has no directory of its own.
    pub fn forgotten() -> RefreshTimes {
        RefreshTimes {
            directory: None,
            inherited: HashMap::new(),
            hasher: RandomState::new(),
            written: Mutex::default(),
        }
    }

    /// Takes up what an earlier process left in that directory. What cannot be read counts as nothing.
    pub fn kept_in(directory: &Path) -> RefreshTimes {
        let inherited = match read(directory) {
            Ok(text) => decode(&text),
            Err(error) if error.is_not_found() => HashMap::new(),
            Err(error) => {
                log::warn!(error:% = error; "could not read when volumes were last refreshed: they are due early");
                HashMap::new()
            }
        };
        RefreshTimes { directory: Some(directory.to_owned()), inherited, ..RefreshTimes::forgotten() }
    }

    /// When an earlier process last refreshed the volume that is mounted there.
    pub fn inherited(&self, target: &str, mount: Option<u64>) -> Option<SystemTime> {
        self.inherited.get(target).filter(|refresh| refresh.mount == mount).map(|refresh| refresh.at)
    }

    /// Keeps these times for the next process; false when they are what was kept last.
    ///
    /// # Errors
    /// The file cannot be written; the one before it stays.
    pub fn keep(&self, times: &[(String, LastRefresh)]) -> Result<bool, SysError> {
        let Some(directory) = &self.directory else { return Ok(false) };
        let text = encode(times);
        let digest = Some(self.hasher.hash_one(&text));
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == digest {
            return Ok(false);
        }
        write(directory, &text)?;
        *written = digest;
        Ok(true)
    }
}

fn encode(times: &[(String, LastRefresh)]) -> String {
    let mut text = String::from(HEADER);
    // A line break in a path, which kubelet does not make, would begin another line.
    for (target, refresh) in times.iter().filter(|(target, _)| !target.contains('\n')) {
        let mount = refresh.mount.map_or_else(|| "-".to_owned(), |mount| mount.to_string());
        let since = refresh.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        text.push_str(&format!("{mount} {}.{:09} {target}\n", since.as_secs(), since.subsec_nanos()));
    }
    text
}

/// Lines that cannot be read are left out.
fn decode(text: &str) -> HashMap<String, LastRefresh> {
    let Some(lines) = text.strip_prefix(HEADER) else { return HashMap::new() };
    lines.lines().filter_map(decode_line).collect()
}

fn decode_line(line: &str) -> Option<(String, LastRefresh)> {
    let (mount, rest) = line.split_once(' ')?;
    let (time, target) = rest.split_once(' ')?;
    let mount = if mount == "-" { None } else { Some(mount.parse().ok()?) };
    let (seconds, nanos) = time.split_once('.')?;
    if nanos.len() != 9 || target.is_empty() {
        return None;
    }
    let since =
        Duration::from_secs(seconds.parse().ok()?).checked_add(Duration::from_nanos(nanos.parse().ok()?))?;
    Some((target.to_owned(), LastRefresh { mount, at: UNIX_EPOCH.checked_add(since)? }))
}

fn read(directory: &Path) -> Result<String, SysError> {
    let mut text = String::new();
    let file = Dir::open_trusting_path(directory)?.open_file(OsStr::new(FILE))?;
    // Longer than any node's: somebody else's file.
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(|error| io_error("read", FILE, &error))?;
    Ok(text)
}

/// In one step: who reads it finds the old file or the new one. Nothing is forced to the disk, since a machine that
/// lost its power has lost its volumes too.
fn write(directory: &Path, text: &str) -> Result<(), SysError> {
    let (file, fresh) = (OsStr::new(FILE), OsStr::new(FRESH_FILE));
    let directory = Dir::open_trusting_path(directory)?;
    match directory.remove_file(fresh) {
        // What a crash left.
        Ok(()) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let mut created = directory.create_file(fresh)?;
    let filled = created.write_all(text.as_bytes()).map_err(|error| io_error("write", fresh, &error));
    filled.and_then(|()| directory.rename(fresh, file))
}

/// The first line, by which a later release would know another form.
const HEADER: &str = "secrets-store-csi refresh times 1\n";
const FILE: &str = "refresh-times";
const FRESH_FILE: &str = "refresh-times.new";
/// Some five thousand volumes: far more than a node has.
const MOST_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    fn times() -> Vec<(String, LastRefresh)> {
        vec![
            ("/pods/a/mount".to_owned(), LastRefresh { mount: Some(7), at: at(1_700_000_000_000_000_001) }),
            ("/pods/b c/mount".to_owned(), LastRefresh { mount: None, at: at(0) }),
        ]
    }

    #[test]
    fn the_next_process_finds_what_this_one_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert!(RefreshTimes::kept_in(directory.path()).keep(&times()).unwrap());
        let found = RefreshTimes::kept_in(directory.path());
        assert_eq!(found.inherited("/pods/a/mount", Some(7)), Some(at(1_700_000_000_000_000_001)));
        assert_eq!(found.inherited("/pods/b c/mount", None), Some(at(0)));
        assert_eq!(found.inherited("/pods/c/mount", None), None);
    }

    #[test]
    fn a_time_counts_for_its_own_mount_alone() {
        let directory = tempfile::tempdir().unwrap();
        RefreshTimes::kept_in(directory.path()).keep(&times()).unwrap();
        let found = RefreshTimes::kept_in(directory.path());
        for other in [None, Some(8)] {
            assert_eq!(found.inherited("/pods/a/mount", other), None, "{other:?}");
        }
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_only_when_something_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let kept = RefreshTimes::kept_in(directory.path());
        // What a crash has left.
        std::fs::write(directory.path().join(FRESH_FILE), "half").unwrap();
        assert!(kept.keep(&times()).unwrap());
        let before = std::fs::File::open(directory.path().join(FILE)).unwrap();
        assert!(!kept.keep(&times()).unwrap());
        assert!(kept.keep(&times()[..1]).unwrap());
        let old = std::io::read_to_string(before).unwrap();
        assert_eq!(old, encode(&times()), "who has opened the old file reads all of it");
        let names = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), [FILE], "nothing is left beside it");
    }

    #[test]
    fn a_volume_costs_less_than_300_bytes_of_the_nodes_disk() {
        let pod = "f0e9d8c7-1234-4321-8765-0123456789ab";
        let target =
            format!("/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~csi/{}/mount", "v".repeat(63));
        let refresh = LastRefresh { mount: Some(u64::MAX), at: at(1_700_000_000_000_000_001) };
        assert!(encode(&[(target, refresh)]).len() < 300);
    }

    #[test]
    fn a_damaged_file_is_read_as_far_as_it_can_be() {
        let good = "7 5.000000000 /a\n";
        let damaged =
            ["", "x\n", "7 5.0 /a\n", "7 5.000000000 \n", "7 5 /a\n", "- -1.000000000 /a\n", "\0\0"];
        for text in damaged {
            assert_eq!(decode(&format!("{HEADER}{text}")), HashMap::new(), "{text:?}");
            assert_eq!(decode(&format!("{HEADER}{text}\n{good}")).len(), 1, "{text:?}");
        }
        assert_eq!(decode(&format!("{HEADER}7 {}.000000000 /a\n", u64::MAX)), HashMap::new());
        assert_eq!(decode(good), HashMap::new(), "another kind of file");
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing_and_what_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(FILE)).unwrap();
        let kept = RefreshTimes::kept_in(directory.path());
        assert_eq!(kept.inherited("/pods/a/mount", Some(7)), None);
        assert!(kept.keep(&times()).is_err());
        std::fs::remove_dir(directory.path().join(FILE)).unwrap();
        assert!(kept.keep(&times()).unwrap(), "tried again");
    }

    #[test]
    fn a_target_that_could_pass_for_two_lines_is_left_out() {
        let mut listed = times();
        listed.push(("/a\n7 5.000000000 /b".to_owned(), LastRefresh { mount: Some(9), at: at(5) }));
        assert_eq!(decode(&encode(&listed)).len(), 2);
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        assert!(!RefreshTimes::forgotten().keep(&times()).unwrap());
    }
}
