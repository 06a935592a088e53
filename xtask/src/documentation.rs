//! Tests the documentation against the program: its commands parse, its scenarios can be planned, its links lead
//! somewhere, and it covers every command and flag.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use harness::plan::Plan;
use harness::scenario::{Overrides, Scenario};

use crate::arguments::place::default_directory;
use crate::arguments::{Arguments, Command};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All pages for users and contributors, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    paths.extend(std::fs::read_dir(root().join("docs")).unwrap().flatten().map(|entry| entry.path()));
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The code blocks of a language.
fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let mut fenced = text.split("```").skip(1).step_by(2);
    std::iter::from_fn(move || fenced.find_map(|block| block.strip_prefix(language)?.strip_prefix('\n')))
}

/// The words of each line that calls this program, without what follows a `#`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = blocks(text, "sh").flat_map(str::lines).filter_map(|line| {
        let line = line.split(" #").next()?.trim();
        line.strip_prefix("cargo xtask").or(line.strip_prefix("backup-drill"))
    });
    lines.map(words).collect()
}

/// Splits a line into words as a shell does, without expansion.
fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap_or_else(|| panic!("unclosed quotation mark: {line}"))
}

fn complain(about: &str, places: &[String]) {
    assert!(places.is_empty(), "{about}:\n{}", places.join("\n"));
}

#[test]
fn every_command_line_parses() {
    let (mut places, mut seen) = (Vec::new(), 0);
    for (path, text) in pages() {
        for words in commands(&text) {
            seen += 1;
            if let Err(error) = Arguments::try_parse_from(["xtask".to_owned()].iter().chain(&words)) {
                places.push(format!("{}: {}: {error}", path.display(), words.join(" ")));
            }
        }
    }
    complain("command lines that the program rejects", &places);
    assert!(seen >= 30, "{seen} command lines");
}

#[test]
fn every_scenario_that_a_command_line_names_is_there() {
    let mut places = Vec::new();
    let directory = default_directory();
    for (path, text) in pages() {
        for words in commands(&text).iter().filter(|words| words.len() > 1) {
            let is_selected = matches!(words[0].as_str(), "run" | "plan") && !words[1].starts_with('-');
            if is_selected && Scenario::load(&words[1], &directory).is_err() {
                places.push(format!("{}: {}", path.display(), words.join(" ")));
            }
        }
    }
    complain("command lines with an unknown scenario", &places);
}

#[test]
fn every_whole_scenario_can_be_planned() {
    let (mut places, mut seen) = (Vec::new(), 0);
    for (path, text) in pages() {
        for block in blocks(&text, "toml").filter(|block| block.starts_with("description")) {
            seen += 1;
            let planned = Scenario::parse("documented", block).and_then(|scenario| {
                Plan::new(scenario, &Overrides::default()).map_err(|error| error.to_string())
            });
            if let Err(error) = planned {
                places.push(format!("{}: {error}", path.display()));
            }
        }
    }
    complain("scenarios that cannot be planned", &places);
    assert!(seen > 0);
}

#[test]
fn the_command_of_every_claim_selects_trials() {
    for claim in reports::claims::CLAIMS {
        let line = words(claim.command.strip_prefix("cargo xtask").unwrap());
        let planned = match Arguments::parse_from(["xtask".to_owned()].iter().chain(&line)).command {
            Command::Run(run) => run.select.plan().map(|plan| plan.trials.len()),
            // It has trials of its own.
            Command::Prove(_) => continue,
            _ => panic!("'{}' runs no trials", claim.command),
        };
        assert!(planned.is_ok_and(|trials| trials > 0), "{}", claim.command);
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut places = Vec::new();
    for (path, text) in pages() {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let has_heading = || {
                let text = std::fs::read_to_string(&linked).unwrap_or_default();
                text.lines()
                    .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading)
            };
            if !linked.exists() || !heading.is_empty() && !has_heading() {
                places.push(format!("{} links to {target}", path.display()));
            }
        }
    }
    complain("links that lead nowhere", &places);
}

/// The flags of a command and of the commands below it, each with the name of its command.
fn flags(command: &clap::Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_long());
    let own = own.map(|flag| format!("{} --{flag}", command.get_name()));
    own.chain(command.get_subcommands().flat_map(flags)).collect()
}

#[test]
fn every_command_and_flag_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let grammar = Arguments::command();
    let names = grammar.get_subcommands().map(clap::Command::get_name);
    let mut places: Vec<String> =
        names.filter(|name| !page.contains(&format!("`{name}`"))).map(str::to_owned).collect();
    let is_named = |flag: &String| flag.split_once(' ').is_some_and(|(_, flag)| page.contains(flag));
    places.extend(flags(&grammar).into_iter().filter(|flag| !is_named(flag)));
    complain("docs/commands.md does not name", &places);
}

#[test]
fn every_shipped_scenario_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    let names = Scenario::shipped().unwrap().into_iter().map(|scenario| scenario.name);
    let missing: Vec<String> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    complain("docs/scenarios.md does not name", &missing);
}
