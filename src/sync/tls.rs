//! What a Secret of type `kubernetes.io/tls` holds, taken from a file in whatever form a provider delivers it: the
//! certificates, and the private key in its traditional notation, which every server reads.
//!
//! Certificates are not looked into; a key is, as far as its notation goes: nothing is computed with it. PKCS#12
//! archives are refused. No byte of a file is ever part of an error, and no copy of a key is left behind.

use std::fmt;

use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::{Decode, Encode};
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use base::secret::SecretBytes;

use super::pem::{self, Block, Headers};

/// The certificates of a PEM file, all of them in order, with their headers and nothing else.
pub fn certificates(file: &[u8]) -> Result<SecretBytes, TlsError> {
    let mut found = Vec::new();
    for block in pem::blocks(file).filter(|block| block.label() == CERTIFICATE.as_bytes()) {
        let position = found.len().saturating_add(1);
        let certificate = block.decode().ok_or(TlsError::BrokenCertificate { position })?;
        found.push(pem::encode(CERTIFICATE, &block.headers(), &certificate));
    }
    if found.is_empty() {
        return Err(if is_pkcs12(file) { TlsError::Pkcs12 } else { TlsError::NoCertificate });
    }
    Ok(secret(pem::concat(&found)))
}

/// The last private key of a PEM file, as PKCS#1 or SEC1, whatever notation it comes in and whatever its label says
/// that is.
pub fn private_key(file: &[u8]) -> Result<SecretBytes, TlsError> {
    let Some(block) = pem::blocks(file).filter(is_private_key).last() else {
        return Err(if is_pkcs12(file) { TlsError::Pkcs12 } else { TlsError::NoPrivateKey });
    };
    if is_encrypted(&block) {
        return Err(TlsError::EncryptedKey);
    }
    traditional(&block.decode().ok_or(TlsError::BrokenKey)?)
}

/// The PEM text of a key in DER.
fn traditional(key: &[u8]) -> Result<SecretBytes, TlsError> {
    if RsaPrivateKeyRef::from_der(key).is_ok() {
        return Ok(encoded(RSA_PRIVATE_KEY, key));
    }
    if let Ok(wrapped) = PrivateKeyInfoRef::from_der(key) {
        return unwrapped(&wrapped);
    }
    match EcPrivateKey::from_der(key) {
        Ok(EcPrivateKey { parameters: Some(_), .. }) => Ok(encoded(EC_PRIVATE_KEY, key)),
        Ok(EcPrivateKey { parameters: None, .. }) => Err(TlsError::NoCurve),
        Err(_) => Err(TlsError::BrokenKey),
    }
}

/// The PEM text of the key in a PKCS#8 wrapping.
fn unwrapped(wrapped: &PrivateKeyInfoRef<'_>) -> Result<SecretBytes, TlsError> {
    let inner = wrapped.private_key.as_bytes();
    match wrapped.algorithm.oid {
        pkcs1::ALGORITHM_OID => {
            RsaPrivateKeyRef::from_der(inner).map_err(|_| TlsError::BrokenKey)?;
            Ok(encoded(RSA_PRIVATE_KEY, inner))
        }
        sec1::ALGORITHM_OID => {
            let mut key = EcPrivateKey::from_der(inner).map_err(|_| TlsError::BrokenKey)?;
            // The wrapping names the curve and may hold the public key; without it the key has to.
            if let Some(parameters) = wrapped.algorithm.parameters {
                let curve = parameters.decode_as().map_err(|_| TlsError::NoCurve)?;
                key.parameters = Some(EcParameters::NamedCurve(curve));
            }
            if key.parameters.is_none() {
                return Err(TlsError::NoCurve);
            }
            key.public_key = key.public_key.or(wrapped.public_key.and_then(|bits| bits.as_bytes()));
            let length = key.encoded_len().ok().and_then(|length| usize::try_from(length).ok());
            let mut buffer = Zeroizing::new(vec![0_u8; length.ok_or(TlsError::BrokenKey)?]);
            let der = key.encode_to_slice(&mut buffer).map_err(|_| TlsError::BrokenKey)?;
            Ok(encoded(EC_PRIVATE_KEY, der))
        }
        _ => Err(TlsError::UnsupportedKey),
    }
}

