//! Where the repository is, whatever package of it a test belongs to.

use std::path::{Path, PathBuf};

/// The repository's root, without a slash at its end.
pub const ROOT: &str = parent(parent(env!("CARGO_MANIFEST_DIR")));

/// The repository's root, as a path.
pub fn root() -> PathBuf {
    Path::new(ROOT).to_owned()
}

/// The path of what is in the repository by that name, which begins with a slash; a constant, as `concat!` makes them.
#[macro_export]
macro_rules! in_repository {
    ($name:literal) => {{
        const PATH: [u8; $crate::repository::ROOT.len() + $name.len()] = $crate::repository::below($name);
        match ::core::str::from_utf8(&PATH) {
            Ok(path) => path,
            Err(_) => panic!("two texts make one"),
        }
    }};
}

/// The bytes of the root and of a name below it.
pub const fn below<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let mut path = [0; LENGTH];
    let (root, below) = path.split_at_mut(ROOT.len());
    root.copy_from_slice(ROOT.as_bytes());
    below.copy_from_slice(name.as_bytes());
    path
}

const fn parent(path: &str) -> &str {
    let mut end = path.len();
    while end > 0 {
        end -= 1;
        if path.as_bytes()[end] == b'/' {
            return path.split_at(end).0;
        }
    }
    panic!("the repository is not at the root of the file system")
}
