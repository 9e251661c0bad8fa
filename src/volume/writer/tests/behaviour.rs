//! One write after another: what is there in the end.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::writer::compare::COMPARE_CHUNK_BYTES;

#[test]
fn each_write_replaces_everything_that_was_there() {
    type Files = &'static [(&'static str, i32, &'static str)];
    let rows: &[(&str, Files, Files)] = &[
        ("content", &[("a", 0o644, "old")], &[("a", 0o644, "new")]),
        ("same length", &[("a", 0o644, "1")], &[("a", 0o644, "2")]),
        ("shorter, a prefix", &[("a", 0o644, "long text")], &[("a", 0o644, "long")]),
        ("longer", &[("a", 0o644, "long")], &[("a", 0o644, "long text")]),
        ("emptied", &[("a", 0o644, "full")], &[("a", 0o644, "")]),
        ("filled", &[("a", 0o644, "")], &[("a", 0o644, "full")]),
        ("mode and content", &[("a", 0o440, "1")], &[("a", 0o644, "2")]),
        ("mode alone", &[("a", 0o440, "1")], &[("a", 0o644, "1")]),
        ("every bit", &[("a", 0o777, ""), ("b", 0o111, "")], &[("a", 0o666, ""), ("b", 0o407, "")]),
        ("nested", &[("a/b", 0, "1"), ("a/c", 0, "1")], &[("a/b", 0, "2"), ("a/c", 0, "1")]),
        ("deep", &[("a/b/c/d/e", 0, "1")], &[("a/b/c/d/e", 0, "2")]),
        ("name removed", &[("a", 0, "1"), ("b", 0, "1")], &[("a", 0, "1")]),
        ("nested name removed", &[("a/b", 0, "1"), ("a/c", 0, "1")], &[("a/b", 0, "1")]),
        ("branch removed", &[("zip/1/2/3/4/bar", 0, "1"), ("zap", 0, "")], &[("zap", 0, "")]),
        ("branch cut", &[("zip/1/2/bar", 0, "1"), ("zip/x", 0, "")], &[("zip/x", 0, "")]),
        ("name added", &[("a", 0, "1")], &[("a", 0, "1"), ("b/c", 0, "1")]),
        ("all names changed", &[("a", 0, "1"), ("b", 0, "2")], &[("c", 0, "1"), ("d", 0, "2")]),
        ("file to directory", &[("a", 0, "1")], &[("a/a", 0, "1")]),
        ("directory to file", &[("a/b/c", 0, "1")], &[("a", 0, "1")]),
        ("nested file to directory", &[("x/a", 0, "1")], &[("x/a/b", 0, "1")]),
        ("dot files", &[(".a", 0, "1"), (".b/.c", 0, "1")], &[(".a", 0, "2")]),
        ("odd names", &[("a/..b", 0, ""), ("c\\d", 0, "")], &[("a/..b", 0, "1"), ("é\n", 0, "")]),
        ("to nothing", &[("a", 0, "1"), ("b/c", 0, "1")], &[]),
        ("from nothing", &[], &[("a", 0, "1")]),
    ];
    for (name, first, second) in rows {
        let (first, second) = (payload(first), payload(second));
        let volume = Volume::holding(&first);
        volume.assert_is_exactly(&first, name);
        assert_eq!(volume.through_names(), content_of(&first), "{name}");
        assert_eq!(volume.write(&second), Ok(Written::Changed), "{name}");
        volume.assert_is_exactly(&second, name);
        assert_eq!(volume.through_names(), content_of(&second), "{name}");
        assert_eq!(volume.write(&first), Ok(Written::Changed), "{name}, and back");
        volume.assert_is_exactly(&first, name);
    }
}

