//! The address on which a gRPC server listens, as the CSI world writes it.
//!
//! Only reads the text: whether the path or host exists is for the listener to find out.

use std::fmt;
use std::path::PathBuf;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket at this absolute path.
    Unix(PathBuf),
    /// `host:port`, as typed.
    Tcp(String),
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEndpoint {
    /// What was typed.
    pub text: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Endpoint {
    /// Reads `unix://<path>` or `tcp://<address>`, the scheme in any case. A path always begins with one `/`, so that
    /// `unix://tmp/csi.sock` and `unix:///tmp/csi.sock` are the same file; two would make the gRPC library take what
    /// follows for a host.
    pub fn parse(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let invalid = || InvalidEndpoint { text: text.to_owned() };
        let (scheme, address) = text.split_once("://").ok_or_else(invalid)?;
        if address.is_empty() {
            return Err(invalid());
        }
        if scheme.eq_ignore_ascii_case("unix") {
            Ok(Endpoint::Unix(PathBuf::from(format!("/{}", address.trim_start_matches('/')))))
        } else if scheme.eq_ignore_ascii_case("tcp") {
            Ok(Endpoint::Tcp(address.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid endpoint: {}: it must be unix://<path> or tcp://<host>:<port>",
            self.text.escape_debug()
        )
    }
}

impl std::error::Error for InvalidEndpoint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_and_tcp_endpoints_are_read_in_any_case() {
        let unix = |path: &str| format!("unix:{path}");
        let tcp = |address: &str| format!("tcp:{address}");
        let rows = [
            ("unix://fake.sock", unix("/fake.sock")),
            ("unix://tmp/csi.sock", unix("/tmp/csi.sock")),
            ("unix:///fakedir/fakedir/fake.sock", unix("/fakedir/fakedir/fake.sock")),
            ("UNIX://x", unix("/x")),
            ("tcp://127.0.0.1:1234", tcp("127.0.0.1:1234")),
            ("TCP://127.0.0.1:1234", tcp("127.0.0.1:1234")),
            ("tcp://example.com:1234", tcp("example.com:1234")),
        ];
        for (text, endpoint) in rows {
            // Paths are compared as text: as paths, those with one and two slashes in front are equal.
            let found = match Endpoint::parse(text).unwrap() {
                Endpoint::Unix(path) => unix(path.to_str().unwrap()),
                Endpoint::Tcp(address) => tcp(&address),
            };
            assert_eq!(found, endpoint, "{text}");
        }
    }

    #[test]
    fn everything_else_is_an_invalid_endpoint() {
        for text in
            ["unix:/fake.sock/", "fake.sock", "unix://", "tcp://", "://", "", "http://x", " unix://x", "://x"]
        {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("invalid endpoint: {text}")), "{error}");
        }
    }
}
