//! When each volume was last refreshed with success, and which pod of the driver's wrote it, kept for the process that
//! comes after this one.
//!
//! The times live in memory, with the rest of what is known of volumes. Nothing in a volume may tell them: whoever
//! watches it would be woken by every refresh that brings no news. So they are written to a small file in the driver's
//! own directory, beside its socket: seldom, and when the driver stops. A file that is lost, old or damaged makes
//! volumes due earlier than they would have been, and their memory count as the present pod's, and nothing else.
//!
//! ```text
//! secrets-store-csi refresh times 1
//! 412 1764499200.000000000 /var/lib/kubelet/pods/<uid>/volumes/kubernetes.io~csi/<name>/mount
//! by f0e9d8c71234432187650123456789ab 1764495600.000000000
//! ```
//!
//! Each line has the kernel's number of the mount (`-` where there is none), the time in seconds since 1970, and the
//! target. A time counts for that mount alone: the next volume at the same place is another one. Where it is known, a
//! second line has the uid of the driver's pod that wrote the content, and when the volume's names last changed then;
//! earlier releases pass over it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::lock::Mutex;
use sys::at::{Dir, SysError, io_error};

use super::content_memory::Origin;
use super::own_pod::PodUid;

/// A refresh that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRefresh {
    /// The kernel's number of the mount that was refreshed; `None` where it does not tell.
    pub mount: Option<u64>,
    /// When.
    pub at: SystemTime,
}

/// What is kept of one volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its last refresh.
    pub refreshed: LastRefresh,
    /// Where its content came from, if that is known.
    pub origin: Option<Origin>,
}

/// What an earlier process left, and where this one leaves its own.
pub struct RefreshTimes {
    /// `None` where nothing is kept.
    directory: Option<PathBuf>,
    /// By target.
    inherited: HashMap<String, Kept>,
    hasher: RandomState,
    /// Digest of what was last written.
    written: Mutex<Option<u64>>,
}

impl RefreshTimes {
    /// The names that may be in its directory.
    pub const FILES: [&str; 2] = [FILE, FRESH_FILE];

    /// Keeps nothing: where the driver has no directory of its own.
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

    /// What an earlier process has kept of the volume that is mounted there.
    pub fn inherited(&self, target: &str, mount: Option<u64>) -> Option<Kept> {
        self.inherited.get(target).filter(|kept| kept.refreshed.mount == mount).copied()
    }

    /// Keeps this for the next process; false when it is what was kept last.
    ///
    /// # Errors
    /// The file cannot be written; the one before it stays.
    pub fn keep(&self, volumes: &[(String, Kept)]) -> Result<bool, SysError> {
        let Some(directory) = &self.directory else { return Ok(false) };
        let text = encode(volumes);
        let digest = Some(self.hasher.hash_one(&text));
        let mut written = self.written.lock();
        if *written == digest {
            return Ok(false);
        }
        write(directory, &text)?;
        *written = digest;
        Ok(true)
    }
}

fn encode(volumes: &[(String, Kept)]) -> String {
    let mut text = String::from(HEADER);
    // A line break in a path, which kubelet does not make, would begin another line.
    for (target, Kept { refreshed, origin }) in volumes.iter().filter(|(target, _)| !target.contains('\n')) {
        let mount = refreshed.mount.map_or_else(|| "-".to_owned(), |mount| mount.to_string());
        text.push_str(&format!("{mount} {} {target}\n", encode_time(refreshed.at)));
        if let Some(Origin { pod, changed }) = origin {
            text.push_str(&format!("{BY}{pod} {}\n", encode_time(*changed)));
        }
    }
    text
}

fn encode_time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// Lines that cannot be read are left out, and one that belongs to such a line with it.
fn decode(text: &str) -> HashMap<String, Kept> {
    let mut volumes = HashMap::new();
    let mut last = None;
    for line in text.strip_prefix(HEADER).unwrap_or_default().lines() {
        if let Some(origin) = line.strip_prefix(BY) {
            let kept = last.take().and_then(|target: String| volumes.get_mut(&target));
            if let Some(kept) = kept {
                *kept = Kept { origin: decode_origin(origin), ..*kept };
            }
        } else {
            last = decode_line(line).map(|(target, refreshed)| {
                volumes.insert(target.clone(), Kept { refreshed, origin: None });
                target
            });
        }
    }
    volumes
}