#[test]
fn contents_are_bytes_and_arrive_as_they_are() {
    let volume = Volume::new();
    // Longer than the chunk in which contents are compared, by one.
    let binary: Vec<u8> = (0..=COMPARE_CHUNK_BYTES).map(|n| (n % 251) as u8).collect();
    let file = |contents: &[u8]| {
        let contents = base::secret::SecretBytes::new(contents.to_vec());
        Payload::new([("b".to_owned(), File { mode: FileMode::from_provider(0), contents })]).unwrap()
    };
    volume.write(&file(&binary)).unwrap();
    assert_eq!(fs::read(volume.path("b")).unwrap(), binary);
    let mut other = binary.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(volume.write(&file(&other)), Ok(Written::Changed));
    assert_eq!(fs::read(volume.path("b")).unwrap(), other);
    assert_eq!(volume.write(&file(&other)), Ok(Written::Unchanged));
}

#[test]
fn a_write_that_changes_nothing_touches_nothing() {
    let files = payload(&[("a", 0o640, "1"), ("b/c/d", 0o400, "2"), ("b/e", 0, ""), (".f", 0o777, "3")]);
    let volume = Volume::holding(&files);
    // What a provider wrote itself is no concern of ours.
    fs::write(volume.path("foreign"), "x").unwrap();
    let before = traces(&volume);
    assert_eq!(volume.write(&files), Ok(Written::Unchanged));
    assert_eq!(traces(&volume), before);
}

/// Inode and times of everything, the root included, without the time of access.
fn traces(volume: &Volume) -> Vec<(std::path::PathBuf, [i64; 6])> {
    let mut paths: Vec<_> = volume.tree().into_keys().collect();
    paths.push("".into());
    let trace = |path: std::path::PathBuf| {
        let found = fs::symlink_metadata(volume.path(&path)).unwrap();
        let inode = found.ino().cast_signed();
        let (modified, changed) = (found.mtime_nsec(), found.ctime_nsec());
        let trace = [inode, found.mtime(), modified, found.ctime(), changed, found.mode().into()];
        (path, trace)
    };
    paths.into_iter().map(trace).collect()
}

#[test]
fn a_clock_that_stands_still_or_goes_back_is_no_obstacle() {
    let volume = Volume::new();
    let hour = std::time::Duration::from_secs(3600);
    let now = UNIX_EPOCH + 500_000 * hour;
    for (round, time) in [now, now, now - hour, now, UNIX_EPOCH - hour, UNIX_EPOCH].into_iter().enumerate() {
        let files = payload(&[("a", 0, &round.to_string())]);
        assert_eq!(write(&volume.root, &files, None, ENDLESS, time), Ok(Written::Changed), "{round}");
        volume.assert_is_exactly(&files, &format!("round {round}"));
    }
}

#[test]
fn a_group_owns_the_tree_and_reads_what_the_owner_reads() {
    let gid = mapped_group();
    let volume = Volume::new();
    let files = payload(&[("open", 0o644, "1"), ("d/private", 0o600, "2"), ("d/blind", 0o200, "3")]);
    let write = |gid| write(&volume.root, &files, gid, ENDLESS, SystemTime::now());
    assert_eq!(write(Some(gid)), Ok(Written::Changed));
    for (path, mode) in [("open", 0o644), ("d/private", 0o640), ("d/blind", 0o200), ("d", 0o755)] {
        let found = fs::metadata(volume.path(path)).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (gid, mode), "{path}");
    }
    assert_eq!(write(Some(gid)), Ok(Written::Unchanged));
    assert_eq!(write(None), Ok(Written::Changed), "without the group the modes are narrower");
    assert_eq!(fs::metadata(volume.path("d/private")).unwrap().mode() & 0o7777, 0o600);

    let volume = Volume::holding(&payload(&[("open", 0o644, "1")]));
    let same_modes =
        super::write(&volume.root, &payload(&[("open", 0o644, "1")]), Some(gid), ENDLESS, SystemTime::now());
    let expected = if gid == 0 { Written::Unchanged } else { Written::Changed };
    assert_eq!(same_modes, Ok(expected), "the group alone");
}

