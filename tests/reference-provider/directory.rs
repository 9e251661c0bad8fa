//! The user's own directory as a source of objects: every regular file below it is one.
//!
//! It refuses to know the protocol and who asks. It reads the whole directory for each call, so that a change of
//! a file is a change of the object, and is bounded in files, bytes and depth. The directory belongs to whoever
//! runs the provider; the threat is a name or a link in it that leads elsewhere. Therefore symbolic links and
//! names that begin with two dots are passed over, a file is compared with what was found under its name before
//! it is read, and nothing but regular files is opened.
//!
//! One of the few places that use paths of the standard library, because it holds no volume.

#![expect(clippy::disallowed_methods, reason = "the directory is its owner's own, and no volume")]

use std::fmt;
use std::fs::{self, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base::secret::SecretBytes;

/// A directory whose files are the objects.
#[derive(Debug)]
pub struct SecretsDir {
    root: PathBuf,
    /// Keys the versions, so that they tell nothing about the contents to whoever may read them.
    versions: RandomState,
}

impl SecretsDir {
    /// Takes the directory as it is; it is opened for the first time by [`SecretsDir::read`].
    pub fn new(root: PathBuf) -> SecretsDir {
        SecretsDir { root, versions: RandomState::new() }
    }

    /// Reads all files, sorted by path.
    ///
    /// A file's version is a 64-bit hash of its contents under a key that is drawn when the provider starts: the
    /// same contents keep their version, and no one can guess a short secret by comparing hashes. A restart
    /// gives every file a new version once.
    ///
    /// # Errors
    /// A directory or file that cannot be read, a name that is not UTF-8, or more than the limits allow.
    pub fn read(&self) -> Result<Vec<FileObject>, DirectoryError> {
        let mut found = Vec::new();
        let mut bytes_left = MAX_TOTAL_BYTES;
        let mut pending = vec![(self.root.clone(), String::new(), 0)];
        while let Some((directory, prefix, depth)) = pending.pop() {
            let fail = |source| DirectoryError::Io { path: directory.clone(), source };
            for entry in fs::read_dir(&directory).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let path = entry.path();
                let name = entry
                    .file_name()
                    .into_string()
                    .map_err(|_| DirectoryError::Name { path: path.clone() })?;
                let metadata =
                    fs::symlink_metadata(&path).map_err(|source| DirectoryError::io(&path, source))?;
                let object = format!("{prefix}{name}");
                if name.starts_with("..") {
                    log::debug!(path:% = path.display(); "passing over a name that begins with two dots");
                } else if metadata.is_dir() {
                    if depth == MAX_DEPTH {
                        return Err(DirectoryError::TooDeep { path });
                    }
                    pending.push((path, format!("{object}/"), depth.saturating_add(1)));
                } else if metadata.is_file() {
                    if found.len() == MAX_FILES {
                        return Err(DirectoryError::TooMany);
                    }
                    let contents = read_file(&path, &metadata, bytes_left)?;
                    bytes_left = bytes_left.saturating_sub(contents.len());
                    found.push(self.object(object, contents));
                } else {
                    log::debug!(path:% = path.display(); "passing over what is neither a file nor a directory");
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn object(&self, path: String, contents: SecretBytes) -> FileObject {
        let version = format!("{:016x}", self.versions.hash_one(contents.expose()));
        FileObject { path, contents, version }
    }
}

/// A file of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileObject {
    /// Path relative to the directory, with single slashes: the object's name.
    pub path: String,
    /// The contents.
    pub contents: SecretBytes,
    /// 16 hexadecimal digits that differ when the contents do.
    pub version: String,
}

/// Why the directory cannot be served.
#[derive(Debug)]
pub enum DirectoryError {
    /// A directory or file could not be read.
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name is not UTF-8, so that the protocol has no way to write it.
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A directory lies more than 16 levels down.
    TooDeep {
        /// The directory.
        path: PathBuf,
    },
    /// There are more than 1,024 files.
    TooMany,
    /// With this file there are more than 3 MiB of contents.
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file was written, or another took its place, while the directory was read.
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl DirectoryError {
    fn io(path: &Path, source: io::Error) -> DirectoryError {
        DirectoryError::Io { path: path.to_owned(), source }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::Io { path, source } => write!(f, "could not read {}: {source}", path.display()),
            DirectoryError::Name { path } => {
                write!(f, "could not serve {}: its name is not UTF-8, rename it", path.display())
            }
            DirectoryError::TooDeep { path } => {
                write!(f, "could not serve {}: more than {MAX_DEPTH} levels down", path.display())
            }
            DirectoryError::TooMany => {
                write!(f, "could not serve the secrets directory: more than {MAX_FILES} files")
            }
            DirectoryError::TooLarge { path } => write!(
                f,
                "could not serve {}: more than {MAX_TOTAL_BYTES} bytes in the secrets directory",
                path.display()
            ),
            DirectoryError::Changed { path } => {
                write!(f, "could not read {}: it changed meanwhile, try again", path.display())
            }
        }
    }
}

impl std::error::Error for DirectoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DirectoryError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads the regular file that `expected` describes, and no other that took its place.
fn read_file(path: &Path, expected: &Metadata, limit: usize) -> Result<SecretBytes, DirectoryError> {
    let fail = |source| DirectoryError::io(path, source);
    let file = fs::File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if (metadata.dev(), metadata.ino()) != (expected.dev(), expected.ino()) || !metadata.is_file() {
        return Err(DirectoryError::Changed { path: path.to_owned() });
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(DirectoryError::TooLarge { path: path.to_owned() });
    }
    // Allocated once, and one byte over, so that a file that grew is noticed: a buffer that grows along leaves
    // copies behind that nobody overwrites.
    let mut contents = Vec::with_capacity(length.saturating_add(1));
    file.take(metadata.len().saturating_add(1)).read_to_end(&mut contents).map_err(fail)?;
    let contents = SecretBytes::new(contents);
    if contents.len() != length {
        return Err(DirectoryError::Changed { path: path.to_owned() });
    }
    Ok(contents)
}

/// Below the 4 MiB that a gRPC message has by default, with room for names and versions.
const MAX_TOTAL_BYTES: usize = 3 * 1024 * 1024;

/// Files in one volume; the driver allows 4,096 inodes, directories and its own entries among them.
const MAX_FILES: usize = 1024;

/// Levels of directories below the root.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of the test's own, removed when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("secrets-dir-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn write(&self, name: &str, contents: &[u8]) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }

        fn dir(&self) -> SecretsDir {
            SecretsDir::new(self.0.clone())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn paths(objects: &[FileObject]) -> Vec<&str> {
        objects.iter().map(|object| object.path.as_str()).collect()
    }

    #[test]
    fn every_regular_file_is_an_object_named_by_its_path() {
        let scratch = Scratch::new();
        scratch.write("b", b"two");
        scratch.write("a/nested/c", b"\xff\0");
        scratch.write(".hidden", b"");
        let objects = scratch.dir().read().unwrap();
        assert_eq!(paths(&objects), [".hidden", "a/nested/c", "b"]);
        assert_eq!(objects[1].contents.expose(), b"\xff\0");
        assert!(objects.iter().all(|object| object.version.len() == 16));
    }

    #[test]
    fn links_sockets_and_names_with_two_dots_are_passed_over() {
        let scratch = Scratch::new();
        let outside = Scratch::new();
        outside.write("secret", b"no");
        scratch.write("kept", b"yes");
        scratch.write("..data/x", b"no");
        scratch.write("...", b"no");
        std::os::unix::fs::symlink(&outside.0, scratch.0.join("directory")).unwrap();
        std::os::unix::fs::symlink(outside.0.join("secret"), scratch.0.join("file")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", scratch.0.join("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(scratch.0.join("socket")).unwrap();
        assert_eq!(paths(&scratch.dir().read().unwrap()), ["kept"]);
    }

    #[test]
    fn a_version_follows_the_contents_and_means_nothing_to_another_provider() {
        let scratch = Scratch::new();
        scratch.write("a", b"one");
        let dir = scratch.dir();
        let version = |dir: &SecretsDir| dir.read().unwrap()[0].version.clone();
        let one = version(&dir);
        scratch.write("a", b"two");
        assert_ne!(version(&dir), one);
        scratch.write("a", b"one");
        assert_eq!(version(&dir), one);
        assert_ne!(version(&scratch.dir()), one);
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let absent = SecretsDir::new("/nonexistent/secrets".into());
        assert_eq!(
            absent.read().unwrap_err().to_string(),
            "could not read /nonexistent/secrets: No such file or directory (os error 2)"
        );

        let scratch = Scratch::new();
        scratch.write(&format!("{}x", "d/".repeat(MAX_DEPTH)), b"");
        assert_eq!(scratch.dir().read().unwrap().len(), 1);
        scratch.write(&format!("{}x", "d/".repeat(MAX_DEPTH + 1)), b"");
        assert!(matches!(scratch.dir().read(), Err(DirectoryError::TooDeep { .. })));

        let scratch = Scratch::new();
        fs::write(scratch.0.join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
        assert!(matches!(scratch.dir().read(), Err(DirectoryError::Name { .. })));
    }

    #[test]
    fn bytes_and_files_are_bounded() {
        let scratch = Scratch::new();
        scratch.write("a", &vec![0; MAX_TOTAL_BYTES]);
        assert_eq!(scratch.dir().read().unwrap()[0].contents.len(), MAX_TOTAL_BYTES);
        scratch.write("b", b"1");
        let error = scratch.dir().read().unwrap_err();
        assert!(error.to_string().ends_with("more than 3145728 bytes in the secrets directory"), "{error}");

        let scratch = Scratch::new();
        (0..=MAX_FILES).for_each(|index| scratch.write(&index.to_string(), b""));
        assert!(matches!(scratch.dir().read(), Err(DirectoryError::TooMany)));
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_not_read() {
        let scratch = Scratch::new();
        scratch.write("a", b"1");
        scratch.write("b", b"2");
        let other = fs::symlink_metadata(scratch.0.join("b")).unwrap();
        let error = read_file(&scratch.0.join("a"), &other, 10).unwrap_err();
        assert!(matches!(error, DirectoryError::Changed { .. }), "{error}");
    }
}
