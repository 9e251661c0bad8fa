//! Watches: what changed after a version, as a stream of lines.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kinds::kind;
use super::list::unparsed;
use super::media::Form;
use super::request::{Place, Request};
use super::selector::Selector;
use super::status::{self, Answer};
use super::store::{Change, Store};
use super::{Shared, locked};

/// A watch that has been granted.
pub struct Watch {
    place: Place,
    form: Form,
    selector: Selector,
    /// `None` begins with everything that is there.
    from: Option<u64>,
    end: Instant,
    wants_bookmarks: bool,
}

impl Watch {
    /// The watch that a request asks for.
    pub fn of(request: &Request) -> Result<Watch, Answer> {
        let place = request.place.clone().unwrap_or_default();
        let form = Form::negotiated(&request.accept, false)?;
        let selector = Selector::of(request, &place).map_err(|why| status::bad_request(&why))?;
        let from = match request.parameter("resourceVersion").as_str() {
            "" | "0" => None,
            text => Some(text.parse().map_err(|_| status::unforeseen(&unparsed(text)))?),
        };
        let seconds = request.parameter("timeoutSeconds").parse().unwrap_or(LONGEST_WATCH);
        Ok(Watch {
            place,
            form,
            selector,
            from,
            end: Instant::now() + Duration::from_secs(seconds),
            wants_bookmarks: request.flag("allowWatchBookmarks"),
        })
    }

    /// Streams until the timeout asked for, the end of all watches, or the end of the server; the chunks alone,
    /// without a head.
    pub fn run(self, shared: &Shared, stream: &mut impl Write) -> io::Result<()> {
        let signals = *locked(&shared.watch_signals);
        let mut bookmarks = signals.bookmarks;
        let mut next_bookmark = Instant::now() + BOOKMARK_PERIOD;
        let (mut version, lines) = match self.first_lines(&locked(&shared.store)) {
            Ok(first) => first,
            Err(error) => {
                write_lines(stream, &[error])?;
                return write_chunk(stream, "");
            }
        };
        write_lines(stream, &lines)?;
        loop {
            let news = *locked(&shared.change);
            let signals_now = *locked(&shared.watch_signals);
            let (latest, mut lines) = self.lines_after(&locked(&shared.store), version);
            version = version.max(latest);
            let is_time = Instant::now() >= next_bookmark || signals_now.bookmarks != bookmarks;
            if self.wants_bookmarks && is_time {
                lines.push(self.bookmark(version));
                next_bookmark = Instant::now() + BOOKMARK_PERIOD;
            }
            bookmarks = signals_now.bookmarks;
            write_lines(stream, &lines)?;
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.is_stopped() || signals_now.ends != signals.ends {
                return write_chunk(stream, "");
            }
            shared.wait_for_news(news, left.min(BOOKMARK_PERIOD));
        }
    }

    /// The version to go on from, and what is there already if no version was named; or the error event of a
    /// version that is forgotten.
    fn first_lines(&self, store: &Store) -> Result<(u64, Vec<Value>), Value> {
        let Place { group, plural, namespace, .. } = &self.place;
        let Some(from) = self.from else {
            let objects = store.list(group, plural, namespace).map(|(_, object)| object);
            let selected = objects.filter(|object| self.selector.selects(object));
            return Ok((store.version(), selected.map(|object| self.line("ADDED", object)).collect()));
        };
        if !store.remembers(from) {
            let oldest = store.oldest();
            let gone = status::expired(&format!("too old resource version: {from} ({oldest})"));
            return Err(json!({"type": "ERROR", "object": gone.body_value()}));
        }
        Ok((from, Vec::new()))
    }

    fn lines_after(&self, store: &Store, version: u64) -> (u64, Vec<Value>) {
        let Place { group, plural, namespace, .. } = &self.place;
        let is_meant = |change: &&Change| {
            let key = &change.key;
            key.0 == *group && key.1 == *plural && (namespace.is_empty() || key.2 == *namespace)
        };
        let changes = store.changes_after(version).filter(is_meant);
        (store.version(), changes.filter_map(|change| self.event(change)).collect())
    }

    /// A change as this watch sees it: what begins to be selected is added, what ceases to be is deleted.
    fn event(&self, change: &Change) -> Option<Value> {
        let selected = |object: &Option<Value>| object.clone().filter(|object| self.selector.selects(object));
        match (selected(&change.before), selected(&change.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(self.line("ADDED", &after)),
            (Some(_), Some(after)) => Some(self.line("MODIFIED", &after)),
            // Shown as it was last selected, at the version at which that ended.
            (Some(mut before), None) => {
                before["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.line("DELETED", &before))
            }
        }
    }

    fn line(&self, kind: &str, object: &Value) -> Value {
        json!({"type": kind, "object": self.form.object(object)})
    }

    fn bookmark(&self, version: u64) -> Value {
        let (kind, api_version) = match self.form {
            Form::Full => (kind(&self.place.plural), self.place.api_version()),
            Form::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let metadata = json!({"resourceVersion": version.to_string()});
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        json!({"type": "BOOKMARK", "object": object})
    }
}

/// What tests tell the watches that run: each counts up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    /// All watches end.
    pub ends: u64,
    /// All watches that want bookmarks get one.
    pub bookmarks: u64,
}

/// The original writes the type before the object.
fn write_lines(stream: &mut impl Write, lines: &[Value]) -> io::Result<()> {
    let text = |line: &Value| format!("{{\"type\":{},\"object\":{}}}\n", line["type"], line["object"]);
    lines.iter().try_for_each(|line| write_chunk(stream, &text(line)))
}

fn write_chunk(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())?;
    stream.flush()
}

/// In seconds; the original ends a watch that asks for nothing after half an hour to an hour.
const LONGEST_WATCH: u64 = 1800;
/// How often a watch hears of a version in which nothing of its own changed.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
