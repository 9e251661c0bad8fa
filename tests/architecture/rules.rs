//! The rules, each from sources to complaints. What they allow is in the tables of the root.

use std::collections::BTreeSet;

use super::source::{Kind, Source, words};

/// A crate, or a module of the driver's own, and which parts of another it may name; of what is not listed it may name
/// all that its manifest lets it see.
pub type Part<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Complaints about paths into parts that the table does not list, and about parts that are listed and not named.
pub fn parts(sources: &[Source], table: &[Part<'_>]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let module = source.module();
        let Some(own) = module.first() else { continue };
        for path in source.crate_paths() {
            let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            let Some((target, inside)) = segments.split_first() else { continue };
            let Some(row) = table.iter().position(|(from, to, _)| from == own && to == target) else {
                continue;
            };
            let (_, _, allowed) = table[row];
            let permit =
                allowed.iter().find(|part| inside.starts_with(&part.split("::").collect::<Vec<_>>()));
            match permit {
                Some(permit) => drop(used.insert((row, *permit))),
                None => complaints.push(format!(
                    "{}:{}: {own} must not know {}",
                    source.path,
                    path.line,
                    segments.join("::")
                )),
            }
        }
    }
    for (row, (from, to, allowed)) in table.iter().enumerate() {
        for part in allowed.iter().filter(|part| !used.contains(&(row, **part))) {
            complaints.push(format!("the table lets {from} name {to}::{part}, which it does not"));
        }
    }
    complaints
}

/// Complaints about crates that depend on one that stands above them in `order`, or on one that they do not name.
/// `crates` are names with the manifests and with the text of all that is in them.
pub fn walls(order: &[&str], crates: &[(&str, String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let height = |name: &str| order.iter().position(|ours| *ours == name);
    for (name, manifest, text) in crates {
        let Some(own) = height(name) else {
            complaints.push(format!("{name} is not in the list of crates from the top down"));
            continue;
        };
        for (dependency, ..) in direct_dependencies(manifest) {
            let library = dependency
                .trim_end_matches(".workspace")
                .trim_start_matches("secrets-store-")
                .trim_end_matches("-double")
                .replace('-', "_");
            if height(&library).is_some_and(|height| height <= own) {
                complaints.push(format!("{name} must not know {library}, which stands above it"));
            }
            // An attribute of a derive names its crate without a path.
            if !text.contains(&format!("{library}::")) {
                complaints.push(format!("{name} depends on {library} and does not name it"));
            }
        }
    }
    complaints
}

/// A crate, or a part of the standard library, and the files or directories that may name it.
pub type Owner<'a> = (&'a str, &'a [&'a str]);

/// Complaints about files that name what is not theirs.
pub fn owners(sources: &[Source], table: &[Owner<'_>]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (outside, places) in table {
        let names: Vec<&str> = outside.split("::").collect();
        let mut used = BTreeSet::new();
        for source in sources.iter().filter(|source| !source.is_generated()) {
            let place = places.iter().find(|place| {
                source.path == **place || place.ends_with('/') && source.path.starts_with(**place)
            });
            for line in source.lines_naming(&names) {
                match place {
                    Some(place) => drop(used.insert(*place)),
                    None => complaints.push(format!("{}:{line}: must not name {outside}", source.path)),
                }
            }
        }
        for place in places.iter().filter(|place| !used.contains(*place)) {
            complaints.push(format!("the table lets {place} name {outside}, which it does not"));
        }
    }
    complaints
}

/// Complaints about what could print a message's fields, in files that work with messages: a `?` in a format, and
/// a derived `Debug` around a message. A heuristic: it does not know types.
pub fn printed_messages(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let works_with_messages =
            source.crate_paths().iter().any(|path| path.segments.iter().any(|segment| segment == "pb"));
        if !works_with_messages {
            continue;
        }
        let marks: Vec<Option<char>> = source
            .words
            .iter()
            .map(|word| if let Kind::Mark(mark) = word.kind { Some(mark) } else { None })
            .collect();
        for (at, word) in source.words.iter().enumerate() {
            let complains = match &word.kind {
                Kind::Text(text) => text.contains(":?}") || text.contains(":#?}"),
                // `log::info!(request:? = x; "...")`
                Kind::Mark(':') => marks.get(at + 1..at + 3) == Some(&[Some('?'), Some('=')][..]),
                Kind::Name(name) => name == "dbg" || name == "Debug" && debugs_a_message(source, at),
                _ => false,
            };
            if complains {
                complaints
                    .push(format!("{}:{}: could print the fields of a message", source.path, word.line));
            }
        }
    }
    complaints
}

/// Whether the `Debug` at `at` is derived for a type with a message in it.
fn debugs_a_message(source: &Source, at: usize) -> bool {
    let name = |word: &Kind, text: &str| *word == Kind::Name(text.to_owned());
    let words: Vec<&Kind> = source.words.iter().skip(at).map(|word| &word.kind).collect();
    let Some(item) = words.iter().position(|word| name(word, "struct") || name(word, "enum")) else {
        return false;
    };
    // Between the derive and its type stand only attributes and a visibility.
    let is_derive =
        !words[..item].iter().any(|word| name(word, "fn") || name(word, "impl") || name(word, "use"));
    let mut depth = 0;
    for pair in words[item..].windows(2) {
        match pair[0] {
            Kind::Mark('{' | '(') => depth += 1,
            Kind::Mark('}' | ')') => depth -= 1,
            _ => {}
        }
        if is_derive && name(pair[0], "pb") && *pair[1] == Kind::Separator {
            return true;
        }
        if depth == 0 && matches!(pair[0], Kind::Mark('}' | ';')) {
            return false;
        }
    }
    false
}

