//! What fits into a volume, on the kernel's own tmpfs.

use std::fs;
use std::time::SystemTime;

use super::super::live::LiveVolume;
use super::super::payload::{File, FileMode, Payload};
use super::super::writer::Written;
use super::*;
use crate::tests::Mounted;
use base::secret::SecretBytes;
use sys::mount::Limits;

/// A volume on a file system of that size.
struct Stage {
    _directory: tempfile::TempDir,
    _mount: Mounted,
    volume: LiveVolume,
}

impl Stage {
    fn of_size(file_system: Limits) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let mount = Mounted::make(directory.path(), "root", file_system);
        let volume = LiveVolume::new(mount.root.try_clone().unwrap());
        Stage { _directory: directory, _mount: mount, volume }
    }

    /// A volume as it is made under these limits.
    fn under(limits: ContentLimits) -> Stage {
        Stage::of_size(limits.file_system())
    }

    fn write(&self, payload: &Payload, limits: ContentLimits) -> Result<Written, WriteError> {
        self.volume.write(payload, None, limits, SystemTime::now())
    }
}

/// Files of that many bytes, each under a name that begins with `prefix`.
fn files(prefix: &str, sizes: impl IntoIterator<Item = usize>) -> Payload {
    let file = |(number, bytes): (usize, usize)| {
        let contents = SecretBytes::new(vec![b'x'; bytes]);
        (format!("{prefix}{number}"), File { mode: FileMode::from_provider(0), contents })
    };
    Payload::new(sizes.into_iter().enumerate().map(file)).unwrap()
}

const LIMITS: ContentLimits = ContentLimits { bytes: 1 << 20, inodes: 128 };
const PAGE: usize = 4096;

#[test]
fn what_is_as_large_as_it_may_be_mounts_and_can_be_replaced_by_anything_as_large() {
    let full = LIMITS.bytes as usize;
    let deep = |prefix: &str| format!("{prefix}{}/", "d".repeat(200));
    let shapes: [(&str, Payload, Payload); 6] = [
        ("one file", files("a", [full]), files("b", [full])),
        ("one file, of the same name", files("a", [full]), files("a", [full - 1])),
        ("files of a byte", files("a", [1; 128]), files("b", [2; 128])),
        ("files of a page and a byte", files("a", [PAGE + 1; 128]), files("b", [PAGE + 1; 128])),
        (
            "names whose links take a page",
            files(&"n".repeat(150), [PAGE; 128]),
            files(&"m".repeat(150), [PAGE; 128]),
        ),
        ("directories", files(&deep("e"), [1; 127]), files(&deep("f"), [1; 127])),
    ];
    for (name, old, new) in shapes {
        let stage = Stage::under(LIMITS);
        for (turn, payload) in [&old, &new, &old, &new].into_iter().enumerate() {
            let written = stage.write(payload, LIMITS);
            assert_eq!(written, Ok(Written::Changed), "{name}, content {turn}");
        }
        assert_eq!(stage.write(&new, LIMITS), Ok(Written::Unchanged), "{name}");
    }
}

#[test]
fn what_is_larger_is_refused_before_anything_is_touched() {
    let full = LIMITS.bytes as usize;
    let too_large: [(&str, Payload, &str); 4] = [
        ("a byte more", files("a", [full + 1]), "--volume-size-limit=1048576"),
        ("a byte more in a file of its own", files("a", [full, 1]), "take 1052672 bytes of memory"),
        (
            "a file more",
            files("a", [0; 129]),
            "129 files and directories, more than --volume-inode-limit=128",
        ),
        ("a directory more", files("d/", [0; 128]), "129 files and directories"),
    ];
    for (name, payload, words) in too_large {
        let stage = Stage::under(LIMITS);
        let error = stage.write(&payload, LIMITS).unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
        assert_eq!(stage.volume.root.names().unwrap().len(), 0, "{name}");

        let small = files("small", [1]);
        stage.write(&small, LIMITS).unwrap();
        let before = stage.volume.root.metadata().unwrap();
        stage.write(&payload, LIMITS).unwrap_err();
        assert_eq!(stage.volume.root.metadata().unwrap(), before, "{name}: a refresh");
        assert_eq!(stage.write(&small, LIMITS), Ok(Written::Unchanged), "{name}");
    }
}

#[test]
fn a_volume_of_an_earlier_release_is_judged_by_its_own_size() {
    // There the limits were those of the file system, for both contents and their links.
    let earlier = Limits { bytes: 1 << 20, inodes: 128 };
    let half = (1 << 19) - PAGE;
    for (name, payload) in
        [("half of the bytes", files("a", [half])), ("a third of the inodes", files("a", [1; 40]))]
    {
        let stage = Stage::of_size(earlier);
        for written in [Written::Changed, Written::Unchanged] {
            assert_eq!(stage.write(&payload, LIMITS), Ok(written), "{name}");
        }
        let next = files("a", [half - PAGE]);
        assert_eq!(stage.write(&next, LIMITS), Ok(Written::Changed), "{name}, refreshed");
    }
    for (name, payload) in
        [("more than half", files("a", [half + 2 * PAGE])), ("too many", files("a", [1; 50]))]
    {
        let stage = Stage::of_size(earlier);
        let error = stage.write(&payload, LIMITS).unwrap_err().to_string();
        assert!(error.contains("delete the pod"), "{name}: {error}");
    }
}

#[test]
fn a_volume_of_the_upstream_driver_takes_what_its_memory_takes() {
    let stage = Stage::of_size(Limits { bytes: 64 << 20, inodes: 100_000 });
    let beyond_ours = files("a", [4 << 20; 4]);
    assert_eq!(stage.write(&beyond_ours, LIMITS), Ok(Written::Changed));
    let other = files("b", [4 << 20; 4]);
    assert_eq!(stage.write(&other, LIMITS), Ok(Written::Changed));
}

#[test]
fn other_limits_after_a_restart_do_not_refuse_what_is_mounted() {
    let stage = Stage::under(LIMITS);
    let (full, lower) = (files("a", [LIMITS.bytes as usize]), ContentLimits { bytes: 4096, inodes: 1 });
    stage.write(&full, LIMITS).unwrap();
    assert_eq!(stage.write(&full, lower), Ok(Written::Unchanged));
    assert_eq!(stage.write(&files("b", [LIMITS.bytes as usize]), lower), Ok(Written::Changed));
}

#[test]
fn what_is_there_already_needs_no_room() {
    let stage = Stage::of_size(Limits { bytes: 1 << 20, inodes: 128 });
    let payload = files("a", [400 << 10]);
    stage.write(&payload, LIMITS).unwrap();
    // A provider fills what is left.
    let filler = stage.volume.root.create_file("filler".as_ref()).unwrap();
    std::io::Write::write_all(&mut &filler, &vec![b'x'; 600 << 10]).unwrap();
    assert_eq!(stage.write(&payload, LIMITS), Ok(Written::Unchanged));
    let error = stage.write(&files("a", [401 << 10]), LIMITS).unwrap_err();
    assert!(matches!(error, WriteError::NoRoom { .. }), "{error}");
}

#[test]
fn limits_at_the_end_of_the_numbers_do_not_overflow() {
    let endless = ContentLimits { bytes: u64::MAX, inodes: u64::MAX };
    assert_eq!(endless.file_system(), Limits { bytes: u64::MAX, inodes: u64::MAX });
}
