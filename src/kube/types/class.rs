//! SecretProviderClass: which provider, and with what parameters.
//!
//! It is read by hand rather than derived, because its text comes from users: a wrong shape must be answered
//! with the field's name and what is expected there, and never with a value. And it may be as large as the API server
//! stores objects, on as many nodes as there are: what is held of it has limits, which docs/limits.md names.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer};

use super::parameters::{
    LARGEST_PARAMETERS_BYTES, MOST_PARAMETERS, Parameters, ParametersReader, ReadParameters,
};
use super::secret_objects::{
    LARGEST_SECRET_OBJECTS_BYTES, MOST_SECRET_OBJECTS, SecretObjects, SecretObjectsReader,
};
use super::tolerant::{ByShape, Name, Shaped, Shapes};
use super::watched::{ObjectKey, Watched};
use crate::resource::{CLASSES, Resource};
use crate::transport::Form;
use base::text::printable;

/// A SecretProviderClass, as far as the driver reads it. It is never written back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretProviderClass {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity given by the server.
    pub uid: String,
    /// Version of this content.
    pub resource_version: String,
    /// Counts changes of the specification; zero when the server did not say.
    pub generation: i64,
    /// Name of the provider; empty when the class names none.
    pub provider: String,
    /// Parameters for the provider; empty when the class has none.
    pub parameters: Parameters,
    /// The `secretObjects` field as it stands; an empty list when absent.
    pub secret_objects: SecretObjects,
}

/// A field does not have the type that the API prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// Path of the field, printable and bounded.
    pub field: String,
    /// What should have been there.
    pub expected: &'static str,
}

/// Reads a class. Absent fields and `null` are the empty value; of several fields of a wrong type the first is told.
#[derive(Clone, Copy, Debug)]
pub enum ClassSeed {
    /// With parameters that are of a usual size.
    Usual,
    /// With all parameters that the API server stores.
    Whole,
}

impl SecretProviderClass {
    /// Where the class exceeds what one class should be, in words for its author.
    pub fn excess(&self) -> Option<String> {
        let mut excess = Vec::new();
        if let Parameters::TooLarge { count, bytes } = &self.parameters {
            excess.push(format!(
                "its {count} parameters of {bytes} bytes are used, but not kept, so that it is read anew for each \
                 refresh ({MOST_PARAMETERS} of {LARGEST_PARAMETERS_BYTES} bytes are kept)"
            ));
        }
        if let Some((kept, count)) = self.secret_objects.left_out() {
            excess.push(format!(
                "of its {count} secretObjects only the first {kept} are looked at (one class may have \
                 {MOST_SECRET_OBJECTS}, with texts of {LARGEST_SECRET_OBJECTS_BYTES} bytes)"
            ));
        }
        if excess.is_empty() {
            None
        } else {
            Some(format!("class {} is too large: {}", self.key, excess.join("; ")))
        }
    }
}

impl<'de> Deserialize<'de> for SecretProviderClass {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretProviderClass, D::Error> {
        ClassSeed::Usual.deserialize(from)?.map_err(serde::de::Error::custom)
    }
}

impl<'de> DeserializeSeed<'de> for ClassSeed {
    type Value = Result<SecretProviderClass, ShapeError>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        ByShape(self).deserialize(from)
    }
}

impl<'de> Shapes<'de> for ClassSeed {
    type Value = Result<SecretProviderClass, ShapeError>;

