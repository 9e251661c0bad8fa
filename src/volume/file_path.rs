//! The path of one file in a volume, as a provider names it: relative, clean, and unable to leave the volume.

use std::fmt;

use base::text::quotable;

/// A relative path without `.`, `..` or empty components, whose first component can't be mistaken for the
/// driver's own names (`..data`, `..2026_…`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    /// Checks a path. The limits are those of the kernel: 4096 bytes in all, 255 for a component.
    pub fn parse(path: &str) -> Result<FilePath, FilePathError> {
        let fault = Fault::of(path);
        match fault {
            None => Ok(FilePath(path.to_owned())),
            Some(fault) => Err(FilePathError { path: path.to_owned(), fault }),
        }
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The component that is visible in the volume's root.
    pub fn first(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(first, _)| first)
    }

    /// The directory that holds the file, as a path (empty for the root), and the file's own name.
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// The directories above the file, outermost first: `a`, `a/b` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(at, _)| self.0.get(..at))
    }
}

impl std::borrow::Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that a provider must not use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePathError {
    path: String,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Absolute,
    ComponentTooLong,
    DotDot,
    Empty,
    LeadingDots,
    Nul,
    TooLong,
    Unclean,
}

impl Fault {
    fn of(path: &str) -> Option<Fault> {
        if path.is_empty() {
            return Some(Fault::Empty);
        }
        if path.starts_with('/') {
            return Some(Fault::Absolute);
        }
        if path.len() > MAX_PATH_BYTES {
            return Some(Fault::TooLong);
        }
        if path.contains('\0') {
            return Some(Fault::Nul);
        }
        if path.split('/').any(|component| component == "..") {
            return Some(Fault::DotDot);
        }
        if path.split('/').any(|component| component.len() > MAX_COMPONENT_BYTES) {
            return Some(Fault::ComponentTooLong);
        }
        if path.starts_with("..") {
            return Some(Fault::LeadingDots);
        }
        if path.split('/').any(|component| component.is_empty() || component == ".") {
            return Some(Fault::Unclean);
        }
        None
    }
}

impl fmt::Display for FilePathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.fault {
            Fault::Absolute => "must be relative path",
            Fault::ComponentTooLong => "must not have a component longer than 255 bytes",
            Fault::DotDot => "must not contain '..'",
            Fault::Empty => "must not be empty",
            Fault::LeadingDots => "must not start with '..'",
            Fault::Nul => "must not contain a NUL byte",
            Fault::TooLong => "must not be longer than 4096 bytes",
            Fault::Unclean => "must be clean: no '.', no '//', no '/' at the end",
        };
        // A hostile path may be 4 MiB of control characters: show its beginning, on one line.
        write!(f, "invalid filepath: \"{}\" {why}", quotable(&self.path, MAX_SHOWN_CHARS))
    }
}

impl std::error::Error for FilePathError {}

/// PATH_MAX of Linux.
const MAX_PATH_BYTES: usize = 4096;
/// NAME_MAX of Linux.
const MAX_COMPONENT_BYTES: usize = 255;
const MAX_SHOWN_CHARS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_nested_and_dotted_names_are_taken() {
        let longest = format!("{}/{}", "a/".repeat(2046), "bcd");
        assert_eq!(longest.len(), 4096);
        let longest = longest.replace("//", "/x");
        for path in [
            "foo",
            "a/b/c",
            ".hidden",
            "a/..b",
            "foo\\bar",
            "...x/y".trim_start_matches('.'),
            "é/ü",
            &longest,
        ] {
            assert_eq!(FilePath::parse(path).map(|p| p.as_str().to_owned()).as_deref(), Ok(path));
        }
        assert!(FilePath::parse(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn every_way_out_of_the_volume_and_every_unclean_form_is_refused() {
        let long_component = "x".repeat(256);
        let long_path = "a/".repeat(2048) + "b";
        let cases: &[(&str, &str)] = &[
            ("", "must not be empty"),
            ("/", "must be relative"),
            ("/etc/passwd", "must be relative"),
            (&long_path, "longer than 4096"),
            ("..", "must not contain '..'"),
            ("../x", "must not contain '..'"),
            ("a/../b", "must not contain '..'"),
            ("a/..", "must not contain '..'"),
            (&long_component, "longer than 255"),
            ("..data", "must not start with '..'"),
            ("..x/y", "must not start with '..'"),
            ("...", "must not start with '..'"),
            ("a//b", "must be clean"),
            ("./a", "must be clean"),
            (".", "must be clean"),
            ("a/", "must be clean"),
            ("a/./b", "must be clean"),
            ("a\0b", "NUL"),
        ];
        for (path, why) in cases {
            let text = FilePath::parse(path).unwrap_err().to_string();
            assert!(text.starts_with("invalid filepath: \""), "{path:?}: {text}");
            assert!(text.contains(why), "{path:?}: {text}");
            assert!(text.len() < 800, "{path:?}");
        }
    }

    #[test]
    fn a_path_knows_its_directories_and_its_visible_name() {
        let path = FilePath::parse("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.split(), ("a/b", "c"));
        assert_eq!(path.first(), "a");
        assert_eq!(FilePath::parse("c").unwrap().split(), ("", "c"));
    }
}
