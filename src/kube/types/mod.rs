//! The API objects, with the fields that this driver reads or writes and no others.
//!
//! An object that is written back keeps every field it came with: what the driver does not know is carried
//! along in `rest`, so that an update never drops somebody else's label, annotation or a field of a newer
//! version. Decoding is tolerant where the API is (`null` is the empty value) and precise about what it
//! refuses.

mod class;
mod csi_driver;
mod event;
mod meta;
mod parameters;
mod pod;
mod pod_status;
mod secret;
mod secret_objects;
mod text_map;
mod tolerant;
mod watched;
mod whole;
mod writers;

pub use class::{ClassSeed, SecretProviderClass, ShapeError};
pub use csi_driver::CsiDriver;
pub use event::{Event, EventMeta, InvolvedObject, Source};
pub use meta::{OwnerReference, PodStatusMeta};
pub use parameters::Parameters;
pub use pod::{Pod, PodVolume};
pub use pod_status::{ObjectVersion, PodStatus, SecretProviderClassPodStatus};
pub use secret::{MANAGED, MANAGED_LABEL, NewSecret, Secret, SecretMeta, SecretPatch};
pub use secret_objects::{DataEntry, SecretEntry, SecretFields, SecretObjects};
pub use text_map::TextMap;
pub use tolerant::Shaped;
pub use watched::{ObjectKey, Watched, is_older};
pub use whole::{Kind, Whole};
pub use writers::{FIELD_MANAGER, Writers, Written};

/// How much of a class is held.
pub mod limits {
    pub use super::parameters::{LARGEST_PARAMETERS_BYTES, MOST_PARAMETERS};
    pub use super::secret_objects::{
        LARGEST_SECRET_OBJECTS_BYTES, LONGEST_TEXT_BYTES, MOST_DATA, MOST_LABELS, MOST_SECRET_OBJECTS,
        TEXT_OVERHEAD_BYTES,
    };
}

use serde::{Deserialize, Deserializer};

/// Reads `null` as the empty value, which is how the API server treats it.
pub(super) fn null_as_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
