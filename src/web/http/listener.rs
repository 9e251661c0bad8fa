//! Where connections come from.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use sys::tcp::{self, Buffers};

/// Listens on `address` without ever waiting; `:port` means every interface.
pub(super) fn listen(address: &str) -> io::Result<TcpListener> {
    let listener = bind(address)?;
    listener.set_nonblocking(true)?;
    tcp::bound_connections(&listener, BUFFERS)?;
    Ok(listener)
}

/// The same for one who may wait.
///
/// # Errors
/// The system's.
pub fn bind(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address);
    };
    match TcpListener::bind(format!("[::]:{port}")) {
        Err(error) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            // The kernel has no IPv6. What else may be wrong (the port) is wrong here too and reported.
            TcpListener::bind(format!("0.0.0.0:{port}"))
        }
        bound => bound,
    }
}

/// More than a head in one direction. In the other more than two of the longest segments, those of the loopback device:
/// of a single one the client's kernel delays the receipt, and with it the next one.
const BUFFERS: Buffers = Buffers { incoming: 16 * 1024, outgoing: 128 * 1024 };
