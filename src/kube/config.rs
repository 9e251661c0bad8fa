//! Where the API server is and what proves it: address, authority bundle, token file.
//!
//! The values come from whoever reads flags and environment; this file only checks them and loads the bundle.
//! The threat is a token sent in the clear or to the wrong place: plain http is accepted for loopback alone,
//! and only the certificates in the bundle are trusted, never a public root.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use base::text::printable;

/// How to reach and trust the API server.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// `https://host[:port][/path]`, an IPv6 host in brackets; `http://` only for a loopback host.
    pub server: String,
    /// PEM bundle of the authorities to trust; required for https.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token; without one requests are anonymous.
    pub token_file: Option<PathBuf>,
    /// The longest that one HTTP request may take, connecting and reading the body included.
    pub request_timeout: Duration,
    /// Value of the User-Agent header.
    pub user_agent: String,
}

/// The configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The address is not one that a token may be sent to.
    Server {
        /// The address as configured, made printable.
        server: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// https needs an authority bundle and none is configured.
    NoAuthority,
    /// The authority bundle could not be read.
    Authority {
        /// The bundle's file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The authority bundle holds nothing usable.
    EmptyAuthority {
        /// The bundle's file.
        file: PathBuf,
    },
    /// The token file could not be read at start.
    Token {
        /// The token's file.
        file: PathBuf,
        /// Why, without the token.
        cause: super::token::TokenError,
    },
    /// The user agent is not a legal header value.
    UserAgent,
}

impl ClusterConfig {
    /// The server's address without a trailing slash.
    ///
    /// # Errors
    /// [`ConfigError::Server`] for all but `https://host[:port][/path]`, or `http://` and a loopback host.
    pub fn base(&self) -> Result<String, ConfigError> {
        let refuse = |problem| ConfigError::Server { server: printable(&self.server, 200), problem };
        let address = self.server.trim_end_matches('/');
        let (scheme, rest) = address.split_once("://").ok_or_else(|| refuse(NEEDED_FORM))?;
        // A path is what a proxy in front of several clusters tells them apart by.
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = host_of(authority).ok_or_else(|| refuse(NEEDED_FORM))?;
        if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte)) {
            return Err(refuse(NEEDED_FORM));
        }
        match scheme {
            "https" => Ok(address.to_owned()),
            "http" if is_loopback(host) => Ok(address.to_owned()),
            "http" => Err(refuse("http would send the token in the clear, use https")),
            _ => Err(refuse("its scheme must be https")),
        }
    }

    /// True when the connection is encrypted, and so needs an authority.
    pub fn is_encrypted(&self) -> bool {
        self.server.starts_with("https://")
    }
}

/// The certificates of the authority bundle `file`, as DER.
///
/// # Errors
/// [`ConfigError::Authority`] when the file cannot be read or is larger than
/// [`LARGEST_AUTHORITY_FILE_BYTES`], [`ConfigError::EmptyAuthority`] when no certificate in it can serve as a
/// trust anchor.
pub fn load_authority(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let unreadable = |cause| ConfigError::Authority { file: file.to_owned(), cause };
    let mut pem = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the cluster administrator chose the path")]
    let source = File::open(file).map_err(unreadable)?;
    source.take(LARGEST_AUTHORITY_FILE_BYTES + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if u64::try_from(pem.len()).unwrap_or(u64::MAX) > LARGEST_AUTHORITY_FILE_BYTES {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than any bundle of authorities",
        )));
    }
    // One unreadable section must not cost the others: bundles are concatenated by hand.
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let (usable, ignored) = RootCertStore::empty().add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err(ConfigError::EmptyAuthority { file: file.to_owned() });
    }
    if ignored > 0 {
        log::warn!(file:% = file.display(), ignored = ignored;
            "certificate authority bundle holds unusable certificates");
    }
    Ok(certificates)
}

