//! A volume without room: a write that fails leaves what was there, and the next one can succeed.

use crate::sys::mount::tests::Mount;
use crate::sys::mount::{Limits, Mounter};

use super::*;

/// A small tmpfs in the place of the volume's root.
fn small(limits: Limits) -> (Mount, Volume) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("victim/directory")).unwrap();
    for file in VICTIMS {
        fs::write(directory.path().join("victim").join(file), "precious").unwrap();
    }
    fs::create_dir(directory.path().join("root")).unwrap();
    let mount = Mount::make(&Mounter::new(), directory.path(), "root", limits);
    let root = mount.root.try_clone().unwrap();
    (mount, Volume { directory, root })
}

const ROOMY: Limits = Limits { bytes: 1 << 20, inodes: 1000 };

#[test]
fn content_that_does_not_fit_is_an_error_that_says_what_to_do_and_changes_nothing() {
    let (_mount, volume) = small(Limits { bytes: 256 << 10, ..ROOMY });
    let old = payload(&[("a", 0, &"1".repeat(100 << 10)), ("b/c", 0, "1")]);
    volume.write(&old).unwrap();
    let large = "2".repeat(200 << 10);
    // Alone it would fit, but the old content stays until the new is whole.
    let new = payload(&[("a", 0, &large), ("new/name", 0, "2")]);
    let error = volume.write(&new).unwrap_err();
    for words in ["the volume is full", "--volume-size-limit", "--volume-inode-limit"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    volume.assert_is_exactly(&old, "after the failure");
    assert_eq!(volume.write(&old), Ok(Written::Unchanged));
    let small = payload(&[("a", 0, "3")]);
    volume.write(&small).unwrap();
    volume.assert_is_exactly(&small, "after a smaller content");
    volume.write(&new).unwrap();
    volume.assert_is_exactly(&new, "the small content made room");
}

#[test]
fn wherever_the_inodes_run_out_the_failure_undoes_itself() {
    let old = payload(&[("a", 0, "1"), ("d/e", 0, "1")]);
    let new = payload(&[("a", 0, "2"), ("d/e", 0, "2"), ("f/g/h", 0, "2"), ("i", 0, "2")]);
    let mut failures = std::collections::BTreeSet::new();
    // Root, generation, `..data`, two names, `a`, `d` and `d/e` are the first eight.
    for inodes in 8..40 {
        let (_mount, volume) = small(Limits { inodes, ..ROOMY });
        let at = format!("{inodes} inodes");
        if volume.write(&old).is_err() {
            assert_eq!(volume.tree(), Tree::new(), "{at}: a failed first write leaves nothing");
            continue;
        }
        let mut last = Step::Look;
        match write_observed(&volume.root, &new, None, SystemTime::now(), &mut |step| last = step) {
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
    // Root, two files of a provider and one to spare; generation, two files in it and `..data`: one link short.
    let (_mount, volume) = small(Limits { inodes: 8, ..ROOMY });
    for name in ["a", "b", "spare"] {
        fs::write(volume.path(name), "legacy").unwrap();
    }
    for attempt in ["first", "second"] {
        let mut last = Step::Look;
        let observer = &mut |step| last = step;
        let error = write_observed(&volume.root, &new, None, SystemTime::now(), observer).unwrap_err();
        assert!(error.to_string().contains("the volume is full"), "{attempt}: {error}");
        assert_eq!(last, Step::Replace, "{attempt}");
        assert_eq!(volume.through_data(), content_of(&new), "{attempt}");
        assert_eq!(fs::read_to_string(volume.path("a")).unwrap(), "legacy", "{attempt}");
    }
    fs::remove_file(volume.path("spare")).unwrap();
    assert_eq!(volume.write(&new), Ok(Written::Changed));
    volume.assert_is_exactly(&new, "with room for one link more");
}
