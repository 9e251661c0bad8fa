//! An authority made at run time, and the server's side of TLS under it.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DnType, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A self-signed authority and the server's certificate under it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// A fresh authority with a certificate for the loopback names.
    pub fn new() -> Authority {
        Authority::limited_to(&[], &[])
    }

    /// The same, from an authority that may only vouch for some names and networks, or for all but some.
    pub fn limited_to(permitted: &[&str], excluded: &[&str]) -> Authority {
        let mut params = CertificateParams::default();
        if !permitted.is_empty() || !excluded.is_empty() {
            let [permitted_subtrees, excluded_subtrees] =
                [permitted, excluded].map(|names| names.iter().map(|name| subtree(name)).collect());
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        }
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "api server double");
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let config = certified(&issuer, FAR_FUTURE);
        Authority { pem: issuer.pem(), issuer, config }
    }

    /// Gives the server a new certificate, which ends with the beginning of that year.
    pub fn certify(&mut self, year: i32) {
        self.config = certified(&self.issuer, year);
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The server's side of a handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// A network, or a name and all below it.
fn subtree(text: &str) -> GeneralSubtree {
    match text.parse::<CidrSubnet>() {
        Ok(network) => GeneralSubtree::IpAddress(network),
        Err(()) => GeneralSubtree::DnsName(text.to_owned()),
    }
}

/// A server whose certificate under that authority ends with the beginning of that year.
fn certified(issuer: &CertifiedIssuer<'static, KeyPair>, year: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names).expect("legal names");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    Arc::new(config)
}

/// The encrypted stream; the handshake is done on its first use.
pub fn accept(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    Some(StreamOwned::new(ServerConnection::new(config).ok()?, stream))
}

/// A year that no test sees.
pub const FAR_FUTURE: i32 = 4000;
