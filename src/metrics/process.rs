//! What the kernel says about this process, under the names that every Prometheus client uses.
//!
//! It reads /proc by path, which nothing else in the metrics may do, and writes nothing. A file that cannot
//! be read or understood leaves its series out: a missing series is honest, a zero would not be.

#![expect(
    clippy::disallowed_methods,
    reason = "files of the kernel's own, where nobody else places anything"
)]

use std::fs;

/// One reading. `None` is a value that the kernel did not tell.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    /// Seconds since the Unix epoch.
    pub(super) start_time_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// Reads the current values.
    pub(super) fn read() -> Process {
        let stat = read("/proc/self/stat");
        let status = read("/proc/self/status");
        let boot = read("/proc/stat").as_deref().and_then(boot_time_seconds);
        let started = stat.as_deref().and_then(|text| ticks(text, START_TIME));
        Process {
            cpu_seconds: stat.as_deref().and_then(cpu_seconds),
            start_time_seconds: boot.zip(started).map(|(boot, started)| boot + started),
            resident_bytes: status.as_deref().and_then(|text| kibibytes(text, "VmRSS:")),
            virtual_bytes: status.as_deref().and_then(|text| kibibytes(text, "VmSize:")),
            threads: status.as_deref().and_then(|text| field(text, "Threads:")?.parse().ok()),
            open_fds: open_fds(),
            max_fds: read("/proc/self/limits").as_deref().and_then(max_fds),
        }
    }
}

fn read(path: &str) -> Option<String> {
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            log::debug!(path, error:%; "could not read process statistics");
            None
        }
    }
}

fn open_fds() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.filter(Result::is_ok).count();
    // The directory handle that lists them is itself one of them, and closed again by now.
    u64::try_from(entries).ok()?.checked_sub(1)
}

/// The value, in seconds, of a field of /proc/self/stat that counts clock ticks. `number` as in proc(5).
fn ticks(stat: &str, number: usize) -> Option<f64> {
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: f64 =
        after_name.split_ascii_whitespace().nth(number.checked_sub(FIRST_AFTER_NAME)?)?.parse().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some(ticks(stat, USER_TIME)? + ticks(stat, SYSTEM_TIME)?)
}

fn boot_time_seconds(stat: &str) -> Option<f64> {
    field(stat, "btime")?.parse().ok()
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    field(status, name)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The first word after `name` on the line that begins with it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()
}

/// Field numbers of /proc/self/stat, from proc(5).
const FIRST_AFTER_NAME: usize = 3;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const START_TIME: usize = 22;

/// USER_HZ, which Linux fixes at 100 on every architecture that this program is built for.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 17 0 123456 9000000 2000 18";

    #[test]
    fn times_are_read_past_a_name_with_parentheses() {
        assert_eq!(cpu_seconds(STAT), Some(2.0));
        assert_eq!(ticks(STAT, START_TIME), Some(1234.56));
    }

    #[test]
    fn text_that_is_not_understood_is_left_out() {
        for text in ["", "42 (a", "42 (a) S 1", "42 (a) S x x x x x x x x x x x x"] {
            assert_eq!(cpu_seconds(text), None, "{text}");
        }
        assert_eq!(kibibytes("VmRSS:\t lots kB", "VmRSS:"), None);
        assert_eq!(kibibytes("VmRSS:\t 18446744073709551615 kB", "VmRSS:"), None);
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files"),
            None
        );
    }

    #[test]
    fn fields_are_found_by_name() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t    8 kB\n", "VmRSS:"), Some(8192));
        assert_eq!(boot_time_seconds("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(max_fds("Limit Soft Hard\nMax open files            1024   524288  files\n"), Some(1024));
    }

    #[test]
    fn a_real_reading_is_plausible() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.threads.unwrap() >= 1);
        assert!(process.open_fds.unwrap() >= 1);
        assert!(process.start_time_seconds.unwrap() > 1_000_000_000.0);
        assert!(process.cpu_seconds.is_some());
    }
}
