//! What deploy/ has a cluster apply, read from the files as they are.

use std::path::Path;

use serde_json::Value;

use kit::yaml;

/// Every object that is installed with all features: what `kubectl apply -k deploy` applies, and the role for Secrets.
pub fn shipped() -> Vec<Value> {
    let [kustomization] = &shipped_in("kustomization.yaml")[..] else { panic!("one document") };
    let files = kustomization["resources"].as_array().expect("it has resources");
    let files = files.iter().map(|file| file.as_str().expect("names of files"));
    files.chain([SYNC]).flat_map(shipped_in).collect()
}

/// The objects of one file of deploy/.
pub fn shipped_in(name: &str) -> Vec<Value> {
    yaml::read(&Path::new(DEPLOY).join(name))
}

/// What not everybody installs.
const SYNC: &str = "rbac-secretprovidersyncing.yaml";
/// The directory of the manifests.
pub const DEPLOY: &str = kit::in_repository!("/deploy");
