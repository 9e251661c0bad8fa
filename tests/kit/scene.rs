//! The most common world: one pod `web` that uses one class `db` of one scripted provider `test`.

use rpc::pb::provider as pb;
use rpc::status::Status;
use serde_json::json;

use super::eventually;
use super::provider::{ScriptedProvider, answer};
use super::world::{Pod, World};

/// The world and its one pod, provider and class.
pub struct Scene {
    /// The provider. Before the world, so that nothing serves into a directory that is being removed.
    pub provider: ScriptedProvider,
    /// The node.
    pub world: World,
    /// The pod.
    pub pod: Pod,
}

/// A change of a scene, as a row of a table.
pub type Stage = fn(&Scene);

impl Scene {
    /// A node whose provider answers `password` with the content `old`, version `v1`.
    pub fn start(flags: &[&str]) -> Scene {
        Scene::scripted(flags, |_| Ok(old()))
    }

    /// A node whose provider answers as scripted.
    pub fn scripted(
        flags: &[&str],
        script: impl Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync + 'static,
    ) -> Scene {
        let world = World::start(flags);
        let provider = world.provider("test", script);
        let pod = world.pod("web", "db");
        let scene = Scene { provider, world, pod };
        scene.mend();
        scene
    }

    /// The same, with the pod's volume published.
    pub fn published(flags: &[&str]) -> Scene {
        let scene = Scene::start(flags);
        scene.publish();
        scene
    }

    /// Publishes the pod's volume, which has to succeed.
    pub fn publish(&self) {
        let outcome = self.world.kubelet.publish(&self.pod);
        outcome.unwrap_or_else(|status| panic!("{status}, log:\n{}", self.world.driver().log()));
    }

    /// From now on the provider answers with this response.
    pub fn answer_with(&self, response: pb::MountResponse) {
        self.provider.script(move |_| Ok(response.clone()));
    }

    /// Puts class and API server right, whatever a test did to them.
    pub fn mend(&self) {
        self.world.api.clear_faults();
        self.world.class("db", "test", json!({"objects": "some"}));
    }

    /// Waits until the volume is gone without a trace: what a call does after its caller gave up.
    pub fn wait_until_nothing_is_left(&self) {
        eventually("nothing is left of the volume", || {
            !self.pod.is_mounted() && std::fs::symlink_metadata(&self.pod.target).is_err()
        });
    }
}

/// What the provider of a [`Scene`] answers at first.
pub fn old() -> pb::MountResponse {
    answer("v1", &[("password", 0, b"old")])
}

/// What it answers after the secret has changed.
pub fn new() -> pb::MountResponse {
    answer("v2", &[("password", 0, b"new")])
}

/// Refresh at every call of kubelet's.
pub const ALWAYS: [&str; 2] = ["--enable-secret-rotation", "--rotation-poll-interval=-1m"];
/// Refresh after an hour (up to a tenth more).
pub const HOURLY: [&str; 2] = ["--enable-secret-rotation", "--rotation-poll-interval=1h"];
