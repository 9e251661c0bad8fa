//! The list of mounts that the kernel shows in `/proc/self/mountinfo`: read at start, to find the volumes that an
//! earlier process left alive, by the mounter for what it has not mounted itself, and by the doctor. Format:
//! proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount, as far as this driver asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// The kernel's number of it, which it uses again for another one after this is gone.
    pub id: u64,
    /// Which directory of the file system it shows.
    pub root: PathBuf,
    /// Where it is mounted, as this process sees it.
    pub mount_point: PathBuf,
    /// Type of the file system.
    pub fs_type: String,
    /// Source, as given at the time of the mount.
    pub source: String,
    /// What is mounted below appears in other mount namespaces too.
    pub is_shared: bool,
}

/// Parses the text; a line that is not understood is left out, since one strange mount must not hide the rest.
pub fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    // id parent major:minor root MOUNT_POINT options [optional fields ...] - FS_TYPE SOURCE super_options
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let root = unescape(fields.nth(2)?);
    let mount_point = unescape(fields.next()?);
    let _options = fields.next()?;
    let mut is_shared = false;
    for field in fields.by_ref().take_while(|field| *field != b"-") {
        is_shared |= field.starts_with(b"shared:");
    }
    let mut rest = fields;
    let fs_type = String::from_utf8(rest.next()?.to_vec()).ok()?;
    let source = String::from_utf8(unescape(rest.next()?)).ok()?;
    let [root, mount_point] = [root, mount_point].map(|path| PathBuf::from(OsString::from_vec(path)));
    Some(MountEntry { id, root, mount_point, fs_type, source, is_shared })
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn mounts_are_found_with_and_without_optional_fields() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw\n\
                     70 36 0:44 / /var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/v/mount rw - tmpfs secrets-store-csi rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].fs_type, "ext3");
        assert_eq!(mounts[1].source, "secrets-store-csi");
        assert!(mounts[1].mount_point.ends_with("mount"));
        assert_eq!([mounts[0].is_shared, mounts[1].is_shared], [true, false]);
        assert_eq!([mounts[0].id, mounts[1].id], [36, 70]);
        assert_eq!([&mounts[0].root, &mounts[1].root], [Path::new("/mnt1"), Path::new("/")]);
    }

    #[test]
    fn escapes_in_a_mount_point_are_undone() {
        let mounts = parse(b"1 2 0:1 / /a\\040b\\134c\\9 rw - tmpfs none rw");
        assert_eq!(mounts[0].mount_point, PathBuf::from("/a b\\c\\9"));
    }

    #[test]
    fn a_line_that_makes_no_sense_hides_no_other() {
        let mounts = parse(b"garbage\n1 2 0:1 / /a rw\n\xff\xfe\n1 2 0:1 / /b rw - tmpfs none rw\n");
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].mount_point, PathBuf::from("/b"));
    }
}
