//! What the tests of this crate share: file systems that a test mounts, and a mounter without a process of its own. They need the mount namespace
//! that `tests/sandbox.sh` gives them.

use std::ffi::OsString;
use std::path::Path;
use std::thread;

use mounter::client::MounterClient;
use mounter::service::{Base, Service};
use sys::at::Dir;
use sys::message::Messages;
use sys::mount::{self, Limits, Mounter};

/// A mounted tmpfs, unmounted when dropped.
pub struct Mounted {
    parent: Dir,
    name: OsString,
    pub root: Dir,
}

impl Mounted {
    /// Mounts on the directory `name` of the directory at `parent`, or ends the test.
    #[track_caller]
    pub fn make(parent: &Path, name: &str, limits: Limits) -> Mounted {
        let parent = Dir::open_trusting_path(parent).unwrap();
        let root = Mounter::new().mount(&parent, name.as_ref(), limits).unwrap_or_else(|error| {
            panic!("{error}: tests that mount run through tests/sandbox.sh, as `make test` does")
        });
        Mounted { parent, name: name.into(), root }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test may have unmounted it; whatever is left would keep the directory from being removed.
        self.parent.open_dir(&self.name).and_then(|root| mount::unmount_root(&root)).ok();
    }
}

/// A mounter in a thread of this process, with every check.
pub fn mounter_in_thread(pods_dir: Option<&Path>, limits: Limits) -> MounterClient {
    let (ours, theirs) = Messages::pair().unwrap();
    let mut service = Service::new(Base::open(pods_dir).unwrap(), limits);
    thread::spawn(move || service.serve(&theirs).unwrap());
    MounterClient::new(ours)
}
