//! How to get a command that is missing on a machine: as text for people, and as data for `setup`.

use std::fmt::{Display, Formatter, Result};

/// How to get a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowToInstall {
    /// From the packages of a distribution.
    Packages {
        /// As Debian and Ubuntu name them.
        debian: &'static [&'static str],
        /// Another name, and the distributions that use it, if there is one.
        elsewhere: Option<(&'static str, &'static str)>,
    },
    /// A component of the Rust toolchain, from rustup.
    Component(&'static str),
    /// Not available from a package manager: instructions as text.
    Instructions(&'static str),
}

impl HowToInstall {
    /// Packages that have the same name in every distribution.
    pub const fn packages(debian: &'static [&'static str]) -> HowToInstall {
        HowToInstall::Packages { debian, elsewhere: None }
    }
}

impl Display for HowToInstall {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            HowToInstall::Packages { debian, elsewhere } => {
                let names: Vec<String> = debian.iter().map(|name| format!("'{name}'")).collect();
                let noun = if names.len() == 1 { "package" } else { "packages" };
                write!(formatter, "install the {noun} {}", names.join(", "))?;
                match elsewhere {
                    Some((name, distributions)) => {
                        write!(formatter, " (Debian, Ubuntu) or '{name}' ({distributions})")
                    }
                    None => Ok(()),
                }
            }
            HowToInstall::Component(name) => write!(formatter, "run 'rustup component add {name}'"),
            HowToInstall::Instructions(words) => formatter.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_one_instruction() {
        let ways = [
            HowToInstall::packages(&["zstd"]),
            HowToInstall::packages(&["gcc", "libc6-dev"]),
            HowToInstall::Packages {
                debian: &["sqlite3"],
                elsewhere: Some(("sqlite", "Alpine, Arch, Fedora")),
            },
            HowToInstall::Component("clippy"),
            HowToInstall::Instructions("see https://litestream.io/install"),
        ];
        insta::assert_snapshot!(ways.map(|way| way.to_string()).join("\n"), @r"
        install the package 'zstd'
        install the packages 'gcc', 'libc6-dev'
        install the package 'sqlite3' (Debian, Ubuntu) or 'sqlite' (Alpine, Arch, Fedora)
        run 'rustup component add clippy'
        see https://litestream.io/install
        ");
    }
}
