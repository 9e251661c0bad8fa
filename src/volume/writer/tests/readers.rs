//! Readers that never stop while the volume is written again and again.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// The content of one round: as many files as the round says, all of which name the round.
fn round(number: usize) -> Payload {
    let text = format!("{number}\n").repeat(1 + number % 700);
    let names: Vec<String> = (0..3 + number % 5).map(|n| format!("d{n}/file")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), 0o644, text.as_str())).collect();
    files.push(("always", 0o644, &text));
    payload(&files)
}

/// The number in a whole file of some round.
#[track_caller]
fn number_in(text: &str) -> usize {
    let number = text.lines().next().and_then(|line| line.parse().ok());
    let number: usize = number.unwrap_or_else(|| panic!("an empty or torn file: {text:?}"));
    assert_eq!(text, format!("{number}\n").repeat(1 + number % 700), "a torn file");
    number
}

#[test]
fn a_reader_that_opens_data_once_sees_one_generation_as_a_whole() {
    let volume = Volume::holding(&round(0));
    let (is_over, whole) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    whole.fetch_add(usize::from(read_generation(&volume)), Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&is_over);
        let until = Instant::now() + PATIENCE;
        for number in 1..=2000 {
            assert_eq!(volume.write(&round(number)), Ok(Written::Changed));
            // On a busy machine readers may be too slow to get through any generation: let them, now and then.
            while whole.load(Ordering::Relaxed) < number / 20 {
                assert!(
                    Instant::now() < until,
                    "after {number} writes: {whole:?} generations were read as a whole"
                );
                thread::yield_now();
            }
        }
    });
}

/// Tells the readers to end, whether or not the writer fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads all that `..data` leads to; false when that generation was dropped meanwhile.
fn read_generation(volume: &Volume) -> bool {
    let data = open_present(volume, DATA);
    let top = descriptor_path(&data);
    let always = match fs::read_to_string(format!("{top}/always")) {
        Ok(text) => text,
        Err(error) => return assert_is_dropped(&data, &error),
    };
    let number = number_in(&always);
    for n in 0..3 + number % 5 {
        match fs::read_to_string(format!("{top}/d{n}/file")) {
            Ok(text) => assert_eq!(number_in(&text), number, "a mix of generations"),
            Err(error) => return assert_is_dropped(&data, &error),
        }
    }
    true
}

/// A file may be missing only from a generation that is on its way out, and that is soon gone as a whole.
#[track_caller]
fn assert_is_dropped(generation: &fs::File, error: &std::io::Error) -> bool {
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    let until = Instant::now() + PATIENCE;
    while std::os::unix::fs::MetadataExt::nlink(&generation.metadata().unwrap()) > 0 {
        assert!(Instant::now() < until, "a file is missing from a generation that stays");
        thread::yield_now();
    }
    false
}

#[test]
fn a_name_that_stays_is_there_at_every_moment_and_never_torn() {
    let volume = Volume::holding(&round(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut newest = 0;
            while !is_over.load(Ordering::Relaxed) {
                let number = number_in(&read_present(&volume, "always"));
                assert!(number >= newest, "content went back from {newest} to {number}");
                newest = number;
            }
        });
        let _over = Over(&is_over);
        for number in 1..=1000 {
            volume.write(&round(number)).unwrap();
        }
    });
}

#[test]
fn files_and_directories_that_a_provider_wrote_are_replaced_without_a_moment_of_absence() {
    let volume = Volume::new();
    plant(&volume);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for name in ["file", "dir/x"] {
                    let text = read_present(&volume, name);
                    assert!(text == "legacy" || text == "new", "{name}: {text:?}");
                }
            }
        });
        let _over = Over(&is_over);
        for _ in 0..500 {
            let files = payload(&[("file", 0, "new"), ("dir/x", 0, "new")]);
            assert_eq!(volume.write(&files), Ok(Written::Changed));
            volume.assert_is_exactly(&files, "replaced");
            plant(&volume);
        }
    });
}

/// Puts a file and a directory in the place of what is there, in one step each.
fn plant(volume: &Volume) {
    let aside = volume.directory.path().join("aside");
    fs::create_dir_all(aside.join("dir")).unwrap();
    fs::write(aside.join("dir/x"), "legacy").unwrap();
    fs::write(aside.join("file"), "legacy").unwrap();
    let aside = Dir::open_trusting_path(&aside).unwrap();
    for name in ["file", "dir"] {
        let name = OsStr::new(name);
        if volume.root.metadata_of(name).is_err() {
            aside.rename_into(name, &volume.root, name).unwrap();
        } else {
            aside.rename_into(name, &volume.root, "planted".as_ref()).unwrap();
            volume.root.exchange("planted".as_ref(), name).unwrap();
            tree::remove(&volume.root, "planted".as_ref()).unwrap();
        }
    }
}

/// Reads a file whose first component never vanishes from the root.
#[track_caller]
fn read_present(volume: &Volume, name: &str) -> String {
    let mut text = String::new();
    open_present(volume, name).read_to_string(&mut text).unwrap();
    text
}

/// Opens what is never absent. The kernel walks a path name by name, so a walk may end in a directory that is just
/// being removed: the next one leads to the new directory.
#[track_caller]
fn open_present(volume: &Volume, name: &str) -> fs::File {
    let first = name.split('/').next().unwrap_or(name);
    for _ in 0..1000 {
        assert!(fs::symlink_metadata(volume.path(first)).is_ok(), "{first} is absent");
        match fs::File::open(volume.path(name)) {
            Ok(file) => return file,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}: {error}"),
        }
    }
    panic!("{name} is absent");
}

/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(120);
