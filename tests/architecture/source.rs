//! Source files as words: enough of Rust's lexical grammar to tell code from comments, texts and tests.
//!
//! It knows no rule. It is no parser either: what it cannot tell apart, like two types of the same name, the rules
//! cannot see.

use std::path::Path;

use base::logging::OURS;

/// A file of `src/`, by its path below that directory.
pub struct Source {
    /// As in `kube/client.rs`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// The words outside comments and tests.
    pub words: Vec<Word>,
    /// How many lines are outside tests.
    pub lines: usize,
}

/// A word and the line it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub kind: Kind,
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A name, keyword or number.
    Name(String),
    /// The inside of a string literal, escapes as written.
    Text(String),
    /// `::`.
    Separator,
    /// Any other character.
    Mark(char),
}

/// A path into a crate of ours, as in `["kube", "client", "Client"]`; that of the driver's own has no name.
pub struct CratePath {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
        let (words, test_lines) = if is_test { (Vec::new(), 0) } else { without_tests(words(text)) };
        let lines = if is_test { 0 } else { text.lines().count() - test_lines };
        Source { path: path.to_owned(), text: text.to_owned(), words, lines }
    }

    /// Every `.rs` file below a directory, sorted.
    pub fn tree(directory: &Path) -> Vec<Source> {
        let mut found = Vec::new();
        let mut pending = vec![directory.to_owned()];
        while let Some(next) = pending.pop() {
            for entry in std::fs::read_dir(&next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
                    found.push(Source::new(name, &std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        assert!(found.len() > 10, "there is nothing in {}", directory.display());
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    }

    /// Written by a program, which nobody formats or reviews.
    pub fn is_generated(&self) -> bool {
        self.text.contains("\n// @generated")
    }

    /// The module that the file is, as in `["kube", "client"]`; none for the root.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| *part != "lib").collect()
    }

    /// Every path into a crate of ours, `use` trees spread out.
    pub fn crate_paths(&self) -> Vec<CratePath> {
        let mut paths = Vec::new();
        let module: Vec<String> = self.module().into_iter().map(str::to_owned).collect();
        for (at, word) in self.words.iter().enumerate() {
            let Kind::Name(name) = &word.kind else { continue };
            if at > 0 && matches!(self.words[at - 1].kind, Kind::Separator | Kind::Mark('.')) {
                continue;
            }
            let start = match name.as_str() {
                "crate" => {
                    module.first().filter(|own| OURS.contains(&own.as_str())).into_iter().cloned().collect()
                }
                CRATE => Vec::new(),
                "super" => module[..module.len().saturating_sub(1)].to_vec(),
                ours if OURS.contains(&ours) => vec![ours.to_owned()],
                _ => continue,
            };
            if self.words.get(at + 1).map(|next| &next.kind) == Some(&Kind::Separator) {
                self.spread(at + 2, start, &mut paths);
            }
        }
        paths
    }

    /// Reads the path or group at `at` behind `prefix`; returns where it ends.
    fn spread(&self, mut at: usize, mut prefix: Vec<String>, paths: &mut Vec<CratePath>) -> usize {
        while let Some(word) = self.words.get(at) {
            match &word.kind {
                Kind::Name(name) if name == "super" => drop(prefix.pop()),
                Kind::Name(name) if name == "self" => {}
                Kind::Name(name) => prefix.push(name.clone()),
                Kind::Mark('{') => {
                    at += 1;
                    loop {
                        match self.words.get(at).map(|word| &word.kind) {
                            None | Some(Kind::Mark('}')) => return at + 1,
                            Some(Kind::Mark(',')) => at += 1,
                            Some(Kind::Name(name)) if name == "as" => at += 2,
                            Some(_) => at = self.spread(at, prefix.clone(), paths).max(at + 1),
                        }
                    }
                }
                Kind::Mark('*') => {
                    at += 1;
                    break;
                }
                _ => break,
            }
            if self.words.get(at + 1).map(|next| &next.kind) != Some(&Kind::Separator) {
                at += 1;
                break;
            }
            at += 2;
        }
        let line = self.words.get(at.saturating_sub(1)).map_or(0, |word| word.line);
        paths.push(CratePath { segments: prefix, line });
        at
    }

    /// The lines on which a path of the outside world begins with these names, as in `["std", "env"]`; one name
    /// alone is a crate.
    pub fn lines_naming(&self, names: &[&str]) -> Vec<usize> {
        let is = |at: usize, kind: &Kind| self.words.get(at).map(|word| &word.kind) == Some(kind);
        let name = |text: &str| Kind::Name(text.to_owned());
        let mut lines = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            let starts = at == 0 || !matches!(self.words[at - 1].kind, Kind::Separator | Kind::Mark('.'));
            let found = match names {
                [outside] => starts && is(at, &name(outside)) && is(at + 1, &Kind::Separator),
                [root, part] => {
                    let in_group = is(at + 2, &Kind::Mark('{')) && self.group_has(at + 3, part);
                    let is_path = is(at, &name(root)) && is(at + 1, &Kind::Separator);
                    starts && is_path && (is(at + 2, &name(part)) || in_group)
                }
                _ => false,
            };
            if found {
                lines.push(word.line);
            }
        }
        lines
    }

    /// Whether the group of a `use` that begins at `at` names `part` at its own level.
    fn group_has(&self, at: usize, part: &str) -> bool {
        let mut depth = 0;
        for word in self.words.iter().skip(at) {
            match &word.kind {
                Kind::Mark('{') => depth += 1,
                Kind::Mark('}') if depth == 0 => return false,
                Kind::Mark('}') => depth -= 1,
                Kind::Name(name) if depth == 0 && name == part => return true,
                _ => {}
            }
        }
        false
    }
}

/// The words of a text, without comments.
pub fn words(text: &str) -> Vec<Word> {
    let chars: Vec<char> = text.chars().collect();
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let (mut words, mut line, mut at) = (Vec::new(), 1, 0);
    while at < chars.len() {
        let (begun, first_line) = (at, line);
        let kind = match (chars[at], peek(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
                None
            }
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (peek(at), peek(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= chars.len() {
                        break None;
                    }
                }
            }
            ('"', _) => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
                Some(Kind::Text(chars[begun + 1..(at - 1).min(chars.len())].iter().collect()))
            }
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
                None
            }
            ('\'', _) if peek(at + 2) == '\'' => {
                at += 3;
                None
            }
            ('\'', _) => {
                // A lifetime, which no rule asks for: `'static` is no `static`.
                at += 1;
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
                None
            }
            ('r', '"' | '#') | ('b', 'r') if raw_hashes(&chars, at).is_some() => {
                let (start, hashes) = raw_hashes(&chars, at).unwrap();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at = start;
                while at < chars.len() && !chars[at..].starts_with(&end) {
                    at += 1;
                }
                let inside = chars[start..at].iter().collect();
                at += end.len();
                Some(Kind::Text(inside))
            }
            (':', ':') => {
                at += 2;
                Some(Kind::Separator)
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
                Some(Kind::Name(chars[begun..at].iter().collect()))
            }
            (c, _) => {
                at += 1;
                (!c.is_whitespace()).then_some(Kind::Mark(c))
            }
        };
        at = at.min(chars.len());
        line += chars[begun..at].iter().filter(|c| **c == '\n').count();
        words.extend(kind.map(|kind| Word { kind, line: first_line }));
    }
    words
}

