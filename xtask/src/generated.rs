//! Shell completions and man pages, generated from the command line grammar.

use std::io::Write;

use clap_complete::Shell;
use clap_mangen::Man;
use machine::error::{Error, Result};

use crate::arguments::Arguments;
use crate::exit;

/// The name of the installed program.
const PROGRAM: &str = "backup-drill";

/// Prints a shell completion script.
pub fn completions(shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::grammar().bin_name(PROGRAM), PROGRAM, &mut script);
    print(&script)
}

/// Prints the man page of the program, or of one of its commands.
///
/// # Errors
/// [`Error::Input`] for an unknown command.
pub fn man(command: Option<&str>) -> Result<u8> {
    let mut grammar = Arguments::grammar().bin_name(PROGRAM);
    grammar.build();
    let page = match command {
        None => grammar,
        Some(name) => {
            let names: Vec<&str> = grammar.get_subcommands().map(clap::Command::get_name).collect();
            let unknown = || Error::Input(machine::error::unknown("command", name, &names));
            let found = grammar.find_subcommand(name).ok_or_else(unknown)?;
            found.clone()
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(|error| anyhow::anyhow!("cannot render a page: {error}"))?;
    print(&text)
}

/// A reader that closes the pipe early is not an error.
fn print(text: &[u8]) -> Result<u8> {
    let _ = std::io::stdout().write_all(text);
    Ok(exit::SUCCESS)
}
