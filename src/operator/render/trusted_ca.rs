//! The ConfigMap that OpenShift's network operator fills with the authorities that the cluster trusts.
//!
//! The operator asks for the content by a label and never writes it. What is in it reaches the driver's container as a
//! file, and its digest is on the pods, so that other authorities are rolled out.

use serde_json::{Value, json};

use crate::digest;
use crate::identity::{TRUSTED_CA, TRUSTED_CA_KEY};

pub(super) fn object(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": TRUSTED_CA,
            "namespace": namespace,
            "labels": {"config.openshift.io/inject-trusted-cabundle": "true"},
        },
    })
}

/// Digest of the bundle in that ConfigMap; none where there is none yet.
pub(super) fn bundle_digest(config_map: &Value) -> Option<String> {
    let bundle = config_map.get("data")?.get(TRUSTED_CA_KEY)?.as_str()?;
    (!bundle.trim().is_empty()).then(|| digest::of_text(bundle))
}

/// The annotation that holds the digest, which depends on the namespace.
pub(super) fn annotation(namespace: &str) -> String {
    let of = format!("{namespace}.{TRUSTED_CA}.configmap");
    let plain = format!("{DEPENDENCY}{of}");
    if plain.len() <= LONGEST_KEY {
        return plain;
    }
    let mut hashed = format!("{DEPENDENCY}{}", digest::of_text(&of));
    hashed.truncate(LONGEST_KEY);
    hashed
}

const DEPENDENCY: &str = "operator.openshift.io/dep-";
/// What the OpenShift operator takes for the longest name of an annotation.
const LONGEST_KEY: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_is_the_one_that_the_openshift_operator_left() {
        assert_eq!(
            annotation("openshift-cluster-csi-drivers"),
            "operator.openshift.io/dep-bf84c74b4a7c1cfaaf2cfffd10a70c59d7723"
        );
    }

    #[test]
    fn a_bundle_counts_when_there_is_something_in_it() {
        let with = |data: Value| json!({"data": data});
        let rows = [
            ("none yet", json!({}), false),
            ("no data", with(json!({})), false),
            ("empty", with(json!({"ca-bundle.crt": "\n"})), false),
            ("another key", with(json!({"ca.crt": "x"})), false),
            ("a bundle", with(json!({"ca-bundle.crt": "x"})), true),
        ];
        for (name, map, expected) in rows {
            assert_eq!(bundle_digest(&map).is_some(), expected, "{name}");
        }
        let digest = |text: &str| bundle_digest(&with(json!({"ca-bundle.crt": text})));
        assert_ne!(digest("x"), digest("y"));
    }
}
