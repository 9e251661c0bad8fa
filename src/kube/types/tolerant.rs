//! Reading what may have any shape: a wrong one is a value like any other, which is told by whoever knows the field's
//! name, and what is not kept takes no memory.
//!
//! An untyped tree of the same text would take a hundred times its size, at the choice of the text's author.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is made of each shape. All but `wrong` are wrong unless said otherwise.
pub trait Shapes<'de>: Sized {
    /// What is read.
    type Value;

    /// Of any other shape than wanted.
    fn wrong(self) -> Self::Value;

    /// `null`.
    fn null(self) -> Self::Value {
        self.wrong()
    }

    /// A whole number.
    fn integer(self, _: i64) -> Self::Value {
        self.wrong()
    }

    /// A text.
    fn text(self, _: &str) -> Self::Value {
        self.wrong()
    }

    /// A list.
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.wrong())
    }

    /// An object.
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.wrong())
    }
}

/// A value that should have one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shaped<T> {
    /// It has.
    Is(T),
    /// It has another.
    Wrong,
    /// It has more entries than this, and was not kept.
    TooMany(usize),
    /// It has more bytes than this, and was not kept.
    TooLong(usize),
}

/// Reads by shape.
pub struct ByShape<S>(pub S);

impl<'de, S: Shapes<'de>> DeserializeSeed<'de> for ByShape<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: Shapes<'de>> Visitor<'de> for ByShape<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<S::Value, E> {
        Ok(self.0.wrong())
    }

    fn visit_i64<E>(self, number: i64) -> Result<S::Value, E> {
        Ok(self.0.integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<S::Value, E> {
        Ok(match i64::try_from(number) {
            Ok(number) => self.0.integer(number),
            Err(_) => self.0.wrong(),
        })
    }

    fn visit_f64<E>(self, _: f64) -> Result<S::Value, E> {
        Ok(self.0.wrong())
    }

    fn visit_unit<E>(self) -> Result<S::Value, E> {
        Ok(self.0.null())
    }

    fn visit_str<E>(self, text: &str) -> Result<S::Value, E> {
        Ok(self.0.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<S::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<S::Value, A::Error> {
        self.0.object(object)
    }
}

impl<T: Default> Default for Shaped<T> {
    /// What is absent is empty.
    fn default() -> Shaped<T> {
        Shaped::Is(T::default())
    }
}

/// A name: of one that is longer than any that is legal, its beginning.
pub struct Name;

impl<'de> Shapes<'de> for Name {
    type Value = Shaped<String>;

    fn wrong(self) -> Shaped<String> {
        Shaped::Wrong
    }

    fn null(self) -> Shaped<String> {
        Shaped::default()
    }

    fn text(self, text: &str) -> Shaped<String> {
        Shaped::Is(beginning(text).to_owned())
    }
}

/// A key of an object, read like a name.
pub struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(beginning(text).to_owned())
    }
}

fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_NAME_BYTES)).unwrap_or_default()
}

/// Longer than every name, and every key of a label or an annotation, that Kubernetes takes.
const LONGEST_NAME_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_shape_is_read_to_its_end_and_told_as_wrong() {
        for value in
            [json!(true), json!(1), json!(-1), json!(1.5), json!([["x"], {}]), json!({"a": {"b": [1]}})]
        {
            let text = format!("[{value},{value}]");
            let mut reader = serde_json::Deserializer::from_str(&text);
            let read = serde::de::Deserializer::deserialize_seq(&mut reader, Two).unwrap();
            assert_eq!(read, [Shaped::Wrong, Shaped::Wrong], "{value}");
            reader.end().unwrap();
        }
    }

    struct Two;

    impl<'de> Visitor<'de> for Two {
        type Value = [Shaped<String>; 2];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("two")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut next = || list.next_element_seed(ByShape(Name)).map(Option::unwrap);
            let two = [next()?, next()?];
            assert!(list.next_element::<IgnoredAny>()?.is_none());
            Ok(two)
        }
    }

    #[test]
    fn of_a_name_longer_than_any_the_beginning_is_kept() {
        let read = |text: &str| ByShape(Name).deserialize(json!(text)).unwrap();
        assert_eq!(read("db"), Shaped::Is("db".to_owned()));
        let Shaped::Is(kept) = read(&"ä".repeat(9_999)) else { panic!() };
        assert_eq!(kept, "ä".repeat(256));
    }
}
