//! The mounter's work: each request is checked here, whatever the driver has checked before.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Component, Path};

use super::protocol::{Answer, LONGEST_MESSAGE, REFUSAL, Request};
use super::whose::{self, depth_of_pod};
use sys::at::{Dir, Errno, SysError};
use sys::message::Messages;
use sys::mount::{self, Limits, Mounter};

/// Where volumes may be.
#[derive(Debug)]
pub enum Base {
    /// Kubelet's directory of pods: only volumes of pods below it, and no symlink is followed.
    Pods(Dir),
    /// The root directory, since the administrator did not name the other: any place, as the kernel finds it.
    Anywhere(Dir),
}

/// Mounts and unmounts on request.
#[derive(Debug)]
pub struct Service {
    base: Base,
    limits: Limits,
    mounter: Mounter,
    /// The number of every mount that was made here and not yet taken down here, on kernels that use a number once.
    made: BTreeSet<u64>,
}

impl Base {
    /// Opens it.
    pub fn open(pods_dir: Option<&Path>) -> Result<Base, SysError> {
        match pods_dir {
            Some(pods_dir) => Dir::open_trusting_path(pods_dir).map(Base::Pods),
            None => Dir::open_trusting_path(Path::new("/")).map(Base::Anywhere),
        }
    }

    /// The directory that holds the target, opened, and the target's name in it.
    fn parent<'a>(&self, target: &'a Path) -> Result<(Dir, &'a OsStr), SysError> {
        let (Some(above), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(refusal(target));
        };
        if !target.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refusal(target));
        }
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match self {
            Base::Pods(pods) => pods.open_beneath(above).map(|parent| (parent, name)),
            Base::Anywhere(root) => root.open_beneath_trusting_links(above).map(|parent| (parent, name)),
        }
    }
}

impl Service {
    /// Makes volumes of one size only.
    pub fn new(base: Base, limits: Limits) -> Service {
        Service { base, limits, mounter: Mounter::new(), made: BTreeSet::new() }
    }

    /// Tries what can be tried without a place.
    pub fn probe(&self) -> Answer {
        match self.mounter.probe(self.limits) {
            Ok(()) => Answer::Ready { keeps_out_of_swap: self.mounter.keeps_out_of_swap() },
            Err(error) => Answer::MayNotMount(error),
        }
    }

    /// Answers requests until nobody is left who could send one.
    pub fn serve(&mut self, requests: &Messages) -> Result<(), SysError> {
        let mut buffer = [0; LONGEST_MESSAGE];
        loop {
            let received = match requests.receive(&mut buffer) {
                // Too long: no driver of ours sends that. Who waits for an answer finds its socket closed.
                Err(error) if error.errno == Errno::MSGSIZE => continue,
                received => received?,
            };
            if received.bytes == 0 {
                return Ok(());
            }
            let request = buffer.get(..received.bytes).and_then(Request::decode);
            if let (Some(request), Some(reply)) = (request, received.descriptor) {
                self.answer(&request, &Messages::from(reply));
            }
        }
    }

    fn answer(&mut self, request: &Request, reply: &Messages) {
        let answer = match request {
            Request::Mount(target) => match self.mount(target) {
                Ok(root) => {
                    if reply.send(&Answer::Done.encode(), Some(root.as_fd())).is_err() {
                        // Whoever asked has gone: the mount would be nobody's.
                        let _ = self.take_down(&root);
                    }
                    return;
                }
                Err(error) => Answer::Failed(error),
            },
            Request::Unmount(target) => match self.unmount(target) {
                Ok(true) => Answer::Done,
                Ok(false) => Answer::Nothing,
                Err(error) => Answer::Failed(error),
            },
        };
        // Nobody there to hear it is no reason to stop.
        let _ = reply.send(&answer.encode(), None);
    }

    fn mount(&mut self, target: &Path) -> Result<Dir, SysError> {
        // Whatever else is below kubelet's directory is kubelet's own, or another driver's.
        if matches!(self.base, Base::Pods(_)) && depth_of_pod(target) != Some(0) {
            return Err(refusal(target));
        }
        let (parent, name) = self.base.parent(target)?;
        // Whosever it is: an honest driver has a volume of its own taken down first, so nothing is ever stacked.
        if mount::is_mount(&parent, &parent.open_dir(name)?)? {
            return Err(SysError { call: "mount", on: target.as_os_str().to_owned(), errno: Errno::BUSY });
        }
        let root = self.mounter.mount(&parent, name, self.limits)?;
        if let Ok(Some(id)) = root.unique_mount_id() {
            self.made.insert(id);
        }
        Ok(root)
    }

    /// False when nothing is mounted there.
    fn unmount(&mut self, target: &Path) -> Result<bool, SysError> {
        let (parent, name) = self.base.parent(target)?;
        let root = match parent.open_dir(name) {
            Err(error) if error.is_not_found() => return Ok(false),
            opened => opened?,
        };
        if !mount::is_mount(&parent, &root)? {
            return Ok(false);
        }
        if !self.is_ours(&root, target)? {
            return Err(refusal(target));
        }
        // By the descriptor that was checked: whatever was mounted over it meanwhile stays.
        self.take_down(&root)
    }

    fn take_down(&mut self, root: &Dir) -> Result<bool, SysError> {
        if let Ok(Some(id)) = root.unique_mount_id() {
            self.made.remove(&id);
        }
        mount::unmount_root(root)
    }

    /// True for a tmpfs that this driver mounted, or the one that it replaced, in this process's life or before.
    fn is_ours(&self, root: &Dir, target: &Path) -> Result<bool, SysError> {
        let is_made_here = root.unique_mount_id()?.is_some_and(|id| self.made.contains(&id));
        Ok(is_made_here && mount::is_tmpfs(root)? || whose::is_volume(root, target)?)
    }
}

fn refusal(target: &Path) -> SysError {
    SysError { call: REFUSAL, on: target.as_os_str().to_owned(), errno: Errno::PERM }
}

#[cfg(test)]
mod tests;
