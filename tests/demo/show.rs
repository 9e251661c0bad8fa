//! Exhibits: what lies in a volume, how it is mounted, what the API server has, as lines for a reader.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use base::secret::SecretBytes;
use serde_json::Value;

use crate::store::Objects;

/// A file as an application sees it.
pub struct SeenFile {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Contents.
    pub contents: SecretBytes,
}

/// The files of a volume by path. The driver's own names, which begin with two dots, are passed over.
pub fn files(volume: &Path) -> io::Result<BTreeMap<String, SeenFile>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![(volume.to_owned(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() && name.starts_with("..") {
                continue;
            }
            let metadata = fs::metadata(entry.path())?;
            if metadata.is_dir() {
                pending.push((entry.path(), format!("{prefix}{name}/")));
                continue;
            }
            let contents = SecretBytes::new(fs::read(entry.path())?);
            let owner = (metadata.uid(), metadata.gid());
            let mode = metadata.permissions().mode() & 0o7777;
            found.insert(format!("{prefix}{name}"), SeenFile { mode, owner, contents });
        }
    }
    Ok(found)
}

/// What the files hold.
pub fn contents(files: &BTreeMap<String, SeenFile>) -> Objects {
    files.iter().map(|(name, file)| (name.clone(), file.contents.clone())).collect()
}

/// Lines like those of `ls -l`; with their contents only where those are made up.
pub fn listing(files: &BTreeMap<String, SeenFile>, shows_contents: bool) -> Vec<String> {
    let widest = files.values().map(|file| file.contents.len().to_string().len()).max().unwrap_or(1);
    let longest = files.keys().map(|name| plain(name).chars().count()).max().unwrap_or(1);
    let line = |(name, file): (&String, &SeenFile)| {
        let (mode, owner) = (mode(file.mode), owner(file.owner));
        let (name, size) = (plain(name), file.contents.len());
        let line = format!("{mode}  {owner}  {size:widest$} bytes  {name}");
        if !shows_contents {
            return line;
        }
        let pad = " ".repeat(longest - name.chars().count());
        format!("{line}{pad}  \"{}\"", plain(&String::from_utf8_lossy(file.contents.expose())))
    };
    let mut lines: Vec<String> = files.iter().take(MOST_LINES).map(line).collect();
    if files.len() > MOST_LINES {
        lines.push(format!("... and {} more", files.len() - MOST_LINES));
    }
    lines
}

/// The kernel's lines about mounts at a place, as (source, options), the place left out.
pub fn mounts_at(place: &Path) -> io::Result<Vec<(String, String)>> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    let place = place.to_string_lossy().replace('\\', "\\134").replace(' ', "\\040");
    let entry = |line: &str| {
        let mut fields = line.split(' ');
        let (_source, at, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (at == place).then(|| (kind.to_owned(), options.to_owned()))
    };
    Ok(table.lines().filter_map(entry).collect())
}

/// The class in the form in which a user writes it.
pub fn class(class: &Value) -> Vec<String> {
    let mut lines = vec![
        "kind: SecretProviderClass".to_owned(),
        format!("metadata: {{name: {}}}", text(&class["metadata"]["name"])),
        "spec:".to_owned(),
        format!("  provider: {}", text(&class["spec"]["provider"])),
        "  parameters:".to_owned(),
    ];
    for (key, value) in class["spec"]["parameters"].as_object().into_iter().flatten() {
        let value = text(value);
        if value.contains('\n') {
            lines.push(format!("    {key}: |"));
            lines.extend(value.lines().map(|line| format!("      {line}")));
        } else {
            lines.push(format!("    {key}: {value}"));
        }
    }
    lines
}

/// The pod status, in the form in which `kubectl` would show it.
pub fn pod_status(status: &Value) -> Vec<String> {
    let owner = &status["metadata"]["ownerReferences"][0];
    let mut lines = vec![
        "kind: SecretProviderClassPodStatus".to_owned(),
        format!("metadata: {{name: {}}}", text(&status["metadata"]["name"])),
        format!("owner: {} {}", text(&owner["kind"]), text(&owner["name"])),
        "status:".to_owned(),
        format!("  podName: {}", text(&status["status"]["podName"])),
        format!("  secretProviderClassName: {}", text(&status["status"]["secretProviderClassName"])),
        format!("  mounted: {}", status["status"]["mounted"]),
        "  objects:".to_owned(),
    ];
    let objects = status["status"]["objects"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |object: &Value| {
        format!("  - {{id: {}, version: {}}}", plain(text(&object["id"])), text(&object["version"]))
    };
    lines.extend(objects.iter().take(MOST_LINES).map(line));
    if objects.len() > MOST_LINES {
        lines.push(format!("  ... and {} more", objects.len() - MOST_LINES));
    }
    lines
}

/// The text of a JSON string, empty for anything else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A time for people.
pub fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// A text on one line, whatever is in it: control characters could do more to a terminal than be seen.
pub fn plain(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

fn mode(mode: u32) -> String {
    let bit = |shift: u32, letter: char| if mode >> shift & 1 == 1 { letter } else { '-' };
    let letters = (0..9).map(|index: u32| bit(8 - index, ['r', 'w', 'x'][index as usize % 3]));
    format!("-{} {mode:04o}", letters.collect::<String>())
}

fn owner((user, group): (u32, u32)) -> String {
    if (user, group) == (0, 0) { "root:root".to_owned() } else { format!("{user}:{group}") }
}

/// More would drown the story.
const MOST_LINES: usize = 20;
