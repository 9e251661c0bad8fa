//! Volumes that are full.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use rpc::pb::provider as pb;
use rpc::status::Code;

use crate::node::{Node, holding};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::provider::versions_only;

/// In the order of the table.
pub const CASES: [Case; 3] = [
    case("tmpfs: at its size cap during a rotation", size_cap),
    case("tmpfs: somebody else takes the room beside the old content", no_room_beside),
    case("tmpfs: at its inode cap during a rotation", inode_cap),
];

fn size_cap() -> Sheet {
    full(&["--volume-size-limit=1Mi"], holding("v2", &vec![b'x'; 2 << 20]), "more than --volume-size-limit")
}

fn no_room_beside() -> Sheet {
    let mut node = Node::with_flags(&["--volume-size-limit=1Mi"]);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let large = |letter: u8| vec![letter; 700 << 10];
    node.answer_with(holding("v2", &large(b'a')));
    node.refreshed(&live, &String::from_utf8(large(b'a')).unwrap());
    node.mark();
    // There is room for both contents, until a provider holds a file open that has no name.
    let mut filler = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(&live.target).unwrap();
    filler.write_all(&vec![b'x'; 2 << 20]).unwrap();
    node.answer_with(holding("v3", &large(b'b')));
    node.kept(&live, &String::from_utf8(large(b'a')).unwrap(), "has no room");
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=FileWriteError,provider=test} +1",
        "rotation_reconcile_error_total{error_type=FileWriteError,provider=test} +1",
    ]);
    node.published(&fresh, &String::from_utf8(large(b'b')).unwrap());
    drop(filler);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn inode_cap() -> Sheet {
    let file = |n: usize| pb::File { path: n.to_string(), contents: b"x".to_vec(), ..Default::default() };
    let many =
        pb::MountResponse { files: (0..200).map(file).collect(), ..versions_only("v2", &["password"]) };
    full(&["--volume-inode-limit=100"], many, "more than --volume-inode-limit")
}

/// An answer that does not fit: it is refused as a whole.
fn full(flags: &[&str], response: pb::MountResponse, words: &str) -> Sheet {
    let mut node = Node::with_flags(flags);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let used = |node: &Node| -> Vec<i64> {
        node.world.kubelet.stats(&live).unwrap().usage.iter().map(|usage| usage.used).collect()
    };
    let before = used(&node);
    node.answer_with(response);
    node.kept(&live, "old", words);
    assert_eq!(used(&node), before, "nothing of the refused answer is in the volume");
    node.refused(&fresh, Code::Unknown, words);
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=FileWriteError,provider=test} +2",
        "rotation_reconcile_error_total{error_type=FileWriteError,provider=test} +1",
    ]);
    node.recovers(&[&live, &fresh]);
    node.end()
}
