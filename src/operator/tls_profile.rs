//! OpenShift's TLS profiles: which version and which ciphers the servers of a cluster should speak. Pure tables.

use serde_json::Value;

/// A profile, with the names that Go and the TLS standard have for ciphers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProfile {
    /// The lowest version, such as `VersionTLS12`.
    pub min_version: String,
    /// The ciphers, in order of preference.
    pub ciphers: Vec<String>,
}

/// A profile of one's own that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyCustomProfile;

impl TlsProfile {
    /// Reads `spec.tlsSecurityProfile` of an APIServer object. None, an empty type and an unknown one are Intermediate.
    ///
    /// # Errors
    /// [`EmptyCustomProfile`].
    pub fn read(api_server: Option<&Value>) -> Result<TlsProfile, EmptyCustomProfile> {
        let profile = api_server.and_then(|object| object.pointer("/spec/tlsSecurityProfile"));
        let kind = profile.and_then(|profile| profile.get("type")?.as_str()).unwrap_or_default();
        match kind {
            "Old" => Ok(named("VersionTLS10", &[MODERN, INTERMEDIATE, OLD])),
            "Modern" => Ok(named("VersionTLS13", &[MODERN])),
            "Custom" => {
                let custom = profile.and_then(|profile| profile.get("custom")).ok_or(EmptyCustomProfile)?;
                let own = custom.get("ciphers").and_then(Value::as_array).into_iter().flatten();
                let ciphers = own.filter_map(Value::as_str).filter_map(standard_name);
                let version = custom.get("minTLSVersion").and_then(Value::as_str);
                Ok(TlsProfile {
                    min_version: version.unwrap_or("VersionTLS12").to_owned(),
                    ciphers: ciphers.map(str::to_owned).collect(),
                })
            }
            _ => Ok(TlsProfile::intermediate()),
        }
    }

    /// What holds where nobody says otherwise.
    pub fn intermediate() -> TlsProfile {
        named("VersionTLS12", &[MODERN, INTERMEDIATE])
    }
}

fn named(min_version: &str, parts: &[&[(&str, &str)]]) -> TlsProfile {
    let ciphers = parts.iter().flat_map(|part| part.iter()).map(|(_, name)| (*name).to_owned());
    TlsProfile { min_version: min_version.to_owned(), ciphers: ciphers.collect() }
}

/// The standard's name for a cipher that goes by OpenSSL's.
fn standard_name(openssl: &str) -> Option<&'static str> {
    let all = [MODERN, INTERMEDIATE, OLD];
    let mut all = all.iter().flat_map(|part| part.iter());
    all.find(|(name, _)| *name == openssl).map(|(_, standard)| *standard)
}

const MODERN: &[(&str, &str)] = &[
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
];
const INTERMEDIATE: &[(&str, &str)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];
/// Those that Go knows; the others of the profile have no name there and are left out.
const OLD: &[(&str, &str)] = &[
    ("ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    ("ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    ("ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    ("ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    ("ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    ("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    ("AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    ("AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
    ("DES-CBC3-SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(profile: &Value) -> Result<(String, usize), EmptyCustomProfile> {
        let object = json!({"spec": {"tlsSecurityProfile": profile}});
        TlsProfile::read(Some(&object)).map(|profile| (profile.min_version, profile.ciphers.len()))
    }

    #[test]
    fn each_profile_is_its_table_and_what_is_not_known_is_intermediate() {
        let intermediate = Ok(("VersionTLS12".to_owned(), 9));
        assert_eq!(TlsProfile::read(None), Ok(TlsProfile::intermediate()));
        let rows = [
            (Value::Null, intermediate.clone()),
            (json!({}), intermediate.clone()),
            (json!({"type": ""}), intermediate.clone()),
            (json!({"type": "Intermediate"}), intermediate.clone()),
            (json!({"type": "Ancient"}), intermediate),
            (json!({"type": "Old"}), Ok(("VersionTLS10".to_owned(), 21))),
            (json!({"type": "Modern"}), Ok(("VersionTLS13".to_owned(), 3))),
            (json!({"type": "Custom"}), Err(EmptyCustomProfile)),
            (
                json!({"type": "Custom", "custom": {
                    "minTLSVersion": "VersionTLS11", "ciphers": ["AES128-SHA", "NO-SUCH-CIPHER"],
                }}),
                Ok(("VersionTLS11".to_owned(), 1)),
            ),
        ];
        for (profile, expected) in rows {
            assert_eq!(read(&profile), expected, "{profile}");
        }
    }

    #[test]
    fn no_cipher_is_in_two_tables() {
        let mut all: Vec<&str> = [MODERN, INTERMEDIATE, OLD].concat().iter().map(|(name, _)| *name).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
