//! What the kernel shows of itself and of processes, in the files below `/proc` and `/sys`.
//!
//! They are the kernel's own, where nobody else places anything: paths to them lead nowhere else.

#![expect(clippy::disallowed_methods, reason = "the kernel's own files, where nobody else places anything")]

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::at::{SysError, io_error};

/// The content of such a file.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, SysError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| io_error("open", path, &error))?;
    let mut content = Vec::new();
    file.take(LARGEST_BYTES).read_to_end(&mut content).map_err(|error| io_error("read", path, &error))?;
    Ok(content)
}

/// The ids of all processes that can be seen from here.
pub fn processes() -> Result<Vec<u32>, SysError> {
    let failed = |error: std::io::Error| io_error("getdents", "/proc", &error);
    let mut ids = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(failed)? {
        ids.extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Memory of this process that is its own: no file's and shared with nobody. In bytes; 0 where the kernel does not tell.
pub fn anonymous_bytes() -> u64 {
    let text = read("/proc/self/status").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

/// The list of mounts of a node with some ten thousand of them is a few MiB.
const LARGEST_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_and_can_be_read_about() {
        let own = std::process::id();
        assert!(processes().unwrap().contains(&own));
        let line = read(format!("/proc/{own}/cmdline")).unwrap();
        assert!(line.ends_with(b"\0"));
    }

    #[test]
    fn memory_of_its_own_grows_with_what_a_process_holds() {
        let before = anonymous_bytes();
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(anonymous_bytes() > before + (48 << 20), "{before}");
        drop(held);
    }

    #[test]
    fn what_is_not_there_is_told_by_its_path() {
        let error = read("/proc/nothing/here").unwrap_err();
        assert!(error.is_not_found() && error.to_string().contains("/proc/nothing/here"), "{error}");
    }
}
