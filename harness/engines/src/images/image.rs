//! An image that is present on this machine.

use std::collections::BTreeMap;

use super::kind::ImageKind;

/// An image that is present on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its reference: repository and tag.
    pub reference: String,
    /// Its id for the record: `sha256:` and the digest of its content.
    pub id: String,
    /// Version of each relevant program in it, as the program prints it; empty when unknown.
    pub versions: BTreeMap<String, String>,
}

impl Image {
    /// Version of the image's main program; `None` when unknown, and for images with several programs.
    pub fn version(&self, kind: &ImageKind) -> Option<&str> {
        self.versions.get(kind.program.as_ref()?.name).map(String::as_str)
    }
}
