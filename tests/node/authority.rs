//! Keys and certificates of one run: made here, trusted nowhere else, gone afterwards.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

use crate::control_plane::{NODE_ADDRESS, SERVICE_ADDRESS, URL};
use crate::node;

/// The directory of files that the programs read.
#[derive(Clone)]
pub struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// Writes everything into the directory.
    pub fn make(directory: &Path) -> Authority {
        let authority = Authority { directory: directory.to_owned() };
        let issuer = issuer();
        authority.write(CERTIFICATE, &issuer.pem());
        authority.certificate("server", "kube-apiserver", None, &issuer);
        let kubelet = format!("system:node:{}", node::NAME);
        for (name, user, group) in [
            (ADMINISTRATOR, "administrator", Some("system:masters")),
            ("controller-manager", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
            ("kubelet", &kubelet, Some("system:nodes")),
        ] {
            authority.certificate(name, user, group, &issuer);
            authority.client(name);
        }
        let signer = KeyPair::generate().expect("a key");
        authority.write("service-accounts.key", &signer.serialize_pem());
        authority.write("service-accounts.pub", &signer.public_key_pem());
        authority
    }

    /// Path of one of the files.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The file by which somebody finds the API server and is known to it.
    pub fn client_of(&self, name: &str) -> String {
        self.path(&format!("{name}.json"))
    }

    fn certificate(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
        issuer: &CertifiedIssuer<'_, KeyPair>,
    ) {
        let mut params = CertificateParams::default();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        let address = |text: &str| SanType::IpAddress(text.parse::<IpAddr>().expect("an address"));
        params.subject_alt_names = [NODE_ADDRESS, SERVICE_ADDRESS].map(address).into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn client(&self, name: &str) {
        let [certificate, key] = ["crt", "key"].map(|ending| self.path(&format!("{name}.{ending}")));
        // As JSON, which every reader of YAML reads.
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": URL, "certificate-authority": self.path(CERTIFICATE)}}],
            "users": [{"name": "u", "user": {"client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        self.write(&format!("{name}.json"), &content.to_string());
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "tests on a node");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Name of the authority's certificate.
pub const CERTIFICATE: &str = "authority.crt";
/// Who may do everything.
pub const ADMINISTRATOR: &str = "administrator";