    fn wrong(self) -> Self::Value {
        Err(wrong("the object", OBJECT))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Field {
            Metadata,
            Spec,
            #[serde(other)]
            Other,
        }
        let (mut metadata, mut spec) = (Shaped::default(), Shaped::default());
        while let Some(field) = object.next_key()? {
            match field {
                Field::Metadata => metadata = object.next_value_seed(ByShape(MetadataReader))?,
                Field::Spec => spec = object.next_value_seed(ByShape(SpecReader(self)))?,
                Field::Other => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(class(metadata, spec))
    }
}

/// The class of these fields, each looked at in its turn.
fn class(metadata: Shaped<Metadata>, spec: Shaped<Spec>) -> Result<SecretProviderClass, ShapeError> {
    let metadata = metadata.expect("metadata", OBJECT)?;
    let spec = spec.expect("spec", OBJECT)?;
    let parameters = spec.parameters.expect("spec.parameters", OBJECT)?;
    let parameters = parameters.map_err(|key| wrong(&format!("spec.parameters[{key}]"), TEXT))?;
    Ok(SecretProviderClass {
        key: ObjectKey {
            namespace: metadata.namespace.expect("metadata.namespace", TEXT)?,
            name: metadata.name.expect("metadata.name", TEXT)?,
        },
        uid: metadata.uid.expect("metadata.uid", TEXT)?,
        resource_version: metadata.resource_version.expect("metadata.resourceVersion", TEXT)?,
        generation: metadata.generation,
        provider: spec.provider.expect("spec.provider", TEXT)?,
        parameters,
        secret_objects: spec.secret_objects,
    })
}

impl<T> Shaped<T> {
    fn expect(self, field: &str, expected: &'static str) -> Result<T, ShapeError> {
        match self {
            Shaped::Is(value) => Ok(value),
            Shaped::Wrong | Shaped::TooMany(_) | Shaped::TooLong(_) => Err(wrong(field, expected)),
        }
    }
}

#[derive(Default)]
struct Metadata {
    namespace: Shaped<String>,
    name: Shaped<String>,
    uid: Shaped<String>,
    resource_version: Shaped<String>,
    generation: i64,
}

struct MetadataReader;

impl<'de> Shapes<'de> for MetadataReader {
    type Value = Shaped<Metadata>;

    fn wrong(self) -> Shaped<Metadata> {
        Shaped::Wrong
    }

    fn null(self) -> Shaped<Metadata> {
        Shaped::default()
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Shaped<Metadata>, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Field {
            Namespace,
            Name,
            Uid,
            ResourceVersion,
            Generation,
            #[serde(other)]
            Other,
        }
        let mut metadata = Metadata::default();
        while let Some(field) = object.next_key()? {
            match field {
                Field::Namespace => metadata.namespace = object.next_value_seed(ByShape(Name))?,
                Field::Name => metadata.name = object.next_value_seed(ByShape(Name))?,
                Field::Uid => metadata.uid = object.next_value_seed(ByShape(Name))?,
                Field::ResourceVersion => {
                    metadata.resource_version = object.next_value_seed(ByShape(Name))?
                }
                Field::Generation => metadata.generation = object.next_value_seed(ByShape(Number))?,
                Field::Other => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Shaped::Is(metadata))
    }
}

/// A number; zero for anything else.
struct Number;

impl Shapes<'_> for Number {
    type Value = i64;

    fn wrong(self) -> i64 {
        0
    }

    fn integer(self, number: i64) -> i64 {
        number
    }
}

struct Spec {
    provider: Shaped<String>,
    parameters: ReadParameters,
    secret_objects: SecretObjects,
}

impl Default for Spec {
    fn default() -> Spec {
        let parameters = Shaped::Is(Ok(Parameters::default()));
        Spec { provider: Shaped::default(), parameters, secret_objects: SecretObjects::default() }
    }
}

struct SpecReader(ClassSeed);

impl<'de> Shapes<'de> for SpecReader {
    type Value = Shaped<Spec>;

    fn wrong(self) -> Shaped<Spec> {
        Shaped::Wrong
    }

    fn null(self) -> Shaped<Spec> {
        Shaped::default()
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Shaped<Spec>, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Field {
            Provider,
            Parameters,
            SecretObjects,
            #[serde(other)]
            Other,
        }
        let parameters = match self.0 {
            ClassSeed::Usual => ParametersReader::HELD,
            ClassSeed::Whole => ParametersReader::ALL,
        };
        let mut spec = Spec::default();
        while let Some(field) = object.next_key()? {
            match field {
                Field::Provider => spec.provider = object.next_value_seed(ByShape(Name))?,
                Field::Parameters => spec.parameters = object.next_value_seed(ByShape(parameters))?,
                Field::SecretObjects => {
                    spec.secret_objects = object.next_value_seed(ByShape(SecretObjectsReader))?;
                }
                Field::Other => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Shaped::Is(spec))
    }
}

impl Watched for SecretProviderClass {
    const RESOURCE: &'static Resource = &CLASSES;
    const FORM: Form = Form::Whole;
    const PAGE: u32 = 100;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.resource_version
    }
}

fn wrong(field: &str, expected: &'static str) -> ShapeError {
    ShapeError { field: printable(field, LONGEST_FIELD_BYTES), expected }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", self.field, self.expected)
    }
}

impl std::error::Error for ShapeError {}

/// Keys of parameters are users' text without a limit of their own.
const LONGEST_FIELD_BYTES: usize = 200;
const OBJECT: &str = "an object";
const TEXT: &str = "a string";

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(object: Value) -> Result<SecretProviderClass, ShapeError> {
        // As text, which is what comes.
        let text = object.to_string();
        ClassSeed::Usual.deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap()
    }

    fn held(texts: &[(&str, &str)]) -> Parameters {
        Parameters::Held(texts.iter().copied().collect())
    }

