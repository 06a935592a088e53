//! The image of the tracker.

use machine::how_to_install::HowToInstall;
use machine::tool::Tool;

use crate::images::recipe::{Program, Recipe};
use crate::images::{ImageKind, MainProgram};

/// The BitTorrent tracker.
pub static TRACKER: ImageKind = ImageKind {
    name: "tracker",
    official: Some("torrust/tracker:3.0.0"),
    // It has no option that prints its version.
    program: Some(MainProgram { name: "torrust-tracker", title: "tracker", version_argument: None }),
    recipe: Recipe {
        name: "tracker",
        suite: "sid",
        packages: &["libssl3t64", "zlib1g"],
        programs: &[Program::Crate {
            name: "torrust-tracker",
            version: "3.0.0",
            binary: "torrust-tracker",
            needs: &[OPENSSL],
        }],
        versions: &[("torrust-tracker", "echo 3.0.0")],
        finish: "true",
        command: &["torrust-tracker"],
    },
};

/// Headers of OpenSSL, located in the same way as a build does.
const OPENSSL: Tool = Tool {
    command: "pkg-config",
    version_argument: "openssl",
    install: HowToInstall::packages(&["pkg-config", "libssl-dev"]),
};
