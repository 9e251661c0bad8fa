//! How the server speaks TLS: as the cluster's profile says, as far as that is anything that is still safe.

use std::sync::Arc;

use base::lock::{Mutex, MutexGuard};
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use super::certificate::Certificate;
use crate::tls_profile::TlsProfile;

/// What connections are made by from now on.
pub struct Terms(Mutex<Inner>);

struct Inner {
    profile: TlsProfile,
    certificate: Option<Arc<Certificate>>,
    config: Arc<ServerConfig>,
}

impl Terms {
    /// By that profile, and without a certificate.
    ///
    /// # Errors
    /// The library's, where the profile leaves nothing to speak by.
    pub fn new(profile: TlsProfile) -> Result<Terms, Error> {
        let config = Arc::new(config(&profile, None)?);
        Ok(Terms(Mutex::new(Inner { profile, certificate: None, config })))
    }

    /// The cluster's profile is this.
    pub fn follow(&self, profile: TlsProfile) {
        let mut inner = self.lock();
        if inner.profile == profile {
            return;
        }
        match config(&profile, inner.certificate.clone()) {
            Ok(config) => {
                log::info!(version = profile.min_version.as_str(); "metrics are served by another TLS profile");
                inner.config = Arc::new(config);
            }
            Err(error) => log::warn!(error:%; "metrics are served by the TLS profile before this one"),
        }
        inner.profile = profile;
    }

    pub(super) fn prove_with(&self, certificate: Certificate) -> Result<(), Error> {
        let mut inner = self.lock();
        let certificate = Some(Arc::new(certificate));
        inner.config = Arc::new(config(&inner.profile, certificate.clone())?);
        inner.certificate = certificate;
        Ok(())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.lock().config)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic runs between two changes of the terms.
        self.0.lock()
    }
}

/// As in Go, the list of ciphers is about TLS 1.2; those of 1.3 are all good. Below 1.2 there is nothing: clients that
/// speak no better have no business with metrics. A list without any cipher that is known leaves 1.3.
fn config(profile: &TlsProfile, certificate: Option<Arc<Certificate>>) -> Result<ServerConfig, Error> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| match suite.tls13() {
        Some(_) => true,
        None => {
            let name = suite.suite().as_str().unwrap_or_default();
            profile.ciphers.iter().any(|cipher| cipher == name)
        }
    });
    let has_older = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
    let versions =
        if profile.min_version == "VersionTLS13" || !has_older { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
    let certificate: Arc<dyn ResolvesServerCert> = match certificate {
        Some(certificate) => certificate,
        None => Arc::new(NoCertificate),
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A connection is for one request, and nothing of it is kept for the next.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Every handshake fails.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spoken(profile: &Value) -> (Vec<&'static str>, usize) {
        let object = json!({"spec": {"tlsSecurityProfile": profile}});
        let config = config(&TlsProfile::read(Some(&object)).unwrap(), None).unwrap();
        let suites = &config.crypto_provider().cipher_suites;
        let older: Vec<_> = suites.iter().filter(|suite| suite.tls13().is_none()).collect();
        let names = older.iter().filter_map(|suite| suite.suite().as_str()).collect();
        (names, suites.len() - older.len())
    }

    #[test]
    fn each_profile_leaves_its_own_ciphers_of_the_older_version_and_all_of_the_newer() {
        let custom = |ciphers: Value| json!({"type": "Custom", "custom": {"ciphers": ciphers, "minTLSVersion": "VersionTLS12"}});
        assert_eq!(spoken(&json!({"type": "Modern"})), (vec![], 3));
        assert_eq!(spoken(&json!({"type": "Intermediate"})).0.len(), 6);
        assert_eq!(spoken(&json!({"type": "Old"})).0.len(), 6, "of what is older still, nothing is spoken");
        let one = spoken(&custom(json!(["ECDHE-RSA-AES256-GCM-SHA384"])));
        assert_eq!(one, (vec!["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"], 3));
        assert_eq!(spoken(&custom(json!(["AES128-SHA"]))), (vec![], 3), "one that no good server has");
    }
}
