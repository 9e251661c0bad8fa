//! One page of a list, whose objects are handed on one by one: only one of them is held at a time, so that a page of the
//! largest objects takes no more memory than any other.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::types::{Watched, null_as_empty};

/// What a page says beyond its objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The version that the list shows.
    pub version: String,
    /// Stands for the next page, if there is one.
    pub next: Option<String>,
}

/// Reads a page.
pub struct PageSeed<'a, T> {
    /// Takes each object as it comes. What breaks off in the middle is read again, so it may come twice.
    pub present: &'a dyn Fn(T),
    /// The kind of the objects.
    pub of: PhantomData<T>,
}

impl<T> Clone for PageSeed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PageSeed<'_, T> {}

impl<'de, T: Watched> DeserializeSeed<'de> for PageSeed<'_, T> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Page, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: Watched> Visitor<'de> for PageSeed<'_, T> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page::default();
        while let Some(field) = map.next_key()? {
            match field {
                Field::Metadata => {
                    let metadata: Option<PageMeta> = map.next_value()?;
                    let PageMeta { resource_version, next } = metadata.unwrap_or_default();
                    let next = Some(next).filter(|token| !token.is_empty());
                    page = Page { version: resource_version, next };
                }
                Field::Items => map.next_value_seed(ItemsSeed(self.present))?,
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(page)
    }
}

struct ItemsSeed<'a, T>(&'a dyn Fn(T));

impl<'de, T: Watched> DeserializeSeed<'de> for ItemsSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_option(self)
    }
}

/// A list without objects may say `null`.
impl<'de, T: Watched> Visitor<'de> for ItemsSeed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(object) = items.next_element()? {
            (self.0)(object);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMeta {
    #[serde(deserialize_with = "null_as_empty")]
    resource_version: String,
    #[serde(rename = "continue", deserialize_with = "null_as_empty")]
    next: String,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::types::Pod;

    fn read(text: &str) -> Result<(Page, Vec<String>), serde_json::Error> {
        let names = RefCell::new(Vec::new());
        let present = |pod: Pod| names.borrow_mut().push(pod.key.name);
        let seed = PageSeed { present: &present, of: PhantomData };
        let page = seed.deserialize(&mut serde_json::Deserializer::from_str(text))?;
        Ok((page, names.into_inner()))
    }

    #[test]
    fn objects_are_handed_on_in_order_and_the_rest_is_told() {
        let pod =
            |name: &str| format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{}}]}}}}"#);
        let items = format!(r#""items":[{},{}]"#, pod("a"), pod("b"));
        let metadata = r#""metadata":{"resourceVersion":"7","continue":"t","remainingItemCount":3}"#;
        for text in [format!("{{{items},{metadata}}}"), format!(r#"{{"kind":"PodList",{metadata},{items}}}"#)]
        {
            let (page, names) = read(&text).unwrap();
            assert_eq!(page, Page { version: "7".to_owned(), next: Some("t".to_owned()) });
            assert_eq!(names, ["a", "b"]);
        }
    }

    #[test]
    fn what_is_absent_or_null_is_empty() {
        let rows = [
            "{}",
            r#"{"metadata":null,"items":null}"#,
            r#"{"metadata":{"continue":null,"resourceVersion":null},"items":[]}"#,
            r#"{"metadata":{"continue":""}}"#,
        ];
        for row in rows {
            assert_eq!(read(row).unwrap(), (Page::default(), Vec::new()), "{row}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for row in
            ["[]", "7", r#"{"items":{}}"#, r#"{"items":[7]}"#, r#"{"metadata":[7]}"#, r#"{"items":[{}"#]
        {
            assert!(read(row).is_err(), "{row}");
        }
    }
}
