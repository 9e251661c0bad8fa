//! Sockets that somebody other than the provider may have placed: the pod does not start, and its event says why.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use rpc::status::Code;

use kit::eventually;
use kit::objects::objects;
use kit::provider::{ForeignProvider, ScriptedProvider, answer};
use kit::world::World;

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

fn give_directory_away(world: &World) {
    chown(world.providers(), Some(3000), None).unwrap();
}

fn replace_by_link(world: &World) {
    fs::rename(world.providers().join("test.sock"), world.path("real.sock")).unwrap();
    symlink(world.path("real.sock"), world.providers().join("test.sock")).unwrap();
}

#[test]
fn a_socket_that_somebody_else_may_have_placed_is_not_called() {
    type Tamper = fn(&World);
    let rows: [(&str, Tamper); 4] = [
        ("belongs to uid 1000", give_socket_away),
        ("the directory belongs to uid 3000", give_directory_away),
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

/// The arguments of upstream's DaemonSet beyond those of which the world has its own, with upstream's values. None is
/// a flag of ours.
const UPSTREAM: [&str; 5] = [
    "--enable-secret-rotation=false",
    "--rotation-poll-interval=2m",
    "--provider-health-check=false",
    "--provider-health-check-interval=2m",
    "-v=0",
];

/// A node with upstream's arguments and our image, and its directory of providers given to a uid.
fn upstreams_node(owner: u32) -> World {
    let mut world = World::without_driver(&UPSTREAM);
    world.leave_out("--kubelet-pods-dir");
    // The way to the directory, which is /var/run on a node.
    fs::set_permissions(world.path(""), Permissions::from_mode(0o711)).unwrap();
    chown(world.providers(), Some(owner), Some(owner)).unwrap();
    world.start_driver();
    world
}

#[test]
fn with_upstreams_arguments_the_known_deployments_of_other_uids_serve_beside_those_of_root() {
    for (name, uid) in [("vault", 65532), ("conjur", 1000), ("gcp", 1000)] {
        let world = upstreams_node(uid);
        let _foreign = ForeignProvider::start(&world.providers(), name, uid, &world.path("provider"));
        let script = |_| Ok(answer("v1", &[("password", 0, b"of root")]));
        let _root = world.provider("aws", script);
        world.class("foreign", name, objects(&["foo"]));
        world.class("root", "aws", objects(&["password"]));
        let pods = ["foreign", "root"].map(|class| world.pod(class, class));
        for pod in &pods {
            world.kubelet.publish(pod).unwrap_or_else(|status| panic!("{name}: {status}"));
        }
        assert_eq!(
            (pods[0].read("foo"), pods[1].read("password")),
            ("secret".to_owned(), "of root".to_owned())
        );
        assert_eq!(world.driver().count_log("must not be called"), 0, "{}", world.driver().log());
    }
}

#[test]
fn root_may_be_behind_a_known_name_in_a_directory_of_its_uid() {
    // As GCP's provider before v1.5, whose directory a later one has chowned.
    let world = upstreams_node(1000);
    let _provider = world.provider("gcp", |_| Ok(answer("v1", &[("password", 0, b"x")])));
    world.class("db", "gcp", objects(&["password"]));
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();
    chown(world.providers().join("gcp.sock"), Some(1000), None).unwrap();
    let other = world.pod("other", "db");
    world.kubelet.publish(&other).unwrap();
}

#[test]
fn with_upstreams_arguments_a_uid_that_nobody_knows_is_told_and_not_called() {
    let world = upstreams_node(2000);
    let _foreign = ForeignProvider::start(&world.providers(), "own", 2000, &world.path("provider"));
    world.class("db", "own", objects(&["foo"]));
    let pod = world.pod("web", "db");
    let status = world.kubelet.publish(&pod).unwrap_err();
    assert!(status.message.contains("the directory belongs to uid 2000"), "{status}");
    eventually("the pod's owner is told", || world.api.events_for("web").len() == 1);
    let message = world.api.events_for("web")[0]["message"].to_string();
    assert!(message.contains("--provider-socket-owners"), "{message}");
}

#[test]
fn a_named_uid_takes_the_place_of_its_own_default_and_leaves_the_others() {
    let serve = |flags: &[&str], name: &str, uid: u32| {
        let mut world = World::without_driver(flags);
        fs::set_permissions(world.path(""), Permissions::from_mode(0o711)).unwrap();
        chown(world.providers(), Some(uid), Some(uid)).unwrap();
        world.start_driver();
        let _provider = ForeignProvider::start(&world.providers(), name, uid, &world.path("provider"));
        world.class("db", name, objects(&["foo"]));
        world.kubelet.publish(&world.pod("web", "db")).map_err(|status| status.message)
    };
    serve(&["--provider-socket-owners=own=2000"], "own", 2000).unwrap();
    serve(&["--provider-socket-owners=own=2000"], "vault", 65532).unwrap();
    let alone = serve(&["--provider-socket-owners=gcp=0,own=1000"], "gcp", 1000).unwrap_err();
    assert!(alone.contains("the socket belongs to uid 1000, not to 0:"), "{alone}");
    let moved = serve(&["--provider-socket-owners=vault=2000,own=65532"], "vault", 65532).unwrap_err();
    assert!(moved.contains("the socket belongs to uid 65532, not to 2000:"), "{moved}");
}

#[test]
fn a_socket_of_another_known_uid_is_refused_and_the_message_names_both() {
    let world = upstreams_node(1000);
    let _foreign = ForeignProvider::start(&world.providers(), "vault", 1000, &world.path("provider"));
    world.class("db", "vault", objects(&["foo"]));
    let status = world.kubelet.publish(&world.pod("web", "db")).unwrap_err();
    assert!(status.message.contains("the socket belongs to uid 1000, not to 0 or 65532:"), "{status}");
}
