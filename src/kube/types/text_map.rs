//! Texts by name, in one piece of memory: a map of a hundred thousand short texts would otherwise take twenty times
//! what they are long.

use std::fmt;

/// Texts by name, in the order of names.
#[derive(Clone, Default)]
pub struct TextMap {
    text: String,
    entries: Vec<Entry>,
}

/// A name and its text, one behind the other.
#[derive(Clone, Copy)]
struct Entry {
    name_at: u32,
    value_at: u32,
    end: u32,
}

/// Collects texts.
#[derive(Default)]
pub struct TextMapBuilder(TextMap);

impl TextMapBuilder {
    /// Takes one in. Of two with one name the later one stays. False when there is no room for it.
    pub fn add(&mut self, name: &str, value: &str) -> bool {
        let TextMap { text, entries } = &mut self.0;
        let place = |at: usize| u32::try_from(at).ok();
        let (name_at, value_at) = (text.len(), text.len() + name.len());
        let (Some(name_at), Some(value_at), Some(end)) =
            (place(name_at), place(value_at), place(value_at + value.len()))
        else {
            return false;
        };
        text.push_str(name);
        text.push_str(value);
        entries.push(Entry { name_at, value_at, end });
        true
    }

    /// All that were taken in.
    pub fn build(self) -> TextMap {
        let TextMap { mut text, mut entries } = self.0;
        entries.sort_by(|one, other| one.name(&text).cmp(other.name(&text)));
        // Equals are in the order in which they came, and of each run the first is kept.
        entries.reverse();
        entries.dedup_by(|one, other| one.name(&text) == other.name(&text));
        entries.reverse();
        entries.shrink_to_fit();
        text.shrink_to_fit();
        TextMap { text, entries }
    }
}

impl TextMap {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.entries.binary_search_by(|entry| entry.name(&self.text).cmp(name)).ok()?;
        self.entries.get(at).map(|entry| entry.value(&self.text))
    }

    /// Names and texts, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.entries.iter().map(|entry| (entry.name(&self.text), entry.value(&self.text)))
    }

    /// Names, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }
}

impl Entry {
    fn name(self, text: &str) -> &str {
        part(text, self.name_at, self.value_at)
    }

    fn value(self, text: &str) -> &str {
        part(text, self.value_at, self.end)
    }
}

/// Both ends are where texts were joined, so there is such a part.
fn part(text: &str, from: u32, to: u32) -> &str {
    let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    text.get(place(from)..place(to)).unwrap_or_default()
}

impl<'a> FromIterator<(&'a str, &'a str)> for TextMap {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(texts: I) -> TextMap {
        let mut builder = TextMapBuilder::default();
        for (name, value) in texts {
            builder.add(name, value);
        }
        builder.build()
    }
}

impl PartialEq for TextMap {
    fn eq(&self, other: &TextMap) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for TextMap {}

impl fmt::Debug for TextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_name_and_come_in_the_order_of_names() {
        let map: TextMap = [("b", "2"), ("", "none"), ("a", ""), ("ä", "ö")].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("", "none"), ("a", ""), ("b", "2"), ("ä", "ö")]);
        assert_eq!([map.get("b"), map.get("a"), map.get("c")], [Some("2"), Some(""), None]);
        assert_eq!((map.len(), map.is_empty(), TextMap::default().is_empty()), (4, false, true));
        assert_eq!(format!("{map:?}"), r#"{"": "none", "a": "", "b": "2", "ä": "ö"}"#);
    }

    #[test]
    fn of_two_with_one_name_the_later_one_stays() {
        let map: TextMap = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", "4"), ("b", "2")]);
        assert_eq!(map, [("b", "2"), ("a", "4")].into_iter().collect());
        assert_ne!(map, [("b", "2"), ("a", "1")].into_iter().collect());
    }

    #[test]
    fn many_short_texts_take_little_more_than_their_length() {
        let names: Vec<String> = (0..100_000).map(|number| format!("{number:x}")).collect();
        let map: TextMap = names.iter().map(|name| (name.as_str(), "")).collect();
        let held = map.text.capacity() + map.entries.capacity() * size_of::<Entry>();
        assert!(held < 2_000_000, "{held} bytes");
    }
}
