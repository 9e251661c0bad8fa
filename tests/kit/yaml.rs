//! Reads YAML as far as manifests go: no anchors, no tags.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The documents of a file; panics where there are none to be had.
pub fn read(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The documents of a text.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let (mut documents, mut open) = (Vec::new(), Vec::<Open>::new());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let done = match event {
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open::Sequence(Vec::new()));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Mapping(map, _)) => Value::Object(map),
                Some(Open::Sequence(items)) => Value::Array(items),
                None => return Err("more ends than beginnings".to_owned()),
            },
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::Alias(_) => return Err(format!("line {}: an alias", span.start.line())),
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(done),
            Some(Open::Sequence(items)) => items.push(done),
            Some(Open::Mapping(map, key)) => match key.take() {
                Some(key) => drop(map.insert(key, done)),
                None => {
                    let text = done.as_str().map(str::to_owned);
                    *key = Some(
                        text.ok_or_else(|| format!("line {}: a key that is no text", span.start.line()))?,
                    );
                }
            },
        }
    }
    Ok(documents)
}

/// What has begun and not ended: a list, or a mapping with the key whose value comes next.
enum Open {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" | "~" | "" => Value::Null,
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}
