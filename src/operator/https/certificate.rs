//! The certificate, from files that somebody else renews: what is in them is looked at again before long.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::lock::Mutex;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::Files;
use crate::digest;

/// What the server proves itself with. While there is none, every handshake fails.
pub struct Certificate {
    files: Files,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked: Option<Instant>,
    /// Digest of what the files held, or why they could not be read.
    content: Option<Result<String, String>>,
    key: Option<Arc<CertifiedKey>>,
}

impl Certificate {
    /// From these files, which may come later.
    pub fn new(files: Files) -> Certificate {
        Certificate { files, known: Mutex::default() }
    }

    fn current(&self, now: Instant) -> Option<Arc<CertifiedKey>> {
        let mut known = self.known.lock();
        let is_due = known.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY);
        if is_due {
            known.looked = Some(now);
            self.look(&mut known);
        }
        known.key.clone()
    }

    fn look(&self, known: &mut Known) {
        let read = self.read();
        let content = match &read {
            Ok((certificate, key)) => Ok(digest::of_text(&format!("{certificate}{}", key.as_str()))),
            Err(error) => Err(error.clone()),
        };
        if known.content.as_ref() == Some(&content) {
            return;
        }
        known.content = Some(content);
        let file = self.files.certificate.display();
        // A pair that is just being replaced does not match for a moment, and the one before it still does.
        match read.and_then(|(certificate, key)| parse(&certificate, &key)) {
            Ok(key) => {
                log::info!(file:%; "metrics are served with the certificate of this file");
                known.key = Some(Arc::new(key));
            }
            Err(why) => log::warn!(file:%, error = why; "the certificate for metrics cannot be used"),
        }
    }

    fn read(&self) -> Result<(String, Zeroizing<String>), String> {
        let text = |file: &Path| read(file).map_err(|error| format!("{}: {error}", file.display()));
        Ok((text(&self.files.certificate)?.to_string(), text(&self.files.key)?))
    }
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    #[expect(clippy::disallowed_methods, reason = "the cluster administrator chose the path")]
    let source = File::open(file)?;
    source.take(LARGEST_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// None of the errors has a word of the key.
fn parse(certificate: &str, key: &str) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|_| "the certificate is no PEM".to_owned())?;
    if chain.is_empty() {
        return Err("there is no certificate in the file".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "the key is no PEM".to_owned())?;
    let key = any_supported_type(&key).map_err(|_| "the key is of no kind that is known".to_owned())?;
    let pair = CertifiedKey::new(chain, key);
    pair.keys_match().map_err(|_| "certificate and key do not belong together".to_owned())?;
    Ok(pair)
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current(Instant::now())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.files.certificate.display())
    }
}

/// Kubelet takes a minute or so to bring a changed Secret.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Far more than a chain.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;
