//! The driver's bearer token, as kubelet keeps it in a file of the driver's pod.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::access::SERVICE_ACCOUNT;
use e2e::admin::Admin;
use e2e::kinds;

/// The file, and what the token in it depends on.
pub struct DriverToken {
    file: PathBuf,
    /// Every token is bound to a Secret of its own, and is worth nothing any more once that is deleted.
    issued: u32,
    current: Option<Issued>,
}

/// A token that was issued.
pub struct Issued {
    /// The token.
    pub token: String,
    /// The Secret that it is bound to.
    secret: String,
}

impl DriverToken {
    /// Nothing is in the file yet.
    pub fn in_file(file: PathBuf) -> DriverToken {
        DriverToken { file, issued: 0, current: None }
    }

    /// Path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The token in the file.
    pub fn current(&self) -> Option<&Issued> {
        self.current.as_ref()
    }

    /// Puts a new token into the file; returns the one that was there, which stays valid.
    pub fn renew(&mut self, admin: &Admin) -> Option<Issued> {
        let issued = self.issue(admin);
        self.write(&issued.token);
        self.current.replace(issued)
    }

    /// A new token, which is in no file.
    pub fn issue(&mut self, admin: &Admin) -> Issued {
        self.issued += 1;
        let [namespace, account] = SERVICE_ACCOUNT;
        let secret = format!("driver-token-{}", self.issued);
        let bound = admin.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": secret},
        }));
        let uid = &bound["metadata"]["uid"];
        let reference = json!({"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": uid});
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": reference},
        });
        let path = format!("{}/token", kinds::core(namespace, "serviceaccounts", account));
        let answer = admin.post(&path, &request);
        let token = answer["status"]["token"].as_str().expect("the API server issues tokens").to_owned();
        Issued { token, secret }
    }

    /// Replaces the file as kubelet does, so that nobody reads half of it.
    fn write(&self, token: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, token).expect("the directory takes files");
        std::fs::rename(&new, &self.file).expect("a file can be renamed");
    }
}

impl Issued {
    /// Makes the API server refuse it, which takes effect within some seconds.
    pub fn revoke(&self, admin: &Admin) {
        admin.delete(&kinds::core(SERVICE_ACCOUNT[0], "secrets", &self.secret));
    }
}
