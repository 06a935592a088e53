//! Tests the rules of ARCHITECTURE.md that the compiler cannot check.

mod floors;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engines::registry::ENGINES;
use strategies::registry;

const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below a folder of the repository, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The code of the crates below the command line, without tests.
fn library() -> Vec<(PathBuf, String)> {
    let in_src = |(path, _): &(PathBuf, String)| path.components().any(|part| part.as_os_str() == "src");
    sources("harness").into_iter().filter(in_src).chain(sources("reports/src")).collect()
}

fn complain(about: &str, places: &[String]) {
    assert!(places.is_empty(), "{about}:\n{}", places.join("\n"));
}

#[test]
fn nothing_below_the_command_line_prints() {
    let mut places = Vec::new();
    for (path, text) in library() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        if path.ends_with("tests.rs") {
            continue;
        }
        if ["println!", "print!", "dbg!"].iter().any(|word| code.contains(word)) {
            places.push(path.display().to_string());
        }
    }
    complain("these files print", &places);
}

#[test]
fn only_its_own_file_names_a_strategy() {
    let mut places = Vec::new();
    for (path, text) in library().into_iter().chain(sources("xtask/src")) {
        if path.starts_with(root().join("reports")) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        // A family may have the same name as one of its strategies.
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("Family::")).collect();
        // A package may have the same name as the strategy that runs its program.
        if path.components().any(|part| part.as_os_str() == "images") || path.ends_with("image.rs") {
            continue;
        }
        // A strategy's own files: one with its name, and those in a folder with its name.
        let own = [path.file_stem(), path.parent().unwrap().file_name()];
        let own = own.map(|name| name.unwrap().to_string_lossy().replace('_', "-"));
        for strategy in registry::all() {
            let name = strategy.card().name;
            if !own.iter().any(|own| own == name) && code.contains(&format!("\"{name}\"")) {
                places.push(format!("{} names {name}", path.display()));
            }
        }
    }
    complain("strategies are named outside their own files", &places);
}

#[test]
fn only_engines_and_strategies_know_which_engines_there_are() {
    let mut places = Vec::new();
    for (path, text) in sources("harness/trial/src").into_iter().chain(sources("xtask/src")) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        let named = ENGINES.iter().map(|engine| engine.name());
        let named = named.flat_map(|name| [format!("\"{name}\""), format!("engines::{name}")]);
        let asked = [".server()", ".server_mut()"].map(str::to_owned);
        let found = named.chain(asked).filter(|word| code.contains(word));
        places.extend(found.map(|word| format!("{}: {word}", path.display())));
    }
    complain("engines are named, or asked for what only one of them has", &places);
}

#[test]
fn files_are_short_and_finished() {
    let mut places = Vec::new();
    for folder in ["harness", "reports", "xtask/src", "benches"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            if lines > LINES_MAX {
                places.push(format!("{} has {lines} lines", path.display()));
            }
            if ["todo!(", "unimplemented!(", "FIXME"].iter().any(|mark| text.contains(mark)) {
                places.push(format!("{} is unfinished", path.display()));
            }
        }
    }
    complain("files to split or to finish", &places);
}

#[test]
fn the_guide_quotes_its_example_and_names_every_variable() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (guide, example) = (read("docs/external-commands.md"), read("scenarios/external.toml"));
    let quoted = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let is_in_example = |line: &str| example.lines().any(|known| known.trim_end() == line);
    let lines = quoted.lines().map(|line| line.split(" # ").next().unwrap().trim_end());
    let places: Vec<String> = lines.filter(|line| !is_in_example(line)).map(str::to_owned).collect();
    complain("the guide quotes lines that are not in scenarios/external.toml", &places);

    let code = read("harness/strategies/src/registry/external.rs");
    let variables = code.split('"').filter(|word| word.starts_with("DRILL_") && !word.contains(' '));
    let places: Vec<String> =
        variables.filter(|name| !guide.contains(&format!("`{name}`"))).map(str::to_owned).collect();
    complain("the guide does not name these variables", &places);
}

#[test]
fn paths_that_the_documentation_names_exist() {
    let mut places = Vec::new();
    let documents = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "sidecar/README.md"];
    let mut documents: Vec<PathBuf> = documents.iter().map(|document| root().join(document)).collect();
    documents.extend(std::fs::read_dir(root().join("docs")).unwrap().flatten().map(|entry| entry.path()));
    documents.retain(|document| document.is_file());
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for word in text.split(['`', '(', ')', ' ', '\n', '|']) {
            let word = word.trim_end_matches([',', '.', ':', ';']);
            let folders =
                ["harness/", "reports/", "xtask/", "scenarios/", "sidecar/", "examples/", "benches/", ".ci/"];
            let is_path = folders.iter().any(|folder| word.starts_with(folder));
            if is_path && !root().join(word).exists() {
                places.push(format!("{} names {word}", document.display()));
            }
        }
    }
    complain("the documentation names paths that do not exist", &places);
}

#[test]
fn the_tests_that_the_documentation_names_exist() {
    let files: Vec<_> = ["harness", "reports", "xtask"].map(sources).into_iter().flatten().collect();
    let code: String = files.iter().map(|(_, text)| text.as_str()).collect();
    // Without the folder `src`, a path is that of the module.
    let modules: Vec<String> = files
        .iter()
        .map(|(path, _)| {
            path.with_extension("").display().to_string().replace("/src/", "/").replace('/', "::")
        })
        .collect();
    let document = std::fs::read_to_string(root().join("docs/found-in-use.md")).unwrap();
    let paragraphs = document.split("**Tests.**").skip(1).filter_map(|rest| rest.split("\n\n").next());
    let words = paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    let is_there = |word: &&str| match word.contains("::") {
        true => modules.iter().any(|module| module.ends_with(&format!("::{word}"))),
        false => code.contains(&format!("fn {word}(")),
    };
    let places: Vec<String> = words.filter(|word| !is_there(word)).map(str::to_owned).collect();
    complain("docs/found-in-use.md names tests or modules that do not exist", &places);
}

/// A dependency with other features is another build of it and of every crate above it.
#[test]
fn the_program_and_the_tests_build_each_dependency_once() {
    let features = |selection: &[&str]| -> BTreeSet<String> {
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} {f}"]);
        let output = command.args(selection).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        // What was listed before is marked.
        lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let program = features(&["--package", "xtask", "--edges", "normal,build"]);
    let tests = features(&["--workspace", "--edges", "normal,build,dev"]);
    let places: Vec<String> = program.difference(&tests).cloned().collect();
    complain("the tests build these dependencies with other features than the program does", &places);
}
