//! Messages between two processes of ours: short, whole, and with at most one descriptor each.
//!
//! The sockets keep the borders of messages, so nothing has to be framed, and threads may send on one of them at the
//! same time without a lock.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::at::SysError;

/// One end of a connection. It is closed for the other end when every descriptor of it is.
#[derive(Debug)]
pub struct Messages(OwnedFd);

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// Bytes at the start of the buffer; 0 when the other end is closed.
    pub bytes: usize,
    /// What came with them.
    pub descriptor: Option<OwnedFd>,
}

impl Messages {
    /// Two ends of a new connection.
    pub fn pair() -> Result<(Messages, Messages), SysError> {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map(|(one, other)| (Messages(one), Messages(other)))
            .map_err(|errno| SysError::new("socketpair", "", errno))
    }

    /// Gives up waiting for a message, and for room to send one, after this time, with EAGAIN.
    pub fn give_up_after(&self, time: Duration) -> Result<(), SysError> {
        for (waiting, name) in [(Timeout::Recv, "SO_RCVTIMEO"), (Timeout::Send, "SO_SNDTIMEO")] {
            set_socket_timeout(&self.0, waiting, Some(time))
                .map_err(|errno| SysError::new("setsockopt", name, errno))?;
        }
        Ok(())
    }

    /// Sends one message. Fails with EPIPE when nobody can receive it any more.
    pub fn send(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), SysError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = descriptor.as_slice();
        if !passed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(passed)) {
            return Err(SysError::new("sendmsg", "", Errno::NOBUFS));
        }
        loop {
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                // A message is sent as a whole or not at all.
                sent => return sent.map(drop).map_err(|errno| SysError::new("sendmsg", "", errno)),
            }
        }
    }

    /// Waits for one message. One that does not fit into the buffer, or that brings more than one descriptor, is an
    /// error, and whatever came with it is closed.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received, SysError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let into = &mut [IoSliceMut::new(buffer)];
            match rustix::net::recvmsg(&self.0, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                received => break received.map_err(|errno| SysError::new("recvmsg", "", errno))?,
            }
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(SysError::new("recvmsg", "", Errno::MSGSIZE));
        }
        Ok(Received { bytes: received.bytes, descriptor })
    }
}

impl From<OwnedFd> for Messages {
    fn from(descriptor: OwnedFd) -> Messages {
        Messages(descriptor)
    }
}

impl From<Messages> for OwnedFd {
    fn from(messages: Messages) -> OwnedFd {
        messages.0
    }
}

impl AsFd for Messages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn a_message_arrives_whole_and_with_its_descriptor() {
        let (one, other) = Messages::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        one.send(b"first", Some(writer.as_fd())).unwrap();
        one.send(b"second", None).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let first = other.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..first.bytes], b"first");
        File::from(first.descriptor.unwrap()).write_all(b"through").unwrap();
        let second = other.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..second.bytes], b"second");
        assert!(second.descriptor.is_none());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_end_of_the_other_side_is_seen_on_both_ways() {
        let (one, other) = Messages::pair().unwrap();
        drop(other);
        assert_eq!(one.receive(&mut [0; 4]).unwrap().bytes, 0);
        assert_eq!(one.send(b"x", None).unwrap_err().errno, Errno::PIPE);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_and_its_descriptor_is_closed() {
        let (one, other) = Messages::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        one.send(b"longer than four", Some(writer.as_fd())).unwrap();
        drop(writer);
        assert_eq!(other.receive(&mut [0; 4]).unwrap_err().errno, Errno::MSGSIZE);
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "no writer is left");
    }

    #[test]
    fn waiting_can_be_given_up() {
        let (one, _other) = Messages::pair().unwrap();
        one.give_up_after(Duration::from_millis(10)).unwrap();
        assert!(one.receive(&mut [0; 4]).unwrap_err().is_shortage());
        let refused = (0..100_000).find_map(|_| one.send(b"full", None).err());
        assert!(refused.expect("a socket has room for so many").is_shortage());
    }
}