/// Where the inside of a raw string begins and how many hashes end it, if `at` is one.
fn raw_hashes(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let at = if chars[at] == 'b' { at + 2 } else { at + 1 };
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + hashes) == Some(&'"')).then_some((at + hashes + 1, hashes))
}

/// Takes out what is compiled for tests alone, and says how many lines that was.
fn without_tests(words: Vec<Word>) -> (Vec<Word>, usize) {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let is_attribute = |at: usize| {
        attribute.iter().enumerate().all(|(offset, expected)| {
            match words.get(at + offset).map(|word| &word.kind) {
                Some(Kind::Name(name)) => name == expected,
                Some(Kind::Mark(mark)) => mark.to_string() == *expected,
                _ => false,
            }
        })
    };
    let (mut kept, mut test_lines, mut at) = (Vec::new(), 0, 0);
    while at < words.len() {
        if !is_attribute(at) {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        let first = words[at].line;
        at += attribute.len();
        let mut depth = 0;
        let is_use = starts_use(&words[at..]);
        while at < words.len() {
            match words[at].kind {
                Kind::Mark('{') => depth += 1,
                Kind::Mark('}') => depth -= 1,
                _ => {}
            }
            let ends_item =
                words[at].kind == Kind::Mark(';') || (words[at].kind == Kind::Mark('}') && !is_use);
            at += 1;
            if depth == 0 && ends_item {
                break;
            }
        }
        test_lines += words[at - 1].line - first + 1;
    }
    (kept, test_lines)
}

/// Whether an item, visibility first, is a `use`, whose braces do not end it.
fn starts_use(words: &[Word]) -> bool {
    let mut names =
        words.iter().filter_map(|word| if let Kind::Name(name) = &word.kind { Some(name) } else { None });
    names
        .find(|name| !["pub", "crate", "super", "in"].contains(&name.as_str()))
        .is_some_and(|name| name == "use")
}

/// How the program calls the driver's library.
const CRATE: &str = "secrets_store_csi_driver";

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).crate_paths().into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn paths_are_found_in_uses_groups_and_code_and_nowhere_else() {
        let text = r##"
            //! crate::comment
            use crate::kube::client::Client;
            use crate::admin;
            use crate::http::{self, Response as R};
            use crate::rpc::pb::*;
            /* crate::a /* crate::b */ crate::c */
            pub(crate) fn f<'a>(x: &'a str) -> char { crate::volume::open(x); "crate::text"; r#"crate::"raw"#; 'c' }
            #[cfg(test)]
            use crate::only::{for_tests};
            #[cfg(test)]
            pub(crate) use crate::only::{for_tests, too};
            #[cfg(test)]
            mod tests { use crate::tests_only; fn g() { "}" } }
            fn h() { '{'; '\''; crate::last() }
        "##;
        let expected =
            ["kube::client::Client", "admin", "http", "http::Response", "rpc::pb", "volume::open", "last"];
        assert_eq!(paths("x.rs", text), expected);
    }

    #[test]
    fn relative_paths_are_taken_from_the_files_own_module() {
        assert_eq!(
            paths("kube/client.rs", "use super::error::E; use super::super::volume::V;"),
            ["kube::error::E", "volume::V"]
        );
        assert_eq!(paths("kube/mod.rs", "use super::volume;"), ["volume"]);
        assert_eq!(
            paths("bin/a.rs", "fn main() { secrets_store_csi_driver::driver::main() }"),
            ["driver::main"]
        );
    }

    #[test]
    fn paths_into_other_crates_begin_with_their_names_and_so_do_those_into_ones_own() {
        let text = "use kube::client::Client;\nfn f() { base::secret::f(crate::place::P, config.kube::x, a::kube::b) }";
        assert_eq!(
            paths("volume/live.rs", text),
            ["kube::client::Client", "base::secret::f", "volume::place::P"]
        );
    }

    #[test]
    fn tests_do_not_count_as_lines() {
        let source = Source::new("x.rs", "//! x\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n");
        assert_eq!(source.lines, 3);
        assert_eq!(Source::new("x/tests.rs", "fn f() {}\n").lines, 0);
    }

    #[test]
    fn names_of_the_outside_world_are_found_with_and_without_groups() {
        let text = "use std::{fmt, env};\nfn f() { std::env::var(x); a.std::env; my::std::env; grpcio::x() }";
        let source = Source::new("x.rs", text);
        assert_eq!(source.lines_naming(&["std", "env"]), [1, 2]);
        assert_eq!(source.lines_naming(&["grpcio"]), [2]);
        assert!(source.lines_naming(&["std", "fs"]).is_empty());
    }
}
