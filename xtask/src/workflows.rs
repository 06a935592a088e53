//! Tests of the workflows, the action and the Kubernetes Job of this repository: they must parse, and the commands that
//! they run must exist.

use std::path::{Path, PathBuf};

use clap::Parser;
use saphyr::{LoadableYamlNode, Yaml};

use crate::arguments::Arguments;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

const FILES: [&str; 4] = [
    ".github/workflows/pull-request.yml",
    ".github/workflows/nightly.yml",
    "action.yml",
    "deploy/kubernetes/indexed-job.yaml",
];

/// All strings of a YAML document.
fn strings(node: &Yaml<'_>, found: &mut Vec<String>) {
    if let Some(text) = node.as_str() {
        found.push(text.to_owned());
    } else if let Some(items) = node.as_sequence() {
        items.iter().for_each(|item| strings(item, found));
    } else if let Some(entries) = node.as_mapping() {
        entries.values().for_each(|value| strings(value, found));
    }
}

/// The words of each command line of this program in a text, with stand-ins for the values that a service fills in.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("cargo xtask ").or_else(|| line.strip_prefix("backup-drill "))
    });
    let plain = |line: &str| {
        let mut line = line.replace("$((JOB_COMPLETION_INDEX + 1))", "1").replace('"', "");
        while let (Some(begin), Some(end)) = (line.find("${{"), line.find("}}")) {
            line.replace_range(begin..end + 2, "1");
        }
        let command = line.split(" && ").next().unwrap_or_default();
        let command = command.split(" # ").next().unwrap_or_default();
        std::iter::once("backup-drill".to_owned())
            .chain(command.split_whitespace().map(str::to_owned))
            .collect()
    };
    lines.map(plain).collect()
}

#[test]
fn they_parse_and_what_they_run_is_in_the_grammar() {
    let mut checked = 0;
    for file in FILES {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut found = Vec::new();
        documents.iter().for_each(|document| strings(document, &mut found));
        // Comments say how a baseline is made and how shards are merged.
        found.extend(text.lines().filter_map(|line| Some(line.trim().strip_prefix('#')?.to_owned())));
        for words in found.iter().flat_map(|text| commands(text)) {
            let parsed = Arguments::try_parse_from(&words);
            assert!(parsed.is_ok(), "{file}: {words:?}: {}", parsed.err().unwrap());
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn the_commands_of_the_page_on_the_gate_are_in_the_grammar() {
    let text = std::fs::read_to_string(root().join("docs/gate.md")).unwrap();
    let commands = commands(&text);
    assert!(commands.len() >= 7, "{commands:?}");
    for words in commands {
        let parsed = Arguments::try_parse_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.err().unwrap());
    }
    let yaml = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(yaml.lines().count() <= 10 && Yaml::load_from_str(yaml).is_ok(), "{yaml}");
    for measurement in reports::gate::thresholds::MEASUREMENTS {
        assert!(text.contains(&format!("`{}`", measurement.name)), "{}", measurement.name);
    }
}

#[test]
fn the_action_hands_on_each_of_its_inputs() {
    let text = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap();
    let inputs = documents[0].as_mapping_get("inputs").and_then(|inputs| inputs.as_mapping()).unwrap();
    let script = std::fs::read_to_string(root().join(".github/put-on-trial.sh")).unwrap();
    for input in inputs.keys().filter_map(|name| name.as_str()) {
        assert!(text.contains(&format!("${{{{ inputs.{input} }}}}")), "{input}");
        assert!(script.contains(&format!("${}", input.to_uppercase().replace('-', "_"))), "{input}");
    }
}
