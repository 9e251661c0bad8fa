//! What deploy/operator has a cluster apply, read from the files as they are.

use std::path::Path;

use serde_json::Value;

use crate::support::yaml;

/// The objects of one file of deploy/operator.
pub fn shipped_in(name: &str) -> Vec<Value> {
    yaml::read(&Path::new(OPERATOR).join(name))
}

/// The directory of the operator's manifests.
pub const OPERATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/operator");
/// The definition of the kind that the operator reads.
pub const DEFINITION: &str = "crd-clustercsidriver.yaml";
