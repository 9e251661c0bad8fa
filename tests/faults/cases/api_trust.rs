//! API servers whose certificate or the driver's token is not good, over TLS.

use rpc::status::Code;
use tempfile::TempDir;

use crate::node::{Node, Setup};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use api_server::{ApiServer, Settings};
use kit::world::Pod;

/// In the order of the table.
pub const CASES: [Case; 5] = [
    case("API server: certificate of a strange authority", strange_authority),
    case("API server: authority rotated, bundle replaced", rotated_authority),
    case("API server: expired certificate", expired_certificate),
    case("API server: expired token, none other in the file", expired_token),
    case("API server: expired token, a new one in the file", replaced_token),
];

/// A node whose API server speaks TLS and wants a token.
struct Trusting {
    node: Node,
    files: TempDir,
}

impl Trusting {
    fn start() -> Trusting {
        let files = tempfile::tempdir().expect("a temporary directory");
        let api = ApiServer::with(Settings { tls: true, token: Some("first".to_owned()) });
        let file = |name: &str| files.path().join(name).display().to_string();
        std::fs::write(file("ca.crt"), api.ca_pem()).unwrap();
        std::fs::write(file("token"), "first").unwrap();
        let flags =
            [format!("--kube-ca-file={}", file("ca.crt")), format!("--kube-token-file={}", file("token"))];
        let flags = flags.each_ref().map(String::as_str);
        let node = Node::with(Setup { flags: &flags, api: Some(api), ..Setup::default() });
        Trusting { node, files }
    }
}

/// Replaces a file in one step, as kubelet does.
fn replace(files: &TempDir, name: &str, content: &str) {
    let fresh = files.path().join("fresh");
    std::fs::write(&fresh, content).unwrap();
    std::fs::rename(fresh, files.path().join(name)).unwrap();
}

fn strange_authority() -> Sheet {
    let Trusting { mut node, files } = Trusting::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let good = std::fs::read_to_string(files.path().join("ca.crt")).unwrap();
    node.world.api.rotate_authority();
    let strange = node.world.api.ca_pem();
    assert_ne!(good, strange);
    distrusted(&mut node, &live, &fresh, "invalid peer certificate: BadSignature");
    replace(&files, "ca.crt", &strange);
    node.sheet.pod("the bundle is replaced;".to_owned());
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn rotated_authority() -> Sheet {
    let Trusting { mut node, files } = Trusting::start();
    node.world.api.rotate_authority();
    replace(&files, "ca.crt", &node.world.api.ca_pem());
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.close_connections();
    node.published(&fresh, "old");
    node.refreshed(&live, "old");
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn expired_certificate() -> Sheet {
    let Trusting { mut node, files: _files } = Trusting::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.let_certificate_expire();
    distrusted(&mut node, &live, &fresh, "expired");
    node.world.api.renew_certificate();
    node.sheet.pod("the certificate is renewed;".to_owned());
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn distrusted(node: &mut Node, live: &Pod, fresh: &Pod, words: &str) {
    node.world.api.close_connections();
    node.refused(fresh, Code::Unknown, words);
    // Not the class as it was last known: who answers is not whom the driver trusts.
    node.comes_to_keep(live, "old", words);
    node.rose_at_least(&[
        "api_requests_total{code=error,verb=get} +",
        "failing_volumes +1",
        "node_publish_error_total{error_type=SecretProviderClassNotFound,provider=} +2",
        "rotation_reconcile_error_total{error_type=SecretProviderClassNotFound,provider=} +1",
    ]);
}

fn expired_token() -> Sheet {
    let Trusting { mut node, files } = Trusting::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.set_token("second");
    node.world.api.close_connections();
    node.refused(&fresh, Code::Unknown, "Unauthorized");
    node.comes_to_keep(&live, "old", "Unauthorized");
    node.rose_at_least(&[
        "api_requests_total{code=401,verb=get} +",
        "failing_volumes +1",
        "node_publish_error_total{error_type=SecretProviderClassNotFound,provider=} +2",
        "rotation_reconcile_error_total{error_type=SecretProviderClassNotFound,provider=} +1",
    ]);
    replace(&files, "token", "second");
    node.sheet.pod("the file has the new token;".to_owned());
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn replaced_token() -> Sheet {
    let Trusting { mut node, files } = Trusting::start();
    node.world.api.set_token("second");
    replace(&files, "token", "second");
    let fresh = node.pod("web");
    node.published(&fresh, "old");
    node.rose(&["api_requests_total{code=401,verb=get} +1"]);
    node.recovers(&[&fresh]);
    node.end()
}
