//! The driver's side: asks the mounter, and waits for its answer.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::protocol::{Answer, LONGEST_MESSAGE, REFUSAL, Request};
use sys::at::{Dir, Errno, SysError};
use sys::message::Messages;

/// The mounter, as any thread can ask it; clones ask the same one. It ends when the last of them is gone.
#[derive(Debug, Clone)]
pub struct MounterClient(Arc<Messages>);

impl MounterClient {
    /// The one whose requests go there.
    pub fn new(requests: Messages) -> MounterClient {
        MounterClient(Arc::new(requests))
    }

    /// Mounts a new tmpfs on the directory at `target`, a path relative to the mounter's base, and returns the root.
    ///
    /// The root has mode 0700: closed, until the caller opens it. The mount is `nosuid,nodev,noexec`, limited, and
    /// `noswap` where the kernel and the namespace allow it. On failure nothing is mounted.
    pub fn mount(&self, target: &Path) -> Result<Dir, SysError> {
        match self.ask(&Request::Mount(target.to_owned()))? {
            (Answer::Done, Some(root)) => Ok(root),
            _ => Err(nonsense(target)),
        }
    }

    /// Takes down the topmost tmpfs at `target`, a path relative to the mounter's base, if it is a volume. False when
    /// nothing is mounted there.
    ///
    /// A mount that is still in use (a provider with an open file) is detached: it is gone from every path at once and
    /// freed with its last user, so that a pod never hangs in termination.
    pub fn unmount(&self, target: &Path) -> Result<bool, SysError> {
        match self.ask(&Request::Unmount(target.to_owned()))? {
            (Answer::Done, _) => Ok(true),
            (Answer::Nothing, _) => Ok(false),
            _ => Err(nonsense(target)),
        }
    }

    /// Each request brings the socket for its own answer, so requests of many threads need neither numbers nor a lock.
    fn ask(&self, request: &Request) -> Result<(Answer, Option<Dir>), SysError> {
        let (ours, theirs) = Messages::pair()?;
        ours.give_up_after(PATIENCE)?;
        self.0.send(&request.encode(), Some(theirs.as_fd()))?;
        drop(theirs);
        let mut buffer = [0; LONGEST_MESSAGE];
        let received = ours.receive(&mut buffer)?;
        match buffer.get(..received.bytes).and_then(Answer::decode) {
            Some(Answer::Failed(error)) => Err(error),
            Some(answer) => Ok((answer, received.descriptor.map(Dir::from))),
            // It ended, and the driver is about to.
            None => Err(SysError { call: REFUSAL, on: request.path().into(), errno: Errno::PIPE }),
        }
    }
}

/// True for the mounter's own refusal, rather than the kernel's: what is there is not this driver's.
pub fn is_refusal(error: &SysError) -> bool {
    error.call == REFUSAL && error.errno == Errno::PERM
}

/// An answer to another question.
fn nonsense(request: &Path) -> SysError {
    SysError { call: REFUSAL, on: request.into(), errno: Errno::PROTO }
}

/// The kernel needs microseconds. Whoever waits longer than this may try again.
const PATIENCE: Duration = Duration::from_secs(30);
