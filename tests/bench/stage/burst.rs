//! A node that comes back with all of its pods.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::process::Snapshot;
use crate::report::{Aim, Report, millis};
use kit::kubelet::Kubelet;

use super::{PODS, Stage};

impl Stage {
    /// 110 pods at once, from the start of the driver until the last of them is ready. Kubelet has a connection for
    /// each call.
    pub fn burst(&mut self, report: &mut Report) {
        self.restart("110 pods at once, after another start of the driver");
        self.stop();
        let pods = self.pods("burst", PODS);
        let together = Barrier::new(PODS + 1);
        let begun = Instant::now();
        let driver = self.start_and_probe();
        let ready = begun.elapsed();
        let (socket, environment, together) = (self.socket(), &self.world.environment, &together);
        thread::scope(|scope| {
            let socket = &socket;
            for pod in &pods {
                scope.spawn(move || {
                    together.wait();
                    Kubelet::new(environment, socket).publish(pod).expect("it publishes");
                });
            }
            together.wait();
        });
        let took = begun.elapsed();
        report.section("110 pods at once");
        let aim = Some(Aim::AtMost(500.0));
        report.figure("start of the driver until the last of 110 is ready", millis(took), "ms", aim);
        report.figure("of it, until the driver was ready", millis(ready), "ms", None);
        let right_after = Snapshot::of(driver.id());
        self.world.start_driver_as(driver);
        let settled = self.settled();
        report.snapshot("right after the burst", right_after, None);
        report.snapshot("110 volumes live after the burst", settled, Some(self.build.full_node()));
        self.unpublish_all(&pods);
    }
}
