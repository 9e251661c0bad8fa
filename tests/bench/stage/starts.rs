//! How fast the driver is there.

use crate::load::Latencies;
use crate::report::{Aim, Report, millis};

use super::Stage;

impl Stage {
    /// From starting the process to the first answer on its socket.
    pub fn starts(&mut self, report: &mut Report) {
        self.say("starting the driver twenty times");
        let mut times = Latencies::default();
        for _ in 0..STARTS {
            // A leftover could be taken for the new one.
            drop(std::fs::remove_file(self.socket()));
            let driver = times.time(|| self.start_and_probe());
            driver.kill();
        }
        report.section("start");
        report.latency("start to first answered probe", &times);
        let median = millis(times.percentile(50));
        report.figure("start to ready, median of 20", median, "ms", Some(Aim::AtMost(50.0)));
    }
}

const STARTS: usize = 20;