#[test]
fn a_volume_without_files_belongs_to_its_group_as_well() {
    let gid = mapped_group();
    let nothing = payload(&[]);
    let volume = Volume::holding(&nothing);
    let written = super::write(&volume.root, &nothing, Some(gid), ENDLESS, SystemTime::now());
    assert_eq!(written, Ok(if gid == 0 { Written::Unchanged } else { Written::Changed }));
    assert_eq!(fs::metadata(volume.path(DATA)).unwrap().gid(), gid);
}

/// A group other than our own where the user namespace has one, else our own.
fn mapped_group() -> u32 {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap();
    let size = map.split_whitespace().nth(2).and_then(|size| size.parse::<u32>().ok());
    if size.is_some_and(|size| size > 3000) { 3000 } else { 0 }
}

#[test]
fn a_data_entry_that_is_no_link_is_an_error_and_nothing_is_touched() {
    type Plant = fn(&Path) -> std::io::Result<()>;
    let plants: [(&str, Plant); 2] =
        [("directory", |path| fs::create_dir(path)), ("file", |path| fs::write(path, "x"))];
    for (name, plant) in plants {
        let volume = Volume::new();
        plant(&volume.path(DATA)).unwrap();
        fs::create_dir(volume.path("..2020_01_01_00_00_00.1")).unwrap();
        let before = traces(&volume);
        let error = volume.write(&payload(&[("a", 0, "1")])).unwrap_err();
        assert_eq!(error, WriteError::DataIsNoLink, "{name}");
        assert!(error.to_string().contains("delete the pod to start afresh"), "{error}");
        assert_eq!(traces(&volume), before, "{name}");
    }
}

#[test]
fn a_data_link_that_leads_nowhere_useful_is_replaced() {
    let rows = [
        ("dangling", "..2020_01_01_00_00_00.000000001"),
        ("outside, relative", "../victim"),
        ("outside, absolute", "/"),
        ("to a file", "..2021_01_01_00_00_00.1"),
        ("through a generation", "..2022_01_01_00_00_00.1/../../victim"),
        ("a link in a generation's place", "..2023_01_01_00_00_00.1"),
        ("itself", DATA),
        ("the root", "."),
        ("the root's parent", ".."),
    ];
    for (name, target) in rows {
        let volume = Volume::new();
        symlink(target, volume.path(DATA)).unwrap();
        fs::write(volume.path("..2021_01_01_00_00_00.1"), "x").unwrap();
        fs::create_dir(volume.path("..2022_01_01_00_00_00.1")).unwrap();
        symlink("../victim", volume.path("..2023_01_01_00_00_00.1")).unwrap();
        let files = payload(&[("file", 0, "1"), ("directory/file", 0, "2")]);
        assert_eq!(volume.write(&files), Ok(Written::Changed), "{name}");
        volume.assert_is_exactly(&files, name);
    }
}

#[test]
fn what_crashes_left_is_gone_after_the_next_write() {
    let files = payload(&[("a", 0, "1"), ("b/c", 0, "2")]);
    for (name, next) in [("same content", files.clone()), ("new content", payload(&[("a", 0, "3")]))] {
        let volume = Volume::holding(&files);
        symlink("..2020_01_01_00_00_00.1", volume.path(DATA_TMP)).unwrap();
        fs::create_dir_all(volume.path("..link_tmp/..trash.1/x/y")).unwrap();
        for generation in ["..2020_01_01_00_00_00.1", "..2019_12_31_00_00_00.123456789", "..9"] {
            fs::create_dir_all(volume.path(generation).join("..trash.7/deep/er")).unwrap();
            fs::write(volume.path(generation).join("partial"), "x").unwrap();
            symlink(volume.victim(), volume.path(generation).join("bait")).unwrap();
        }
        volume.write(&next).unwrap();
        volume.assert_is_exactly(&next, name);
    }
}

