//! The first publish of a volume, and its end.

use crate::support::objects::objects;
use crate::support::provider::{ScriptedProvider, answer};
use crate::support::world::World;

#[test]
fn a_pod_gets_the_files_that_the_provider_answers_and_loses_them_with_its_volume() {
    let world = World::start(&[]);
    let _provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("password", 0, b"hunter2"), ("tls/key.pem", 0o400, b"key")]))
    });
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");

    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "hunter2");
    assert_eq!(pod.read("tls/key.pem"), "key");
    assert_eq!(pod.visible(), ["password", "tls"]);

    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());
    assert_eq!(world.mounts().len(), 0);
}