/// The host in `host[:port]`, or `None` where anything else is in it.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at_checked(end)?;
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
            (!host.is_empty() && host.bytes().all(legal)).then_some((host, port))?
        }
    };
    if !port.is_empty() {
        let digits = port.strip_prefix(':')?;
        let number: u16 = digits.parse().ok()?;
        (number > 0 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
    }
    Some(host)
}

/// True for `localhost` and the loopback addresses.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What an address must look like.
const NEEDED_FORM: &str = "it needs the form https://host:port";
/// A bundle of every public authority is about 200 KiB; a cluster's own is a few.
pub const LARGEST_AUTHORITY_FILE_BYTES: u64 = 1024 * 1024;

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Server { server, problem } => {
                write!(f, "could not use the API server address \"{server}\": {problem}")
            }
            ConfigError::NoAuthority => {
                write!(f, "could not trust the API server: no certificate authority file is configured")
            }
            ConfigError::Authority { file, cause } => {
                write!(f, "could not read the certificate authority file {}: {cause}", file.display())
            }
            ConfigError::EmptyAuthority { file } => write!(
                f,
                "could not read the certificate authority file {}: it holds no usable PEM certificate",
                file.display()
            ),
            ConfigError::Token { file, cause } => {
                write!(f, "could not read the token file {}: {cause}", file.display())
            }
            ConfigError::UserAgent => {
                write!(f, "could not use the user agent: it is not a legal header value")
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Authority { cause, .. } => Some(cause),
            ConfigError::Token { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str) -> ClusterConfig {
        ClusterConfig {
            server: server.to_owned(),
            ca_file: None,
            token_file: None,
            request_timeout: Duration::from_secs(10),
            user_agent: "test".to_owned(),
        }
    }

    #[test]
    fn only_https_and_loopback_http_addresses_are_used() {
        let table = [
            ("an address with port", "https://10.96.0.1:443", true),
            ("an address without port", "https://10.96.0.1", true),
            ("a trailing slash", "https://10.96.0.1:443/", true),
            ("a name", "https://kubernetes.default.svc:443", true),
            ("ipv6", "https://[fd00::1]:6443", true),
            ("loopback http", "http://127.0.0.1:8080", true),
            ("loopback http by name", "http://localhost:8080", true),
            ("loopback http over ipv6", "http://[::1]:8080", true),
            ("http elsewhere", "http://10.96.0.1:80", false),
            ("http to a name that only begins like loopback", "http://localhost.evil.example:80", false),
            ("a user", "https://user@10.96.0.1", false),
            ("a path", "https://10.96.0.1/k8s/clusters/c-1", true),
            ("a path with a space", "https://10.96.0.1/k8s x", false),
            ("a query", "https://10.96.0.1?x", false),
            ("no scheme", "10.96.0.1:443", false),
            ("another scheme", "ftp://10.96.0.1", false),
            ("no host", "https://", false),
            ("port zero", "https://10.96.0.1:0", false),
            ("port too large", "https://10.96.0.1:65536", false),
            ("port with a sign", "https://10.96.0.1:+443", false),
            ("bare ipv6", "https://fd00::1", false),
            ("a line break", "https://10.96.0.1\n", false),
            ("empty", "", false),
        ];
        for (name, server, usable) in table {
            assert_eq!(config(server).base().is_ok(), usable, "{name}");
        }
    }

    #[test]
    fn a_missing_or_empty_authority_file_is_named_in_the_error() {
        let missing = load_authority(Path::new("/nonexistent/ca.crt")).unwrap_err().to_string();
        assert!(missing.starts_with("could not read the certificate authority file /nonexistent/ca.crt: "));
        let file = std::env::temp_dir().join(format!("empty-ca-{}.crt", std::process::id()));
        for content in ["", "not pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, content).unwrap();
            let error = load_authority(&file).unwrap_err();
            assert!(matches!(error, ConfigError::EmptyAuthority { .. }), "{error}");
            assert!(error.to_string().contains(&file.display().to_string()));
        }
        std::fs::remove_file(&file).unwrap();
    }
}
