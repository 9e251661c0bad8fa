//! What held and what did not: shown as it comes, and counted.

/// Counts what held and what did not.
#[derive(Default)]
pub struct Verdicts {
    passed: u64,
    failed: u64,
}

impl Verdicts {
    /// An expectation; what is in the way of it is shown.
    pub fn check(&mut self, expected: &str, faults: impl IntoIterator<Item = String>) {
        let faults: Vec<String> = faults.into_iter().collect();
        if faults.is_empty() {
            self.passed += 1;
            println!("  ok      {expected}");
            return;
        }
        self.failed += 1;
        println!("  FAILED  {expected}");
        for fault in faults.iter().take(MOST_FAULTS) {
            println!("          {fault}");
        }
    }

    /// Many of a kind, which have been shown in another way.
    pub fn add(&mut self, passed: u64, failed: u64) {
        self.passed += passed;
        self.failed += failed;
    }

    /// The closing line. True when nothing failed.
    pub fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

const MOST_FAULTS: usize = 20;
