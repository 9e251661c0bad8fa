//! The whole content of a volume as one answer of a provider has it: checked once, here, and then trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base::secret::SecretBytes;
use base::text::quotable;

use super::file_path::{FilePath, FilePathError};

/// Permission bits of a file: nine bits, so set-user-id and its kin cannot be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The mode that a provider sent. 0 means that it left the choice to the driver: 0644, the permission that
    /// every request names. Bits above the lowest nine are dropped.
    pub fn from_provider(mode: i32) -> FileMode {
        match mode {
            0 => FileMode(0o644),
            // Two's complement: only the nine lowest bits are looked at.
            sent => FileMode(sent.cast_unsigned() & 0o777),
        }
    }

    /// The mode of a file that exists.
    pub fn of_existing(mode: u32) -> FileMode {
        FileMode(mode & 0o777)
    }

    /// The bits, 0o000 to 0o777.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The mode of the file when the volume belongs to a group: the group may read what the owner may read.
    pub fn readable_by_group(self) -> FileMode {
        FileMode(self.0 | ((self.0 & 0o400) >> 3))
    }
}

/// One file of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Permission bits.
    pub mode: FileMode,
    /// Content.
    pub contents: SecretBytes,
}

/// Files by path; no path is both a file and a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    files: BTreeMap<FilePath, File>,
}

impl Payload {
    /// Checks every path and the tree that they make. Of two files with one path the last wins.
    pub fn new(files: impl IntoIterator<Item = (String, File)>) -> Result<Payload, PayloadError> {
        let mut checked = BTreeMap::new();
        let mut components = 0_usize;
        for (path, file) in files {
            let path = FilePath::parse(&path).map_err(PayloadError::Path)?;
            components = components.saturating_add(path.components().count());
            if components > MAX_COMPONENTS {
                return Err(PayloadError::TooManyDirectories);
            }
            checked.insert(path, file);
        }
        let clash = checked.keys().find_map(|path: &FilePath| {
            let file = path.ancestors().find(|ancestor| checked.contains_key(*ancestor))?;
            Some(PayloadError::FileIsDirectory { file: file.to_owned() })
        });
        match clash {
            Some(clash) => Err(clash),
            None => Ok(Payload { files: checked }),
        }
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&FilePath, &File)> {
        self.files.iter()
    }

    /// Every directory that the files need, each after the one that holds it.
    pub fn directories(&self) -> BTreeSet<&str> {
        self.files.keys().flat_map(FilePath::ancestors).collect()
    }

    /// The names that the volume's root shows.
    pub fn visible_names(&self) -> BTreeSet<&str> {
        self.files.keys().map(FilePath::first).collect()
    }

    /// True when there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of content in all files.
    pub fn content_bytes(&self) -> usize {
        self.files.values().map(|file| file.contents.len()).sum()
    }
}

/// Why an answer cannot become a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadError {
    /// One path is a file and, in another path, a directory.
    FileIsDirectory {
        /// The path that is both.
        file: String,
    },
    /// A path that is not allowed.
    Path(FilePathError),
    /// More nested directories than any volume can hold.
    TooManyDirectories,
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::FileIsDirectory { file } => {
                write!(f, "invalid filepath: \"{}\" is both a file and a directory", quotable(file, 128))
            }
            PayloadError::Path(error) => error.fmt(f),
            PayloadError::TooManyDirectories => {
                write!(f, "the files' paths have more than {MAX_COMPONENTS} components together")
            }
        }
    }
}

impl std::error::Error for PayloadError {}

/// Far above any real volume (4,096 inodes by default), low enough that a hostile answer costs no time.
const MAX_COMPONENTS: usize = 65_536;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn payload(files: &[(&str, i32, &str)]) -> Payload {
        Payload::new(files.iter().map(|(path, mode, contents)| {
            let contents = SecretBytes::new(contents.as_bytes().to_vec());
            ((*path).to_owned(), File { mode: FileMode::from_provider(*mode), contents })
        }))
        .unwrap()
    }

    #[test]
    fn an_unset_mode_is_0644_and_special_bits_are_dropped() {
        let cases = [(0, 0o644), (0o600, 0o600), (0o4755, 0o755), (0o7000, 0), (-1, 0o777), (i32::MIN, 0)];
        for (sent, kept) in cases {
            assert_eq!(FileMode::from_provider(sent).bits(), kept, "{sent:o}");
        }
    }

    #[test]
    fn a_group_reads_what_the_owner_reads() {
        for (mode, grouped) in [(0o600, 0o640), (0o400, 0o440), (0o200, 0o200), (0o755, 0o755)] {
            assert_eq!(FileMode(mode).readable_by_group().bits(), grouped, "{mode:o}");
        }
    }

    #[test]
    fn of_two_files_with_one_path_the_last_wins() {
        let payload = payload(&[("a", 0, "first"), ("a", 0o600, "last")]);
        let (path, file) = payload.files().next().unwrap();
        assert_eq!((path.as_str(), file.contents.expose()), ("a", &b"last"[..]));
    }

    #[test]
    fn a_path_cannot_be_a_file_and_a_directory() {
        let empty = || File { mode: FileMode::from_provider(0), contents: SecretBytes::default() };
        for paths in [["a", "a/b"], ["a/b/c/d", "a/b"]] {
            let error = Payload::new(paths.map(|path| (path.to_owned(), empty()))).unwrap_err();
            assert!(matches!(error, PayloadError::FileIsDirectory { .. }), "{paths:?}");
        }
        assert!(Payload::new(["a-b", "a/b", "a.b"].map(|path| (path.to_owned(), empty()))).is_ok());
    }

    #[test]
    fn a_forest_of_directories_is_refused_before_it_costs_anything() {
        let deep = "d/".repeat(2000);
        let files = (0..1000).map(|n| {
            (format!("{deep}{n}"), File { mode: FileMode(0o644), contents: SecretBytes::default() })
        });
        assert_eq!(Payload::new(files).unwrap_err(), PayloadError::TooManyDirectories);
    }

    #[test]
    fn directories_come_after_those_that_hold_them() {
        let payload = payload(&[("a/b/c", 0, ""), ("a-z/x", 0, ""), ("top", 0, "")]);
        assert_eq!(payload.directories().into_iter().collect::<Vec<_>>(), ["a", "a-z", "a/b"]);
        assert_eq!(payload.visible_names().into_iter().collect::<Vec<_>>(), ["a", "a-z", "top"]);
    }
}