    #[test]
    fn a_whole_class_is_read() {
        let objects = json!([{"secretName": "s", "type": "t", "unknown": [1, null]}]);
        let class = read(json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {
                "name": "db", "namespace": "team", "uid": "u", "resourceVersion": "7", "generation": 3,
            },
            "spec": {"provider": "vault", "parameters": {"role": "r", "empty": ""}, "secretObjects": objects},
        }))
        .unwrap();
        assert_eq!((class.key.to_string(), class.uid.as_str()), ("team/db".to_owned(), "u"));
        assert_eq!((class.resource_version.as_str(), class.generation), ("7", 3));
        assert_eq!(class.provider, "vault");
        assert_eq!(class.parameters, held(&[("role", "r"), ("empty", "")]));
        assert_eq!(class.secret_objects, serde_json::from_value(objects).unwrap());
        assert!(!class.secret_objects.is_empty() && class.excess().is_none());
    }

    #[test]
    fn what_is_absent_or_null_is_empty() {
        for (name, object) in [
            ("nothing at all", json!({})),
            ("null spec", json!({"metadata": null, "spec": null})),
            ("null fields", json!({"spec": {"provider": null, "parameters": null, "secretObjects": null}})),
        ] {
            assert_eq!(read(object).unwrap(), SecretProviderClass::default(), "{name}");
        }
        let class = read(json!({"spec": {"parameters": {"a": null}}})).unwrap();
        assert_eq!(class.parameters, held(&[("a", "")]));
    }

    #[test]
    fn a_wrong_shape_is_told_by_field_and_never_by_value() {
        let table = [
            ("not an object", json!(["hunter2"]), "the object is not an object"),
            ("metadata", json!({"metadata": "hunter2"}), "metadata is not an object"),
            ("spec", json!({"spec": ["hunter2"]}), "spec is not an object"),
            ("provider", json!({"spec": {"provider": {"hunter2": 1}}}), "spec.provider is not a string"),
            ("parameters", json!({"spec": {"parameters": "hunter2"}}), "spec.parameters is not an object"),
            (
                "number",
                json!({"spec": {"parameters": {"port": 443}}}),
                "spec.parameters[port] is not a string",
            ),
            (
                "list",
                json!({"spec": {"parameters": {"k": ["hunter2"]}}}),
                "spec.parameters[k] is not a string",
            ),
        ];
        for (name, object, text) in table {
            assert_eq!(read(object).unwrap_err().to_string(), text, "{name}");
        }
    }

    #[test]
    fn a_hostile_key_is_shown_printable_and_short() {
        let mut parameters = Map::new();
        parameters.insert("\n".repeat(9_999), json!(1));
        let error = read(json!({"spec": {"parameters": parameters}})).unwrap_err();
        assert!(error.to_string().len() < 300 && !error.to_string().contains('\n'));
    }

    #[test]
    fn of_several_wrong_fields_the_first_is_told_wherever_it_stands() {
        let parameters = r#""parameters":{"b":1,"a":[],"c":{}}"#;
        let text = format!(r#"{{"spec":{{"provider":7,{parameters}}},"metadata":{{"name":7}}}}"#);
        let read = ClassSeed::Usual.deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap();
        assert_eq!(read.unwrap_err().to_string(), "spec.parameters[a] is not a string");
    }

    #[test]
    fn parameters_are_held_up_to_their_limits_and_beyond_them_counted() {
        let class = |parameters: &Map<String, Value>, seed: ClassSeed| {
            let object = json!({"spec": {"parameters": parameters}});
            seed.deserialize(object).unwrap().unwrap()
        };
        let of = |count: usize| (0..count).map(|number| (number.to_string(), json!(""))).collect();
        assert!(matches!(class(&of(1024), ClassSeed::Usual).parameters, Parameters::Held(_)));
        let many = class(&of(1025), ClassSeed::Usual);
        assert_eq!(
            many.parameters,
            Parameters::TooLarge { count: 1025, bytes: 1025 * 6 + 10 + 90 * 2 + 900 * 3 + 25 * 4 }
        );
        let Parameters::Held(all) = class(&of(1025), ClassSeed::Whole).parameters else { panic!() };
        assert_eq!(all.len(), 1025);
        // A control character takes six bytes as JSON.
        let large = |length: usize| Map::from_iter([("a".to_owned(), json!("\u{1}".repeat(length)))]);
        assert!(matches!(class(&large(21_844), ClassSeed::Usual).parameters, Parameters::Held(_)));
        let larger = class(&large(21_845), ClassSeed::Usual);
        assert_eq!(larger.parameters, Parameters::TooLarge { count: 1, bytes: 131_077 });
        assert!(!larger.parameters.is_empty());
        let largest = class(&large(4 << 20), ClassSeed::Whole).parameters;
        assert!(matches!(largest, Parameters::TooLarge { .. }), "nobody stores that");
    }

    #[test]
    fn a_wrong_parameter_is_told_however_many_there_are() {
        let mut parameters: Map<String, Value> =
            (0..9_999).map(|n| (format!("k{n:04}"), json!("x"))).collect();
        parameters.insert("k0000".to_owned(), json!(443));
        let error = read(json!({"spec": {"parameters": parameters}})).unwrap_err();
        assert_eq!(error.to_string(), "spec.parameters[k0000] is not a string");
    }

    #[test]
    fn what_a_class_has_too_much_of_is_told_in_one_sentence() {
        let parameters: Map<String, Value> = (0..1100).map(|n| (n.to_string(), json!("hunter2"))).collect();
        let spec = json!({"parameters": parameters, "secretObjects": vec![json!({}); 999]});
        let class = read(json!({"metadata": {"namespace": "team", "name": "db"}, "spec": spec})).unwrap();
        let excess = class.excess().unwrap();
        assert_eq!(
            excess,
            "class team/db is too large: its 1100 parameters of 17590 bytes are used, but not kept, so that it is read \
             anew for each refresh (1024 of 131072 bytes are kept); of its 999 secretObjects only the first 128 are \
             looked at (one class may have 128, with texts of 196608 bytes)"
        );
    }
}
