//! What a volume must look like, made from the description of its files alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files by path: mode and content.
pub type Content = BTreeMap<String, (u32, Vec<u8>)>;

/// Everything below a directory, not followed.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// An entry: its mode, what is in it, its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Directory(u32, u32),
    File(u32, Vec<u8>, u32),
    Symlink(PathBuf),
    Other,
}

impl Entry {
    fn group(&self) -> u32 {
        match self {
            Entry::Directory(_, group) | Entry::File(_, _, group) => *group,
            Entry::Symlink(_) | Entry::Other => 0,
        }
    }
}

pub fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// The whole tree that makes a content visible. Where no group is asked for, an entry has whatever it has in `found`.
pub fn tree_for(content: &Content, generation: &OsStr, group: Option<u32>, found: &Tree) -> Tree {
    let generation = Path::new(generation);
    let group_of =
        |path: &Path| group.unwrap_or_else(|| found.get(path).map(Entry::group).unwrap_or_default());
    let mut tree = Tree::from([
        ("..data".into(), Entry::Symlink(generation.to_owned())),
        (generation.to_owned(), Entry::Directory(0o755, group_of(generation))),
    ]);
    for (path, (mode, contents)) in content {
        let name = first(path);
        tree.insert(name.into(), Entry::Symlink(Path::new("..data").join(name)));
        let path = generation.join(path);
        let above = path.ancestors().skip(1).take_while(|above| *above != generation);
        for directory in above {
            tree.insert(directory.to_owned(), Entry::Directory(0o755, group_of(directory)));
        }
        tree.insert(path.clone(), Entry::File(*mode, contents.clone(), group_of(&path)));
    }
    tree
}

/// The tree without what only a crash can have left.
pub fn without_leftovers(mut tree: Tree) -> Tree {
    let live = match tree.get(Path::new("..data")) {
        Some(Entry::Symlink(to)) => to.clone(),
        _ => PathBuf::new(),
    };
    tree.retain(|path, _| {
        let first = path.iter().next().unwrap_or_default();
        !is_drivers(first) || first == "..data" || first == live
    });
    tree
}

/// True for what the writer made, and for what it has to replace.
pub fn is_ours(path: &Path, entry: &Entry, visible: &BTreeSet<String>) -> bool {
    let first = path.iter().next().unwrap_or_default();
    is_drivers(first)
        || first.to_str().is_some_and(|first| visible.contains(first))
        || (!first.as_bytes().starts_with(b"..")
            && matches!(entry, Entry::Symlink(to) if *to == Path::new("..data").join(path)))
}

/// True for what is beside a volume's own names.
pub fn is_foreign(path: &Path, visible: &BTreeSet<String>) -> bool {
    let first = path.iter().next().unwrap_or_default();
    !is_drivers(first) && first.to_str().is_none_or(|first| !visible.contains(first))
}

/// The switch, generations and temporary names.
fn is_drivers(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_generation = name.strip_prefix("..").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_digit() || c == '_' || c == '.')
    });
    is_generation || ["..data", "..data_tmp", "..link_tmp"].contains(&&*name)
}
