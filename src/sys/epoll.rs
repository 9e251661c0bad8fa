//! Which of many descriptors has something to do, and a notifier by which another thread wakes who waits for them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

/// Watches descriptors. One that is closed is not watched any more.
pub struct Epoll(OwnedFd);

/// What is waited for. That a connection is broken is told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read or to accept, or the other end will send no more.
    Read,
    /// There is room to write.
    Write,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
        }
    }
}

impl Epoll {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Watches one more, which is told of by this number.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.0, descriptor, EventData::new_u64(number), interest.flags())?)
    }

    /// Waits for something else of one that is watched.
    ///
    /// # Errors
    /// The system's.
    pub fn change(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.0, descriptor, EventData::new_u64(number), interest.flags())?)
    }

    /// Watches one no more.
    ///
    /// # Errors
    /// The system's.
    pub fn forget(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, descriptor)?)
    }

    /// The numbers of those that have something to do. Waits for the first of them, until then if a time is given.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, until: Option<Instant>) -> io::Result<Vec<u64>> {
        let patience = until.map(|until| until.saturating_duration_since(Instant::now()).min(LONGEST_WAIT));
        let patience = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        let mut events = [MaybeUninit::<Event>::uninit(); AT_A_TIME];
        match epoll::wait(&self.0, &mut events, patience.as_ref()) {
            Ok((events, _)) => Ok(events.iter().map(|event| event.data.u64()).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How many descriptors are told of at a time; the kernel tells of the others at the next.
const AT_A_TIME: usize = 256;

/// Kernels before 5.11 take no time that is longer than some weeks.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Something to watch that another thread can give something to do.
pub struct Notifier(OwnedFd);

impl Notifier {
    /// One that is not notified.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Notifier> {
        Ok(Notifier(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Is ready to read until it is cleared, however often it was notified.
    ///
    /// # Errors
    /// The system's.
    pub fn notify(&self) -> io::Result<()> {
        match rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
            // It has been notified more often than can be counted.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Is not ready any more.
    ///
    /// # Errors
    /// The system's.
    pub fn clear(&self) -> io::Result<()> {
        match rustix::io::read(&self.0, &mut [0; 8]) {
            // It was not notified.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(1))
    }

    #[test]
    fn a_notifier_is_ready_until_it_is_cleared() {
        let (epoll, notifier) = (Epoll::new().unwrap(), Notifier::new().unwrap());
        epoll.watch(&notifier, 7, Interest::Read).unwrap();
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0]);
        notifier.notify().unwrap();
        notifier.notify().unwrap();
        assert_eq!(epoll.wait(None).unwrap(), [7]);
        assert_eq!(epoll.wait(None).unwrap(), [7]);
        notifier.clear().unwrap();
        notifier.clear().unwrap();
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0]);
    }

    #[test]
    fn what_is_told_is_what_was_asked_for_and_the_end_of_a_connection() {
        let epoll = Epoll::new().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        epoll.watch(&one, 3, Interest::Read).unwrap();
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0]);
        epoll.change(&one, 3, Interest::Write).unwrap();
        assert_eq!(epoll.wait(None).unwrap(), [3]);
        epoll.forget(&one).unwrap();
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0]);
        epoll.watch(&one, 4, Interest::Read).unwrap();
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0]);
        drop(other);
        assert_eq!(epoll.wait(None).unwrap(), [4]);
        drop(one);
        assert_eq!(epoll.wait(soon()).unwrap(), [0; 0], "what is closed is not watched");
    }
}
