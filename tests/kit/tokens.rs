//! Service account tokens as kubelet sends them with a volume.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// The attribute, or the secret, that they come in.
pub const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The tokens of a pod of that uid, for one audience; the signature is any text of letters, digits, `-` and `_`.
pub fn bound_to(uid: &str, signature: &str) -> String {
    let claims = json!({"aud": ["aud1"], "kubernetes.io": {"namespace": "default", "pod": {"name": "web", "uid": uid}}});
    let token = format!("e30.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    json!({"aud1": {"token": token, "expirationTimestamp": "2030-01-01T00:00:00Z"}}).to_string()
}