#[test]
fn leftovers_of_every_kind_in_the_place_of_temporary_names_are_no_obstacle() {
    for name in [DATA_TMP, LINK_TMP] {
        for kind in ["file", "directory", "link"] {
            let volume = Volume::holding(&payload(&[("a", 0, "1")]));
            match kind {
                "file" => fs::write(volume.path(name), "x").unwrap(),
                "directory" => fs::create_dir_all(volume.path(name).join("x/y")).unwrap(),
                _ => symlink(volume.victim(), volume.path(name)).unwrap(),
            }
            let next = payload(&[("a", 0, "2"), ("b", 0, "2")]);
            assert_eq!(volume.write(&next), Ok(Written::Changed), "{kind} {name}");
            volume.assert_is_exactly(&next, &format!("{kind} {name}"));
        }
    }
}

#[test]
fn what_a_provider_wrote_itself_becomes_a_link_where_names_meet_and_stays_elsewhere() {
    let volume = Volume::new();
    fs::write(volume.path("file"), "legacy").unwrap();
    fs::create_dir_all(volume.path("directory/nested/deep")).unwrap();
    symlink("../victim/file", volume.path("link")).unwrap();
    symlink("nowhere", volume.path("dangling")).unwrap();
    symlink("../victim/directory", volume.path("directory/bait")).unwrap();
    // The text of one of ours, under another name.
    symlink("..data/file", volume.path("alias")).unwrap();
    fs::write(volume.path("unrelated"), "stays").unwrap();
    symlink("../victim/file", volume.path("unrelated-link")).unwrap();
    let names = ["file", "directory/x", "link", "dangling/y", "alias"];
    let files = payload(&names.map(|name| (name, 0, "new")));
    assert_eq!(volume.write(&files), Ok(Written::Changed));
    let mut expected = volume.tree_for(&files);
    expected.insert("unrelated".into(), Entry::File(0o644, b"stays".to_vec()));
    expected.insert("unrelated-link".into(), Entry::Symlink("../victim/file".into()));
    assert_eq!(volume.tree(), expected);
    volume.assert_victim_is_untouched("first write");
    assert_eq!(volume.write(&files), Ok(Written::Unchanged));
}

#[test]
fn a_single_foreign_entry_under_unchanged_content_is_replaced() {
    let files = payload(&[("a", 0, "1"), ("b", 0, "1")]);
    let volume = Volume::holding(&files);
    fs::remove_file(volume.path("a")).unwrap();
    fs::write(volume.path("a"), "1").unwrap();
    assert_eq!(volume.write(&files), Ok(Written::Changed));
    volume.assert_is_exactly(&files, "a file with the right content is still no link");
    fs::remove_file(volume.path("b")).unwrap();
    assert_eq!(volume.write(&files), Ok(Written::Changed));
    volume.assert_is_exactly(&files, "a missing link");
}

#[test]
fn bait_in_the_live_generation_is_neither_read_through_nor_written_through() {
    let files = payload(&[("d/file", 0o644, "precious"), ("file", 0o644, "precious")]);
    type Bait = fn(&Volume);
    let rows: [(&str, Bait); 4] = [
        ("file replaced by a link to a file with the same content", |volume| {
            fs::remove_file(volume.path("..data/file")).unwrap();
            symlink(volume.victim().join("file"), volume.path("..data/file")).unwrap();
        }),
        ("directory replaced by a link to one with the same content", |volume| {
            fs::remove_dir_all(volume.path("..data/d")).unwrap();
            symlink(volume.victim(), volume.path("..data/d")).unwrap();
        }),
        ("an additional link", |volume| symlink("/", volume.path("..data/more")).unwrap()),
        ("a hard link", |volume| {
            fs::hard_link(volume.victim().join("file"), volume.path("..data/more")).unwrap();
        }),
    ];
    for (name, bait) in rows {
        let volume = Volume::holding(&files);
        bait(&volume);
        assert_eq!(volume.write(&files), Ok(Written::Changed), "{name}");
        volume.assert_is_exactly(&files, name);
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_blocks_nobody() {
    let files = payload(&[("a", 0o644, "")]);
    let volume = Volume::holding(&files);
    fs::remove_file(volume.path("..data/a")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(volume.path("..data/a")).status().unwrap();
    assert!(made.success());
    assert_eq!(volume.write(&files), Ok(Written::Changed));
    volume.assert_is_exactly(&files, "pipe");
}
