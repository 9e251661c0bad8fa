//! Logs that nobody can write to.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::node::{Node, Setup};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::shell;

/// In the order of the table.
pub const CASES: [Case; 2] =
    [case("log: its disk is full", disk_full), case("log: a pipe that nobody reads any more", closed_pipe)];

fn disk_full() -> Sheet {
    let directory = tempfile::tempdir().unwrap();
    shell::mount_tmpfs(directory.path(), "size=64k");
    let (log, filler) = (directory.path().join("log"), directory.path().join("filler"));
    let text = log.display().to_string();
    let command = format!("exec \"$@\" 2>>'{text}'");
    let mut node =
        Node::with(Setup { through: &["sh", "-c", &command, "sh"], flags: &["-v=5"], ..Setup::default() });
    assert!(lines(&log) > 0, "the driver logs there");
    fill(&filler);
    // The last page of the log has some room left.
    let mut full = 0;
    while lines(&log) > full {
        full = lines(&log);
        goes_on(&mut node);
    }
    std::fs::remove_file(&filler).unwrap();
    goes_on(&mut node);
    assert!(lines(&log) > full + 4, "the log goes on when there is room");
    node.sheet.pod("the log goes on once there is room".to_owned());
    let sheet = node.end();
    shell::unmount(directory.path());
    sheet
}

fn closed_pipe() -> Sheet {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    // The driver begins when somebody reads, who then goes away.
    let command = format!("mkfifo '{0}'; true <'{0}' & exec \"$@\" 2>'{0}'", pipe.display());
    let mut node =
        Node::with(Setup { through: &["sh", "-c", &command, "sh"], flags: &["-v=5"], ..Setup::default() });
    let stderr = std::fs::metadata(format!("/proc/{}/fd/2", node.world.driver().id())).unwrap();
    assert!(stderr.file_type().is_fifo());
    let writer = OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&pipe);
    assert!(writer.is_err(), "nobody reads");
    goes_on(&mut node);
    node.end()
}

/// Publish, refresh, failure and unpublish, each of which logs.
fn goes_on(node: &mut Node) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let pod = node.pod(&format!("web-{}", NEXT.fetch_add(1, Ordering::SeqCst)));
    node.answer_with(crate::node::old());
    node.published(&pod, "old");
    node.mark();
    node.answer_with(Default::default());
    node.kept(&pod, "old", "missing object versions");
    node.rose_at_least(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +1",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    node.recovers(&[&pod]);
    node.unpublish(&pod);
    node.sheet.pod("unpublish: OK".to_owned());
}

fn lines(log: &Path) -> usize {
    std::fs::read(log).unwrap().iter().filter(|byte| **byte == b'\n').count()
}

/// Writes until there is no room for another byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// O_NONBLOCK, by which a pipe without a reader is an error and not waited for.
const NONBLOCK: i32 = 0o4000;
