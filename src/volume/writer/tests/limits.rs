//! A volume that runs full while it is written, because a provider writes into it as well: a write that fails leaves
//! what was there, and the next one can succeed.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use crate::tests::Mounted;
use sys::mount::{self, Limits};

use super::*;

/// A small tmpfs in the place of the volume's root.
fn small() -> (Mounted, Volume) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("victim/directory")).unwrap();
    for file in VICTIMS {
        fs::write(directory.path().join("victim").join(file), "precious").unwrap();
    }
    fs::create_dir(directory.path().join("root")).unwrap();
    let limits = Limits { bytes: 1 << 20, inodes: 100 };
    let mount = Mounted::make(directory.path(), "root", limits);
    let root = mount.root.try_clone().unwrap();
    (mount, Volume { directory, root })
}

/// Files without a name that take all inodes but `spare`, until they are dropped.
fn take_inodes(volume: &Volume, spare: u64) -> Vec<fs::File> {
    let mut taken = Vec::new();
    while mount::usage(&volume.root).unwrap().inodes.1 > spare {
        let nameless =
            OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(volume.path("")).unwrap();
        taken.push(nameless);
    }
    taken
}

/// A file without a name that takes all bytes, until it is dropped.
fn take_bytes(volume: &Volume) -> fs::File {
    let mut nameless =
        OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(volume.path("")).unwrap();
    while nameless.write_all(&[b'x'; 4096]).is_ok() {}
    nameless
}

#[test]
fn bytes_that_somebody_takes_meanwhile_make_a_write_fail_that_changes_nothing() {
    let (_mount, volume) = small();
    let old = payload(&[("a", 0, &"1".repeat(100 << 10)), ("b/c", 0, "1")]);
    volume.write(&old).unwrap();
    let new = payload(&[("a", 0, &"2".repeat(200 << 10)), ("new/name", 0, "2")]);
    let mut taken = None;
    let error = write_observed(&volume.root, &new, None, ENDLESS, SystemTime::now(), &mut |step| {
        if step == Step::Fill {
            taken = Some(take_bytes(&volume));
        }
    })
    .unwrap_err();
    assert!(error.to_string().contains("the volume is full"), "{error}");
    volume.assert_is_exactly(&old, "after the failure");
    assert_eq!(volume.write(&old), Ok(Written::Unchanged));
    drop(taken);
    volume.write(&new).unwrap();
    volume.assert_is_exactly(&new, "with room again");
}

#[test]
fn wherever_the_inodes_run_out_the_failure_undoes_itself() {
    let old = payload(&[("a", 0, "1"), ("d/e", 0, "1")]);
    let new = payload(&[("a", 0, "2"), ("d/e", 0, "2"), ("f/g/h", 0, "2"), ("i", 0, "2")]);
    let mut failures = std::collections::BTreeSet::new();
    for spare in 0..16 {
        let (_mount, volume) = small();
        volume.write(&old).unwrap();
        let (mut last, mut taken) = (Step::Look, Vec::new());
        let observer = &mut |step| {
            last = step;
            if step == Step::Create {
                taken = take_inodes(&volume, spare);
            }
        };
        let outcome = write_observed(&volume.root, &new, None, ENDLESS, SystemTime::now(), observer);
        let at = format!("{spare} inodes to spare");
        match outcome {
            Err(error) => {
                assert!(error.to_string().contains("the volume is full"), "{at}: {error}");
                volume.assert_is_exactly(&old, &at);
                failures.insert(last);
            }
            Ok(written) => {
                assert_eq!(written, Written::Changed);
                volume.assert_is_exactly(&new, &at);
            }
        }
    }
    let steps = [Step::Create, Step::Fill, Step::Link, Step::Point];
    assert!(steps.iter().all(|step| failures.contains(step)), "failures were tried in {failures:?} only");
}

#[test]
fn a_failure_after_the_switch_leaves_the_new_content_and_is_made_good_later() {
    let new = payload(&[("a", 0, "2"), ("b", 0, "2")]);
    let (_mount, volume) = small();
    for name in ["a", "b"] {
        fs::write(volume.path(name), "legacy").unwrap();
    }
    let mut taken = Vec::new();
    for attempt in ["first", "second"] {
        let mut last = Step::Look;
        let observer = &mut |step| {
            last = step;
            if step == Step::Replace {
                taken.extend(take_inodes(&volume, 0));
            }
        };
        let error =
            write_observed(&volume.root, &new, None, ENDLESS, SystemTime::now(), observer).unwrap_err();
        assert!(error.to_string().contains("the volume is full"), "{attempt}: {error}");
        assert_eq!(last, Step::Replace, "{attempt}");
        assert_eq!(volume.through_data(), content_of(&new), "{attempt}");
        assert_eq!(fs::read_to_string(volume.path("a")).unwrap(), "legacy", "{attempt}");
    }
    drop(taken);
    assert_eq!(volume.write(&new), Ok(Written::Changed));
    volume.assert_is_exactly(&new, "with room for one link more");
}
