//! What the driver asked of the API server in the whole run, compared with what the shipped roles let it ask.

mod roles;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

pub use e2e::audit::{Request, requests};
use e2e::permission::Permission;
pub use roles::SERVICE_ACCOUNT;

/// The comparison.
pub struct Report {
    /// For people: a line for each verb and resource.
    pub table: String,
    /// Requests that no role lets through.
    pub not_permitted: Vec<String>,
    /// What the roles permit and nobody has asked for.
    pub unused: Vec<String>,
}

/// Compares the audit log with the roles of deploy/.
pub fn compare(audit_log: &Path) -> Report {
    let permissions = roles::of_driver();
    let mut counts: BTreeMap<Permission, Count> = BTreeMap::new();
    for permission in &permissions {
        counts.insert(permission.clone(), Count::default());
    }
    for request in requests(audit_log) {
        let count = counts.entry(request.permission()).or_default();
        count.all += 1;
        match request.code {
            403 => count.forbidden += 1,
            429 => count.throttled += 1,
            _ => {}
        }
    }
    let mut report = Report { table: String::new(), not_permitted: Vec::new(), unused: Vec::new() };
    for (asked, count) in &counts {
        let is_permitted = permissions.contains(asked) || asked.is_for_everybody();
        let mark = match (is_permitted, count.all) {
            (false, _) => {
                report.not_permitted.push(asked.to_string());
                "  <- in no role"
            }
            (true, 0) => {
                report.unused.push(asked.to_string());
                "  <- never used"
            }
            _ if asked.is_for_everybody() => "  (open to every account)",
            _ => "",
        };
        let Count { all, forbidden, throttled } = count;
        writeln!(report.table, "   {asked:<64} {all:>6} {forbidden:>9} {throttled:>9}{mark}")
            .expect("a text grows");
    }
    let [what, all, forbidden, throttled] = ["verb and resource", "asked", "forbidden", "throttled"];
    report.table = format!("   {what:<64} {all:>6} {forbidden:>9} {throttled:>9}\n{}", report.table);
    report
}

#[derive(Default)]
struct Count {
    all: u32,
    forbidden: u32,
    throttled: u32,
}
