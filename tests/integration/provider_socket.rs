//! Sockets that somebody other than the provider may have placed: the pod does not start, and its event says why.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use secrets_store_csi_driver::rpc::status::Code;

use crate::support::objects::objects;
use crate::support::provider::{ScriptedProvider, answer};
use crate::support::world::World;

/// A node with a provider, and with flags, after something was done to the provider's place.
fn publish_after(flags: &[&str], tamper: impl Fn(&World)) -> (Result<(), (Code, String)>, World) {
    let world = World::start(flags);
    let script = |_| Ok(answer("v1", &[("password", 0, b"x")]));
    let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", script);
    world.class("db", "test", objects(&["password"]));
    tamper(&world);
    let pod = world.pod("web", "db");
    let outcome = world.kubelet.publish(&pod).map(drop).map_err(|status| (status.code, status.message));
    assert_eq!(pod.target.join("password").exists(), outcome.is_ok());
    drop(provider);
    (outcome, world)
}

fn give_socket_away(world: &World) {
    chown(world.providers().join("test.sock"), Some(1000), None).unwrap();
}

fn open_directory(world: &World) {
    fs::set_permissions(world.providers(), Permissions::from_mode(0o777)).unwrap();
}

fn replace_by_link(world: &World) {
    fs::rename(world.providers().join("test.sock"), world.path("real.sock")).unwrap();
    symlink(world.path("real.sock"), world.providers().join("test.sock")).unwrap();
}

#[test]
fn a_socket_that_somebody_else_may_have_placed_is_not_called() {
    type Tamper = fn(&World);
    let rows: [(&str, Tamper); 3] = [
        ("belongs to uid 1000", give_socket_away),
        ("others than its owner can write", open_directory),
        ("a symlink", replace_by_link),
    ];
    for (why, tamper) in rows {
        let (outcome, world) = publish_after(&[], tamper);
        let (code, message) = outcome.unwrap_err();
        assert_eq!(code, Code::FailedPrecondition, "{message}");
        assert!(message.contains(why), "{message}");
        let refused = [("error_type", "ProviderSocketRefused")];
        assert_eq!(world.count("node_publish_error_total", &refused), 1.0, "{why}");

        for check in ["--provider-socket-check=warn", "--provider-socket-check=off"] {
            let (outcome, world) = publish_after(&[check], tamper);
            outcome.unwrap_or_else(|error| panic!("{check}: {error:?}"));
            let warnings = usize::from(check.ends_with("warn"));
            assert_eq!(world.driver().count_log(why), warnings, "{}", world.driver().log());
        }
    }
}

#[test]
fn the_uid_that_listens_has_to_be_the_one_that_was_pinned() {
    // The provider of the test runs as root, whatever its socket says.
    let pinned = ["--provider-socket-owners=test=1000"];
    let (outcome, _) = publish_after(&pinned, give_socket_away);
    let (_, message) = outcome.unwrap_err();
    assert!(message.contains("a process of uid 0 listens there, not one of 1000"), "{message}");
}
