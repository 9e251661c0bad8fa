//! A copy of the user's directory that never touches a disk: a closed tmpfs, mounted in this program's namespace.
//!
//! What is demonstrated changes files; the user's own stay as they are. The copy is made by the provider's own
//! reader, so that what it passes over or refuses is the same here and there.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use base::secret::SecretBytes;
use reference_provider::directory::{FileObject, SecretsDir};
use sys::at::Dir;
use sys::mount::{self, Limits, Mounter};

/// The copy, removed when dropped.
pub struct Copy {
    original: PathBuf,
    above: tempfile::TempDir,
    files: Vec<FileObject>,
}

impl Copy {
    /// Copies the regular files below the directory.
    pub fn of(original: &Path) -> Result<Copy, String> {
        let files = SecretsDir::new(original.to_owned()).read().map_err(|error| error.to_string())?;
        let failed = |error: &dyn std::fmt::Display| format!("could not make a directory in memory: {error}");
        let above = tempfile::tempdir().map_err(|error| failed(&error))?;
        fs::create_dir(above.path().join(NAME)).map_err(|error| failed(&error))?;
        let parent = Dir::open_trusting_path(above.path()).map_err(|error| failed(&error))?;
        Mounter::new().mount(&parent, OsStr::new(NAME), LIMITS).map_err(|error| failed(&error))?;
        let copy = Copy { original: original.to_owned(), above, files };
        for file in &copy.files {
            copy.write(&file.path, &file.contents).map_err(|error| failed(&error))?;
        }
        Ok(copy)
    }

    /// The files as they were when they were copied.
    pub fn files(&self) -> &[FileObject] {
        &self.files
    }

    /// The user's own directory.
    pub fn original(&self) -> &Path {
        &self.original
    }

    /// The directory of the copy.
    pub fn path(&self) -> PathBuf {
        self.above.path().join(NAME)
    }

    /// Writes a file of the copy.
    pub fn write(&self, name: &str, contents: &SecretBytes) -> std::io::Result<()> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, contents.expose())
    }

    /// Says whether the user's own files are still what was copied.
    pub fn compare_original(&self) -> Result<(), String> {
        let now = SecretsDir::new(self.original.clone()).read().map_err(|error| error.to_string())?;
        let content = |file: &FileObject| (file.path.clone(), file.contents.clone());
        let is_same = now.iter().map(content).eq(self.files.iter().map(content));
        is_same.then_some(()).ok_or_else(|| "its files are others than when it was copied".to_owned())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let unmounted = Dir::open_trusting_path(self.above.path())
            .and_then(|parent| parent.open_dir(OsStr::new(NAME)))
            .and_then(|root| mount::unmount_root(&root));
        if let Err(error) = unmounted {
            eprintln!("demo: could not unmount the copy of {}: {error}", self.original.display());
        }
    }
}

const NAME: &str = "copy";
/// Room for what the provider serves at most, 1,024 files and 3 MiB, each file in directories of its own.
const LIMITS: Limits = Limits { bytes: 64 << 20, inodes: 65_536 };
