//! Digests that are written down on objects, to see later whether what was asked for has changed.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use serde_json::Value;

/// SHA-256 of the JSON with its keys in order, in hex. The function is the one that TLS hashes with, from the library
/// that is here for TLS; nothing secret depends on it.
pub fn of(value: &Value) -> String {
    // A map of this library is ordered by its keys.
    of_text(&value.to_string())
}

/// SHA-256 of the text, in hex.
pub fn of_text(text: &str) -> String {
    let hash = match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider.hash(text.as_bytes()),
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider.hash(text.as_bytes()),
    };
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(of_text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_order_in_which_fields_were_written_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[1,2]}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":[1,2],"a":1}"#).unwrap();
        assert_eq!(of(&one), of(&other));
        assert_ne!(of(&one), of(&json!({"a": 1, "b": [2, 1]})), "but that of a list does");
    }
}
