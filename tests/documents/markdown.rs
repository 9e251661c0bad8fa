//! As much of Markdown as the documents use: headings, links, fenced blocks, tables, and what a comment has the runner
//! do.
//!
//! Read by the checks of `make test` and by the runner of `make e2e`, so that both see the same blocks.

use kit::repository::root;

/// One file.
pub struct Document {
    /// Path below the repository's root.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// First word after the fence, as in `sh`.
    pub language: String,
    /// What follows it, as in `no-run="reason"`.
    pub info: String,
    /// The lines between the fences.
    pub text: String,
}

/// What the runner walks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A fenced block, and whether only blank lines stand between it and the block before.
    Block(Block, Follows),
    /// `<!-- play: … -->`: something that happens elsewhere meanwhile.
    Play(String),
}

/// How near the block before is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Right after another block.
    Block,
    /// After prose.
    Prose,
}

impl Document {
    /// Reads a file of the repository.
    pub fn read(name: &str) -> Document {
        let path = root().join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Document { name: name.to_owned(), text }
    }

    /// Every document of the repository: the root's and those of docs/.
    pub fn all() -> Vec<Document> {
        let mut names = Vec::new();
        for directory in ["", "docs/"] {
            let entries = std::fs::read_dir(root().join(directory)).expect("the repository can be listed");
            let files = entries.map(|entry| entry.expect("an entry can be read").file_name());
            let files = files.map(|file| file.to_string_lossy().into_owned());
            names.extend(files.filter(|file| file.ends_with(".md")).map(|file| format!("{directory}{file}")));
        }
        names.sort();
        names.iter().map(|name| Document::read(name)).collect()
    }

    /// Blocks and stage directions, in their order.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut open: Option<Block> = None;
        let mut follows = Follows::Prose;
        for (number, line) in self.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some("")) => {
                    pieces.extend(open.take().map(|block| Piece::Block(block, follows)));
                    follows = Follows::Block;
                }
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, Some(fence)) => {
                    let (language, info) = fence.split_once(' ').unwrap_or((fence, ""));
                    let (language, info) = (language.to_owned(), info.trim().to_owned());
                    open = Some(Block { line: number, language, info, text: String::new() });
                }
                (None, None) => {
                    let direction =
                        line.strip_prefix("<!-- play: ").and_then(|rest| rest.strip_suffix(" -->"));
                    pieces.extend(direction.map(|text| Piece::Play(text.to_owned())));
                    if !line.trim().is_empty() {
                        follows = Follows::Prose;
                    }
                }
            }
        }
        assert!(open.is_none(), "{}: the last block does not end", self.name);
        pieces
    }

    /// Fenced blocks alone.
    pub fn blocks(&self) -> Vec<Block> {
        let block = |piece| match piece {
            Piece::Block(block, _) => Some(block),
            Piece::Play(_) => None,
        };
        self.pieces().into_iter().filter_map(block).collect()
    }

    /// The lines outside fences, with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut in_block = false;
        let outside = |(_, line): &(usize, &str)| {
            let is_fence = line.starts_with("```");
            in_block ^= is_fence;
            !in_block && !is_fence
        };
        self.lines().filter(outside).collect()
    }

    /// Where links lead that are not to other sites, with the number of the line.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split(')').next().unwrap_or_default();
                if !target.contains("://") {
                    links.push((number, target.to_owned()));
                }
            }
        }
        links
    }

    /// What can stand behind `#` in a link to this document.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The cells of every row of every table, heads included.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.prose().into_iter().filter_map(|(_, line)| line.strip_prefix('|')?.strip_suffix('|'));
        rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}
