//! A listening TCP socket whose connections cost little, whoever is at the other end.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::listen;
use rustix::net::sockopt::{
    set_socket_linger, set_socket_recv_buffer_size, set_socket_send_buffer_size, set_tcp_nodelay,
};

/// How many bytes of each connection the kernel may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// Of what has come and was not read.
    pub incoming: usize,
    /// Of what was written and is not confirmed.
    pub outgoing: usize,
}

/// Bounds what the kernel keeps for each connection that this listening socket will take. Linux hands these options on
/// to every connection.
///
/// - Buffers have a size of their own instead of one that grows: what a client does not read, or sends unasked, is the
///   memory of this process's control group.
/// - A connection that is closed while something is under way is reset, so that the kernel, too, forgets it at once.
/// - Connections wait in a queue of the largest size that the system allows. Whoever comes while it is full has to wait
///   for a second or more, since that is when his kernel asks again.
///
/// # Errors
/// The system's.
pub fn bound_connections(listener: impl AsFd, buffers: Buffers) -> io::Result<()> {
    set_socket_recv_buffer_size(&listener, buffers.incoming)?;
    set_socket_send_buffer_size(&listener, buffers.outgoing)?;
    set_socket_linger(&listener, Some(Duration::ZERO))?;
    // An answer goes out in few large pieces, and none of them has to wait for the receipt of the one before.
    set_tcp_nodelay(&listener, true)?;
    // Of a socket that listens already, this changes the length of the queue.
    Ok(listen(&listener, BACKLOG)?)
}

/// What `net.core.somaxconn` is, unless somebody has changed it; more than that counts as that.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::net::sockopt::{
        socket_linger, socket_recv_buffer_size, socket_send_buffer_size, tcp_nodelay,
    };

    use super::*;

    const BUFFERS: Buffers = Buffers { incoming: 16 * 1024, outgoing: 48 * 1024 };

    #[test]
    fn connections_inherit_every_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        bound_connections(&listener, BUFFERS).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        // The kernel doubles what it is told, for its own book-keeping.
        assert_eq!(socket_recv_buffer_size(&connection).unwrap(), 32 * 1024);
        assert_eq!(socket_send_buffer_size(&connection).unwrap(), 96 * 1024);
        assert_eq!(socket_linger(&connection).unwrap(), Some(Duration::ZERO));
        assert!(tcp_nodelay(&connection).unwrap());
    }

    #[test]
    fn more_connections_than_std_lets_wait_are_made_while_nobody_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        bound_connections(&listener, BUFFERS).unwrap();
        let address = listener.local_addr().unwrap();
        let made = (0..400).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500)));
        let made: Vec<TcpStream> = made.collect::<Result<_, _>>().unwrap();
        assert_eq!(made.len(), 400);
    }
}