/// Complaints about words that stand for something this program does without.
pub fn words_without_a_place<'a>(
    sources: impl IntoIterator<Item = &'a Source>,
    table: &[(&str, &str)],
) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for word in &source.words {
            let Kind::Name(name) = &word.kind else { continue };
            for (_, why) in table.iter().filter(|(forbidden, _)| forbidden == name) {
                complaints.push(format!("{}:{}: {name}: {why}", source.path, word.line));
            }
        }
    }
    complaints
}

/// The files that a manifest has crates begin with, and those with which they begin unless it says otherwise.
pub fn crate_roots(manifest: &str, text: &str) -> Vec<String> {
    let directory = manifest.trim_end_matches("Cargo.toml");
    let named = text.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    named.chain(["src/lib.rs", "src/main.rs"]).map(|path| format!("{directory}{path}")).collect()
}

/// Complaints about files below a directory that no crate begins with and no file above them has as a module.
pub fn in_no_crate(directory: &str, sources: &[Source], roots: &[String]) -> Vec<String> {
    let declares = |path: &str, module: &str| {
        let file = sources.iter().find(|source| source.path == path);
        let mut names =
            file.map(|file| words(&file.text)).unwrap_or_default().into_iter().map(|word| word.kind);
        while let Some(kind) = names.next() {
            if kind == Kind::Name("mod".to_owned()) && names.next() == Some(Kind::Name(module.to_owned())) {
                return true;
            }
        }
        false
    };
    let is_in_a_crate = |source: &&Source| {
        if roots.contains(&format!("{directory}/{}", source.path)) {
            return true;
        }
        let path =
            source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix(".rs")).unwrap_or_default();
        let Some((above, module)) = path.rsplit_once('/') else {
            return declares("lib.rs", path) || declares("main.rs", path);
        };
        ["/lib.rs", "/main.rs", "/mod.rs", ".rs"].iter().any(|end| declares(&format!("{above}{end}"), module))
    };
    let lost = sources.iter().filter(|source| !is_in_a_crate(source));
    lost.map(|source| format!("{directory}/{}: is in no crate", source.path)).collect()
}

/// Complaints about attributes with one of these names in them.
pub fn attributes(sources: &[Source], forbidden: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        // How many brackets of an attribute are open.
        let (mut is_begun, mut depth) = (false, 0u32);
        for word in words(&source.text) {
            match &word.kind {
                Kind::Mark('#') if depth == 0 => is_begun = true,
                Kind::Mark('!') if is_begun => {}
                Kind::Mark('[') if is_begun || depth > 0 => (is_begun, depth) = (false, depth + 1),
                Kind::Mark(']') => depth = depth.saturating_sub(1),
                Kind::Name(name) if depth > 0 && forbidden.contains(&name.as_str()) => {
                    complaints.push(format!("{}:{}: {name} in an attribute", source.path, word.line));
                }
                _ => is_begun = false,
            }
        }
    }
    complaints
}

/// Complaints about files that do not begin by saying what they are for.
pub fn headers(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !source.is_generated() && !source.text.starts_with("//! "))
        .map(|source| format!("{}: does not begin with what it is for (//!)", source.path))
        .collect()
}

/// Complaints about files that are longer than `limit` lines outside tests, and about exceptions that are larger
/// than they need to be.
pub fn sizes(sources: &[Source], limit: usize, exceptions: &[(&str, usize, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let exception = exceptions.iter().find(|(path, ..)| *path == source.path);
        let allowed = exception.map_or(limit, |(_, lines, _)| *lines);
        if source.lines > allowed {
            complaints.push(format!("{}: {} lines, more than {allowed}", source.path, source.lines));
        } else if exception.is_some() && source.lines <= limit {
            complaints.push(format!("{}: needs no exception any more", source.path));
        }
    }
    for (path, ..) in exceptions {
        if !sources.iter().any(|source| source.path == *path) {
            complaints.push(format!("{path}: has an exception and does not exist"));
        }
    }
    complaints
}

/// Complaints about direct dependencies without a sentence above them or with default features. Ours need neither, and
/// those that the workspace shares have both there.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, line, above) in direct_dependencies(manifest) {
        if line.ends_with(".workspace = true") || line.contains("{ path = ") {
            continue;
        }
        if !above.starts_with("# ") {
            complaints.push(format!("{name}: no comment above it says what it is for"));
        }
        if !line.contains("default-features = false") {
            complaints.push(format!("{name}: default-features = false is missing"));
        }
    }
    complaints
}

/// Name, whole line, and the line above, of every direct dependency.
pub fn direct_dependencies(manifest: &str) -> Vec<(&str, &str, &str)> {
    let (mut found, mut in_dependencies, mut above) = (Vec::new(), false, "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once('=')
        {
            found.push((name.trim().trim_end_matches(".workspace"), line, above));
        }
        above = line;
    }
    found
}
