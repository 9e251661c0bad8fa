//! What is read back of volumes in memory: those that the writer made, those that providers made, and hostile ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::super::limits::ContentLimits;
use super::super::payload::tests::payload;
use super::*;

/// Only the kernel has limits here.
const ENDLESS: ContentLimits = ContentLimits { bytes: u64::MAX, inodes: u64::MAX };

/// A directory in the place of a volume's root, and beside it a file that nothing may read.
struct Stage {
    directory: tempfile::TempDir,
    volume: LiveVolume,
}

impl Stage {
    fn new() -> Stage {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::write(directory.path().join("victim"), "precious").unwrap();
        let root = Dir::open_trusting_path(&directory.path().join("root")).unwrap();
        Stage { directory, volume: LiveVolume::new(root) }
    }

    fn holding(files: &[(&str, i32, &str)]) -> Stage {
        let stage = Stage::new();
        stage.write(files);
        stage
    }

    fn write(&self, files: &[(&str, i32, &str)]) {
        self.volume.write(&payload(files), None, ENDLESS, SystemTime::now()).unwrap();
    }

    /// Writes a file past the writer, as providers once did.
    fn write_directly(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn generation(&self) -> std::path::PathBuf {
        self.path(fs::read_link(self.path(DATA)).unwrap().to_str().unwrap())
    }

    fn content(&self) -> Content {
        self.volume.content().unwrap()
    }
}

/// What is there, as text.
fn text(content: &Content, path: &str) -> Result<Option<String>, ContentError> {
    let read = content.read(path, LIMIT)?;
    Ok(read.map(|bytes| String::from_utf8(bytes.expose().to_vec()).unwrap()))
}

fn is(text: &str) -> Result<Option<String>, ContentError> {
    Ok(Some(text.to_owned()))
}

const LIMIT: usize = 1024;

#[test]
fn files_of_the_writer_are_read_back_at_any_depth() {
    let stage =
        Stage::holding(&[("foo", 0o400, "1"), ("nested/bar", 0, "2"), ("a/b/..c/.d", 0, "3"), ("e", 0, "")]);
    let content = stage.content();
    for (path, expected) in [("foo", "1"), ("nested/bar", "2"), ("a/b/..c/.d", "3"), ("e", "")] {
        assert_eq!(text(&content, path), is(expected), "{path}");
    }
    for path in ["gone", "nested", "nested/gone", "foo/bar", "a/b", "gone/gone", "nested/bar/baz"] {
        assert_eq!(text(&content, path), Ok(None), "{path}");
    }
}

#[test]
fn files_that_a_provider_wrote_itself_are_read_back() {
    let stage = Stage::new();
    stage.write_directly("foo", "1");
    stage.write_directly("nested/bar", "2");
    stage.write_directly("..hidden", "3");
    symlink("nested/bar", stage.path("link")).unwrap();
    symlink("nested", stage.path("directory")).unwrap();
    let content = stage.content();
    for (path, expected) in [("foo", "1"), ("nested/bar", "2"), ("link", "2"), ("directory/bar", "2")] {
        assert_eq!(text(&content, path), is(expected), "{path}");
    }
    assert_eq!(text(&content, "gone"), Ok(None));
}

#[test]
fn a_file_beside_the_generations_is_what_a_pod_sees() {
    let stage = Stage::holding(&[("old", 0, "1"), ("both", 0, "1")]);
    fs::remove_file(stage.path("both")).unwrap();
    stage.write_directly("both", "2");
    let content = stage.content();
    assert_eq!((text(&content, "old"), text(&content, "both")), (is("1"), is("2")));
}

#[test]
fn a_path_that_no_file_of_a_volume_has_is_refused() {
    let content = Stage::holding(&[("foo", 0, "1")]).content();
    for path in
        ["", "..data/foo", "..", "../victim", "foo/../../victim", "/etc/passwd", "./foo", "foo/", "a\0b"]
    {
        assert!(matches!(text(&content, path), Err(ContentError::Path(_))), "{path:?}");
    }
}

#[test]
fn no_link_leads_out_of_the_volume() {
    let stage = Stage::holding(&[("foo", 0, "1"), ("nested/bar", 0, "2")]);
    let victim = stage.directory.path().join("victim");
    let outside = stage.directory.path().to_str().unwrap().to_owned();
    let table = [
        ("absolute", "absolute", victim.to_str().unwrap()),
        ("up", "up", "../victim"),
        ("up through a directory", "through", "nested/../../victim"),
        ("up through the data", "data", "..data/../../victim"),
        ("a directory outside", "directory", &outside),
        ("the root itself", "self", "."),
        ("the directory above", "above", ".."),
        ("itself", "loop", "loop"),
        ("another link", "second", "up"),
        ("nowhere", "nowhere", "gone"),
    ];
    for (_, name, link) in &table {
        symlink(link, stage.path(name)).unwrap();
    }
    // Links where the writer makes none: in a generation, and below a provider's directory.
    let generation = stage.generation();
    symlink(&victim, generation.join("nested/evil")).unwrap();
    symlink(&outside, generation.join("nested/evildir")).unwrap();
    fs::remove_file(generation.join("foo")).unwrap();
    symlink(&victim, generation.join("foo")).unwrap();
    fs::create_dir(stage.path("theirs")).unwrap();
    symlink(&victim, stage.path("theirs/evil")).unwrap();

    let content = stage.content();
    for (name, path, _) in &table {
        assert_eq!(text(&content, path), Ok(None), "{name}");
        assert_eq!(text(&content, &format!("{path}/victim")), Ok(None), "{name}, below");
    }
    for path in ["foo", "nested/evil", "nested/evildir/victim", "theirs/evil"] {
        assert_eq!(text(&content, path), Ok(None), "{path}");
    }
    assert_eq!(text(&content, "nested/bar"), is("2"));
}

#[test]
fn a_data_link_that_leads_elsewhere_is_no_generation() {
    for link in ["/", "..", ".", "victim", "../victim", "..2026_01_01_00_00_00.1", "..2026/../.."] {
        let stage = Stage::new();
        symlink(link, stage.path(DATA)).unwrap();
        symlink("..data/victim", stage.path("victim")).unwrap();
        stage.write_directly("direct", "1");
        let content = stage.content();
        assert_eq!(text(&content, "victim"), Ok(None), "{link}");
        assert_eq!(text(&content, "direct"), is("1"), "{link}");
    }
    let stage = Stage::new();
    symlink(stage.directory.path(), stage.path("..1")).unwrap();
    symlink("..1", stage.path(DATA)).unwrap();
    symlink("..data/victim", stage.path("victim")).unwrap();
    assert_eq!(text(&stage.content(), "victim"), Ok(None), "a generation that is a link");
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_waited_for() {
    let stage = Stage::holding(&[("foo", 0, "1"), ("nested/bar", 0, "2")]);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    for name in ["pipe", "nested/pipe"] {
        let path = if name == "pipe" { stage.path(name) } else { stage.generation().join(name) };
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    let _listener = std::os::unix::net::UnixListener::bind(stage.path("socket")).unwrap();
    let content = stage.content();
    for path in ["pipe", "nested/pipe", "socket", "socket/x"] {
        assert_eq!(text(&content, path), Ok(None), "{path}");
    }
}

#[test]
fn what_is_mounted_in_a_volume_is_not_read() {
    let stage = Stage::new();
    stage.write_directly("mounted/foo", "below");
    stage.write_directly("free/foo", "1");
    let mounted = stage.path("mounted");
    rustix::mount::mount("tmpfs", &mounted, "tmpfs", rustix::mount::MountFlags::empty(), None)
        .unwrap_or_else(|errno| panic!("{errno}: tests that mount run through tests/sandbox.sh"));
    stage.write_directly("mounted/foo", "precious");
    let content = stage.content();
    let outcomes = [text(&content, "mounted/foo"), text(&content, "free/foo")];
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(outcomes, [Ok(None), is("1")]);
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let stage = Stage::holding(&[("foo", 0, "12345")]);
    let sparse = fs::File::create(stage.path("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let content = stage.content();
    assert_eq!(content.read("foo", 5).unwrap().unwrap().expose(), b"12345");
    assert_eq!(content.read("foo", 4), Err(ContentError::TooLarge { bytes: 5, limit: 4 }));
    let error = content.read("sparse", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "the file has 1099511627776 bytes, and no more than 1024 are read");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_not_taken_for_whole() {
    // The kernel says that it is empty, and has more to give.
    let file = fs::File::open("/proc/self/status").unwrap();
    assert_eq!(read_whole(file, LIMIT), Err(ContentError::Replaced));
}

#[test]
fn pinned_content_stays_what_it_was_or_says_that_it_was_replaced() {
    let stage = Stage::holding(&[("stays", 0, "1"), ("goes", 0, "1")]);
    let pinned = stage.content();
    assert_eq!(text(&pinned, "stays"), is("1"));

    // The next generation is live, the former one not yet gone.
    let next = stage.path("..2099_01_01_00_00_00.1");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("stays"), "2").unwrap();
    fs::write(next.join("comes"), "2").unwrap();
    symlink("..data/comes", stage.path("comes")).unwrap();
    symlink("..2099_01_01_00_00_00.1", stage.path("..data_tmp")).unwrap();
    let former = stage.generation();
    fs::rename(stage.path("..data_tmp"), stage.path(DATA)).unwrap();
    fs::remove_file(stage.path("goes")).unwrap();
    for path in ["stays", "goes"] {
        assert_eq!(text(&pinned, path), is("1"), "{path}");
    }
    assert_eq!(text(&pinned, "comes"), Err(ContentError::Replaced));

    fs::remove_dir_all(former).unwrap();
    let error = text(&pinned, "stays").unwrap_err();
    assert!(error.is_replaced());
    assert_eq!(error.to_string(), "the volume's content was replaced while it was read");

    let anew = stage.content();
    assert_eq!((text(&anew, "stays"), text(&anew, "comes")), (is("2"), is("2")));
    assert_eq!(text(&anew, "goes"), Ok(None));
}

#[test]
fn content_without_generations_is_replaced_by_the_first_one() {
    let stage = Stage::new();
    stage.write_directly("foo", "1");
    let pinned = stage.content();
    assert_eq!(text(&pinned, "foo"), is("1"));
    stage.write(&[("foo", 0, "2")]);
    assert_eq!(text(&pinned, "foo"), Err(ContentError::Replaced));
    assert_eq!(text(&stage.content(), "foo"), is("2"));
}

#[test]
fn a_volume_that_was_taken_down_holds_nothing() {
    let stage = Stage::holding(&[("foo", 0, "1")]);
    let pinned = stage.content();
    stage.volume.close_and_empty().unwrap();
    fs::remove_dir(stage.path("")).unwrap();
    assert_eq!(text(&pinned, "foo"), Err(ContentError::Replaced));
    assert_eq!(text(&stage.content(), "foo"), Ok(None));
}

#[test]
fn the_time_of_change_is_the_generations_and_without_one_the_roots() {
    let seconds = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let set = |directory: &Path, time| fs::File::open(directory).unwrap().set_modified(time).unwrap();
    let stage = Stage::holding(&[("foo", 0, "1")]);
    set(&stage.generation(), seconds(100));
    set(&stage.path(""), seconds(200));
    assert_eq!(stage.content().changed(), seconds(100));
    stage.write(&[("foo", 0, "2")]);
    assert!(stage.content().changed() > seconds(200));

    let direct = Stage::new();
    direct.write_directly("foo", "1");
    set(&direct.path(""), seconds(300));
    assert_eq!(direct.content().changed(), seconds(300));
}

#[test]
fn readers_see_whole_generations_while_the_volume_is_written() {
    let stage = Stage::new();
    let write = |round: usize| {
        let text = format!("{round}\n").repeat(1 + round % 50);
        stage.write(&[("a", 0, &text), ("b/c", 0, &text), ("d/e/f", 0, &text)]);
    };
    write(0);
    let (is_over, whole) = (AtomicBool::new(false), AtomicUsize::new(0));
    let read = |content: &Content| {
        let first = text(content, "a")?;
        for path in ["b/c", "d/e/f"] {
            assert_eq!(text(content, path)?, first, "{path}");
        }
        assert!(first.is_some());
        Ok::<_, ContentError>(())
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            struct Over<'a>(&'a AtomicBool);
            impl Drop for Over<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _over = Over(&is_over);
            let until = Instant::now() + Duration::from_secs(60);
            for round in 1..=1000 {
                write(round);
                while whole.load(Ordering::Relaxed) < round / 20 {
                    assert!(Instant::now() < until, "readers came through {whole:?} times in {round} rounds");
                    thread::yield_now();
                }
            }
        });
        while !is_over.load(Ordering::Relaxed) {
            match stage.volume.content().map_err(ContentError::from).and_then(|content| read(&content)) {
                Ok(()) => drop(whole.fetch_add(1, Ordering::Relaxed)),
                Err(error) => assert!(error.is_replaced(), "{error}"),
            }
        }
    });
}
