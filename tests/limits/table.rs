//! The outcome as a table for people.

use crate::neighbour::Seen;

/// One attack.
pub struct Row {
    /// What it was.
    pub name: &'static str,
    /// What it did, or what it should not have done.
    pub outcome: Result<Report, String>,
}

/// What an attack that failed to harm showed.
pub struct Report {
    /// The most memory that the driver's pod had, in MiB, where the kernel tells.
    pub peak_mib: Option<u64>,
    /// The neighbours before it.
    pub before: Seen,
    /// The neighbours meanwhile.
    pub meanwhile: Seen,
    /// What became of it.
    pub came_of_it: String,
}

/// The whole table.
pub fn render(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<44} {:>8} {:>24} {:>24}   {}\n",
        "attack", "peak", "others before: p50 p99", "meanwhile: p50 p99 max", "what came of it"
    );
    for Row { name, outcome } in rows {
        match outcome {
            Ok(report) => {
                let milli = |seen: &Seen, of_hundred| seen.percentile(of_hundred).as_secs_f64() * 1000.0;
                let (before, meanwhile) = (&report.before, &report.meanwhile);
                let before = format!("{:.1} {:.1} ms", milli(before, 50), milli(before, 99));
                let during = format!(
                    "{:.1} {:.1} {:.0} ms",
                    milli(meanwhile, 50),
                    milli(meanwhile, 99),
                    milli(meanwhile, 100)
                );
                let peak = report.peak_mib.map_or_else(|| "-".to_owned(), |peak| format!("{peak} MiB"));
                out.push_str(&format!(
                    "{name:<44} {peak:>8} {before:>24} {during:>24}   {}\n",
                    report.came_of_it
                ));
            }
            Err(why) => out.push_str(&format!("{name}\n    FAILED: {why}\n")),
        }
    }
    out
}
