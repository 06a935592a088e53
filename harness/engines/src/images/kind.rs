//! What an image is for, and where it comes from.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::recipe::Recipe;

/// What an image is for, and where it comes from. Two are equal when they have the same name.
pub struct ImageKind {
    /// Its name on the command line.
    pub name: &'static str,
    /// The official image, if there is one. The tag names a version, so that a changed behaviour of a newer version is
    /// not mistaken for a change of the measured strategy.
    pub official: Option<&'static str>,
    /// The image's main program; `None` when there are several.
    pub program: Option<MainProgram>,
    /// How the harness builds it.
    pub(crate) recipe: Recipe,
}

/// The main program of an image.
pub struct MainProgram {
    /// Its command.
    pub name: &'static str,
    /// What messages call it.
    pub title: &'static str,
    /// The argument that makes it print its version; `None` when it has none.
    pub version_argument: Option<&'static str>,
}

impl PartialEq for ImageKind {
    fn eq(&self, other: &ImageKind) -> bool {
        self.name == other.name
    }
}

impl Eq for ImageKind {}

impl Hash for ImageKind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
