//! The list of mounts: what the kernel writes is read back, and no line hides another.

use std::os::unix::ffi::OsStrExt;

use sys::mountinfo::{MountEntry, parse};

use crate::input::Input;

pub fn check(bytes: &[u8]) {
    let mounts = parse(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(mounts.len() <= lines, "{} mounts in {lines} lines", mounts.len());
    let texts = mounts
        .iter()
        .map(|mount| {
            [
                mount.root.as_os_str().len(),
                mount.mount_point.as_os_str().len(),
                mount.fs_type.len(),
                mount.source.len(),
            ]
        })
        .map(|lengths| lengths.iter().sum::<usize>());
    assert!(texts.sum::<usize>() <= bytes.len(), "more comes out than went in");

    lines_stand_alone(bytes, &mounts);
    what_the_kernel_writes_is_read_back(bytes);
    // Our own writing of what was read is read as the same.
    let written: Vec<u8> = mounts.iter().flat_map(kernel_line).collect();
    assert_eq!(parse(&written), mounts);
}

/// The whole is its lines, one by one, whatever is between them.
fn lines_stand_alone(bytes: &[u8], mounts: &[MountEntry]) {
    let one_by_one: Vec<_> = bytes.split(|byte| *byte == b'\n').flat_map(parse).collect();
    assert_eq!(one_by_one, mounts);
    let sound = b"1 2 0:1 / /sound rw shared:1 - tmpfs none rw\n";
    let among: Vec<_> = parse(&[&sound[..], bytes, b"\n", sound].concat());
    assert_eq!(among.len(), mounts.len() + 2);
    assert_eq!(among[1..=mounts.len()], *mounts);
    assert!(among[0].is_shared && among[0] == among[mounts.len() + 1]);
}

/// Any mount point and any source, written as the kernel writes them.
fn what_the_kernel_writes_is_read_back(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_shared = input.is_set();
    let mount_point = std::ffi::OsStr::from_bytes(input.part()).into();
    let source = input.text();
    let id = u64::from_be_bytes(std::array::from_fn(|_| input.part().first().copied().unwrap_or_default()));
    let root = std::ffi::OsStr::from_bytes(input.part()).into();
    let mount = MountEntry { id, root, mount_point, fs_type: "tmpfs".to_owned(), source, is_shared };
    assert_eq!(parse(&kernel_line(&mount)), [mount]);
}

fn kernel_line(mount: &MountEntry) -> Vec<u8> {
    let mut line = format!("{} 35 98:0 ", mount.id).into_bytes();
    line.extend(escaped(mount.root.as_os_str().as_bytes()));
    line.push(b' ');
    line.extend(escaped(mount.mount_point.as_os_str().as_bytes()));
    line.extend_from_slice(if mount.is_shared { b" rw master:1 shared:2 - " } else { b" rw master:1 - " });
    line.extend_from_slice(mount.fs_type.as_bytes());
    line.push(b' ');
    line.extend(escaped(mount.source.as_bytes()));
    line.extend_from_slice(b" rw,size=1k\n");
    line
}

/// What seq_escape() of the kernel does for mountinfo, and for every other byte that is not seen.
fn escaped(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            byte if !byte.is_ascii_graphic() || b"\\#".contains(byte) => format!("\\{byte:03o}").into_bytes(),
            byte => vec![*byte],
        })
        .collect()
}