fn decode_line(line: &str) -> Option<(String, LastRefresh)> {
    let (mount, rest) = line.split_once(' ')?;
    let (time, target) = rest.split_once(' ')?;
    let mount = if mount == "-" { None } else { Some(mount.parse().ok()?) };
    if target.is_empty() {
        return None;
    }
    Some((target.to_owned(), LastRefresh { mount, at: decode_time(time)? }))
}

fn decode_origin(text: &str) -> Option<Origin> {
    let (pod, changed) = text.split_once(' ')?;
    Some(Origin { pod: PodUid::parse(pod)?, changed: decode_time(changed)? })
}

fn decode_time(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.split_once('.')?;
    if nanos.len() != 9 {
        return None;
    }
    let since =
        Duration::from_secs(seconds.parse().ok()?).checked_add(Duration::from_nanos(nanos.parse().ok()?))?;
    UNIX_EPOCH.checked_add(since)
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
/// Begins the line that says where the content of the volume before it came from.
const BY: &str = "by ";
const FILE: &str = "refresh-times";
const FRESH_FILE: &str = "refresh-times.new";
/// Some three thousand volumes: far more than a node has.
const MOST_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    fn kept(mount: Option<u64>, nanos: u64, origin: Option<Origin>) -> Kept {
        Kept { refreshed: LastRefresh { mount, at: at(nanos) }, origin }
    }

    fn origin() -> Option<Origin> {
        let pod = PodUid::parse("f0e9d8c7-1234-4321-8765-0123456789ab").unwrap();
        Some(Origin { pod, changed: at(1_600_000_000_000_000_001) })
    }

    fn times() -> Vec<(String, Kept)> {
        vec![
            ("/pods/a/mount".to_owned(), kept(Some(7), 1_700_000_000_000_000_001, origin())),
            ("/pods/b c/mount".to_owned(), kept(None, 0, None)),
        ]
    }

    #[test]
    fn the_next_process_finds_what_this_one_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert!(RefreshTimes::kept_in(directory.path()).keep(&times()).unwrap());
        let found = RefreshTimes::kept_in(directory.path());
        assert_eq!(found.inherited("/pods/a/mount", Some(7)), Some(times()[0].1));
        assert_eq!(found.inherited("/pods/b c/mount", None), Some(times()[1].1));
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
    fn a_volume_costs_less_than_350_bytes_of_the_nodes_disk() {
        let pod = "f0e9d8c7-1234-4321-8765-0123456789ab";
        let target =
            format!("/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~csi/{}/mount", "v".repeat(63));
        let kept = kept(Some(u64::MAX), 1_700_000_000_000_000_001, origin());
        assert!(encode(&[(target, kept)]).len() < 350);
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
    fn an_origin_is_of_the_line_before_it_and_of_no_other() {
        let by = "by f0e9d8c71234432187650123456789ab 1600000000.000000001\n";
        let origins = |lines: &str| {
            let found = decode(&format!("{HEADER}{lines}"));
            ["/a", "/b"].map(|target| found.get(target).and_then(|kept| kept.origin))
        };
        let (a, b) = ("7 5.000000000 /a\n", "8 5.000000000 /b\n");
        assert_eq!(origins(&format!("{a}{by}{b}")), [origin(), None]);
        assert_eq!(origins(&format!("{a}? ? ?\n{by}{b}")), [None, None], "of a line that was damaged");
        assert_eq!(origins(&format!("{by}{a}{b}")), [None, None]);
        for damaged in ["by x 1600000000.000000001\n", "by \n", "by 0 0\n"] {
            assert_eq!(origins(&format!("{a}{damaged}{b}{by}")), [None, origin()], "{damaged}");
        }
    }

    #[test]
    fn an_earlier_release_reads_the_times_and_passes_over_the_rest() {
        let text = encode(&times());
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 3);
        // Which is how it read each line.
        let read: Vec<_> = lines.iter().filter_map(|line| decode_line(line)).collect();
        let expected: Vec<_> = times().into_iter().map(|(target, kept)| (target, kept.refreshed)).collect();
        assert_eq!(read, expected);
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
        listed.push(("/a\n7 5.000000000 /b".to_owned(), kept(Some(9), 5, None)));
        assert_eq!(decode(&encode(&listed)).len(), 2);
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        assert!(!RefreshTimes::forgotten().keep(&times()).unwrap());
    }
}
