//! Keys, certificates and tokens of one run: made here, trusted nowhere else, gone afterwards.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The files that the programs read, and what the test itself needs of them.
pub struct Credentials {
    directory: PathBuf,
    /// The authority's certificate in PEM.
    pub authority: String,
    /// The token of the test's administrator.
    pub administrator: String,
}

impl Credentials {
    /// Writes everything into the directory.
    pub fn make(directory: &Path) -> Credentials {
        let authority = authority();
        let credentials = Credentials {
            directory: directory.to_owned(),
            authority: authority.pem(),
            // As unpredictable as a key, since it is one.
            administrator: KeyPair::generate()
                .expect("a key")
                .serialize_pem()
                .lines()
                .nth(1)
                .map_or_else(|| panic!("a key in PEM has lines"), |line| line.replace(['+', '/', '='], "-")),
        };
        credentials.write(AUTHORITY, &authority.pem());
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut server = CertificateParams::new(names).expect("legal names");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        credentials.sign("server", server, &authority);
        let mut client = CertificateParams::default();
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        client.distinguished_name.push(DnType::CommonName, "system:kube-controller-manager");
        credentials.sign("controller-manager", client, &authority);
        let signer = KeyPair::generate().expect("a key");
        credentials.write("service-accounts.key", &signer.serialize_pem());
        credentials.write("service-accounts.pub", &signer.public_key_pem());
        let tokens = format!("{},administrator,1,system:masters\n", credentials.administrator);
        credentials.write("tokens.csv", &tokens);
        credentials
    }

    /// Path of one of the files.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn sign(&self, name: &str, params: CertificateParams, authority: &CertifiedIssuer<'_, KeyPair>) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, authority).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "end-to-end tests");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Name of the authority's file.
pub const AUTHORITY: &str = "authority.crt";
