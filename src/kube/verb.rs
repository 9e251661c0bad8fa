//! What is done to an object, and how much of it is asked for: in the words of access rules, and in those of HTTP's
//! headers.

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection's changes, as long as they come.
    Watch,
    /// POST to a collection.
    Create,
    /// PUT of a whole object.
    Update,
    /// PATCH of some fields, as JSON merge patch.
    Patch,
    /// PATCH of the fields that the caller owns, by server-side apply.
    Apply,
    /// DELETE.
    Delete,
}

/// How much of an object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// Its metadata alone: what a Secret holds then never leaves the server.
    Metadata,
}

impl Verb {
    /// The verb as in access rules and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch | Verb::Apply => "patch",
            Verb::Delete => "delete",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Verb::Patch => "application/merge-patch+json",
            // JSON is YAML.
            Verb::Apply => "application/apply-patch+yaml",
            _ => "application/json",
        }
    }
}

impl Form {
    pub(super) fn accept(self, verb: Verb) -> &'static str {
        match (self, verb) {
            (Form::Whole, _) => "application/json",
            (Form::Metadata, Verb::List) => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
            }
            (Form::Metadata, _) => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        }
    }
}