fn encoded(label: &str, der: &[u8]) -> SecretBytes {
    secret(pem::encode(label, &Headers::new(), der))
}

/// The same buffer, not a copy.
fn secret(mut bytes: Zeroizing<Vec<u8>>) -> SecretBytes {
    SecretBytes::new(std::mem::take(&mut *bytes))
}

/// True for a private key of any kind, and not for the parameters that some tools write beside it.
fn is_private_key(block: &Block<'_>) -> bool {
    block.label() == PRIVATE_KEY || block.label().ends_with(b" PRIVATE KEY")
}

fn is_encrypted(block: &Block<'_>) -> bool {
    let is_marked = |value: &[u8]| value.ends_with(b"ENCRYPTED");
    block.label() == ENCRYPTED_PRIVATE_KEY
        || block.headers().get(pem::PROC_TYPE).is_some_and(|value| is_marked(value))
}

/// True when a file begins as a PKCS#12 archive does: a sequence, whatever its length is, of which version 3 is the
/// first element.
fn is_pkcs12(file: &[u8]) -> bool {
    let Some((0x30, rest)) = file.split_first().map(|(tag, rest)| (*tag, rest)) else {
        return false;
    };
    let Some((&length, rest)) = rest.split_first() else {
        return false;
    };
    // The upper bit says that this many bytes of length follow; none, that the sequence has an end mark.
    let more = if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) };
    rest.get(more..).is_some_and(|content| content.starts_with(&[0x02, 0x01, 0x03]))
}

/// Why a file gives no certificates or no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// A certificate's block has no end or is not base64.
    BrokenCertificate {
        /// Which one of the file's certificates, from one.
        position: usize,
    },
    /// The private key's block has no end, is not base64, or holds no key.
    BrokenKey,
    /// The private key is encrypted.
    EncryptedKey,
    /// The file has no block of a certificate.
    NoCertificate,
    /// The private key is of an elliptic curve and does not name it.
    NoCurve,
    /// The file has no block of a private key.
    NoPrivateKey,
    /// The file is a PKCS#12 archive.
    Pkcs12,
    /// The private key is of a kind without a traditional notation.
    UnsupportedKey,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsError::BrokenCertificate { position } => {
                return write!(f, "certificate {position} of the file is damaged: it does not end or is not base64");
            }
            TlsError::BrokenKey => {
                "the private key is damaged, or in none of the notations PKCS#1, PKCS#8 and SEC1"
            }
            TlsError::EncryptedKey => {
                "the private key is encrypted, and there is no password to be had: have the provider deliver it \
                 unencrypted"
            }
            TlsError::NoCertificate => "the file has no certificate in PEM",
            TlsError::NoCurve => "the private key does not name its elliptic curve",
            TlsError::NoPrivateKey => "the file has no private key in PEM",
            TlsError::Pkcs12 => {
                "the file is a PKCS#12 archive, and those are not read: have the provider deliver PEM"
            }
            TlsError::UnsupportedKey => {
                "unknown private key type found while getting key. Only rsa and ecdsa are supported"
            }
        })
    }
}

impl std::error::Error for TlsError {}

const CERTIFICATE: &str = "CERTIFICATE";
const RSA_PRIVATE_KEY: &str = "RSA PRIVATE KEY";
const EC_PRIVATE_KEY: &str = "EC PRIVATE KEY";
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY";
const ENCRYPTED_PRIVATE_KEY: &[u8] = b"ENCRYPTED PRIVATE KEY";

#[cfg(test)]
mod tests;
