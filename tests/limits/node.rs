//! The node that is attacked: the driver with its flags and its memory as they are shipped, an honest provider, and
//! neighbours.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rpc::pb::provider as pb;
use rpc::status::Status;
use serde_json::json;

use crate::group::{Group, SHIPPED_BYTES, Sight};
use crate::neighbour::{Neighbours, Seen};
use crate::table::Report;
use kit::driver::{DriverProcess, program};
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World};

/// The node.
pub struct Node {
    // Before the world, so that nothing serves into a directory that is being removed.
    pub provider: ScriptedProvider,
    pub world: World,
    // After the world, with which the driver ends.
    group: Group,
    sight: Sight,
    name: String,
    limit_bytes: u64,
    before: Seen,
    /// What the neighbours saw until a restart, which is an outage of its own.
    until_restart: Seen,
    neighbours: Option<Neighbours>,
}

impl Node {
    /// A node at peace whose neighbours have been watched for a while, and are from now on.
    pub fn start(name: &str) -> Node {
        Node::start_with(name, SHIPPED_BYTES, &[])
    }

    /// The same where the driver's container sees so much of the control groups.
    pub fn start_seeing(name: &str, sight: Sight) -> Node {
        Node::make(name, SHIPPED_BYTES, &[], sight)
    }

    /// The same with another limit of memory, in bytes, and further flags.
    pub fn start_with(name: &str, limit_bytes: u64, flags: &[&str]) -> Node {
        Node::make(name, limit_bytes, flags, Sight::Node)
    }

    fn make(name: &str, limit_bytes: u64, flags: &[&str], sight: Sight) -> Node {
        let mut world = World::without_driver(&[ALWAYS, flags].concat());
        let mut group = Group::make(name, limit_bytes).expect("groups can be made here");
        spawn(&mut world, &mut group, sight);
        let provider = world.provider("honest", |request| Ok(sized(&request, 0)));
        world.class("small", "honest", json!({"bytes": "100"}));
        let neighbours = Neighbours::start(&world, "small");
        thread::sleep(PEACE);
        let before = neighbours.stop();
        assert!(before.failures.is_empty(), "in peace: {:?}", before.failures);
        let neighbours = Some(Neighbours::start(&world, "small"));
        Node {
            provider,
            world,
            group,
            sight,
            name: name.to_owned(),
            limit_bytes,
            before,
            until_restart: Seen::default(),
            neighbours,
        }
    }

    /// Kills the driver and starts it in a new container of the same pod, as kubelet does.
    pub fn restart(&mut self) {
        self.pause();
        drop(self.world.take_driver().kill());
        self.go_on();
    }

    /// Stops the driver in good order and starts it in a new container of the same pod.
    pub fn restart_in_order(&mut self) {
        self.pause();
        self.world.take_driver().terminate();
        self.go_on();
    }

    /// Deletes the driver's pod and starts it in a new one.
    pub fn replace_pod(&mut self) {
        self.pause();
        self.world.take_driver().terminate();
        self.group = Group::make(&self.name, self.limit_bytes).expect("groups can be made here");
        self.go_on();
    }

    fn pause(&mut self) {
        let seen = self.neighbours.take().expect("they are watched").stop();
        self.until_restart.add(seen);
    }

    fn go_on(&mut self) {
        spawn(&mut self.world, &mut self.group, self.sight);
        self.neighbours = Some(Neighbours::start(&self.world, "small"));
    }

    /// The memory that the pod has now, in MiB.
    pub fn usage_mib(&self) -> u64 {
        self.group.usage_mib()
    }

    /// Publishes all of these at once, and answers what became of each.
    pub fn publish_all(&self, pods: &[Pod]) -> Vec<Result<(), Status>> {
        thread::scope(|scope| {
            let calls: Vec<_> =
                pods.iter().map(|pod| scope.spawn(|| self.world.kubelet.publish(pod))).collect();
            calls.into_iter().map(|call| call.join().expect("a call does not panic")).collect()
        })
    }

    /// The driver lives, the kernel had nothing to end, and the neighbours hardly noticed: what the table says of it.
    pub fn report(self, came_of_it: String) -> Report {
        self.report_within(LONGEST, came_of_it)
    }

    /// The same where a neighbour may have waited for so long.
    pub fn report_within(mut self, patience: Duration, came_of_it: String) -> Report {
        let mut meanwhile = self.neighbours.take().expect("they are watched").stop();
        meanwhile.add(std::mem::take(&mut self.until_restart));
        let peak_mib = self.group.peak_mib();
        assert_eq!(self.world.kubelet.probe(), Ok(true), "the driver is gone: {}", self.world.driver().log());
        assert!(meanwhile.failures.is_empty(), "neighbours were told: {:?}", meanwhile.failures);
        let longest = meanwhile.percentile(100);
        assert!(longest < patience, "a neighbour waited for {longest:?}");
        let before = std::mem::take(&mut self.before);
        Report { peak_mib, before, meanwhile, came_of_it }
    }
}

fn spawn(world: &mut World, group: &mut Group, sight: Sight) {
    let mut command = group.container(sight);
    command.push(program("secrets-store-csi-driver").display().to_string());
    command.extend(world.arguments());
    world.start_driver_as(DriverProcess::spawn(Path::new(&command[0]), &command[1..]));
    if sight == Sight::Container {
        group.show_again();
    }
}

/// An answer of the size that the class names, whose content is of this round.
pub fn sized(request: &pb::MountRequest, round: u8) -> pb::MountResponse {
    let attributes: serde_json::Value =
        serde_json::from_str(&request.attributes).expect("attributes are JSON");
    let bytes =
        attributes["bytes"].as_str().and_then(|text| text.parse().ok()).expect("a class names its size");
    let content = vec![b'a' + round; bytes];
    answer(&round.to_string(), &[("secret", 0o644, &content)])
}

/// As the manifests have it, where a test needs nothing else.
const ALWAYS: &[&str] = &["--enable-secret-rotation=true", "--rotation-poll-interval=1s"];
/// How long the neighbours are watched before anything happens.
const PEACE: Duration = Duration::from_millis(1500);
/// No neighbour may wait for longer, but where an attack says so.
const LONGEST: Duration = Duration::from_secs(1);
