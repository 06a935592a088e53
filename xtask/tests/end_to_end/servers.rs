//! MySQL servers with the user's own options, and the MySQL clients that users have.

use std::os::unix::fs::PermissionsExt;

use engines::images::{self, TOOLS};
use machine::process::{Cancel, Launcher, on_path};
use reports::record::Verdict;

use super::containers::{MYSQL, on};
use super::every_strategy::assert_restorable;
use super::*;

fn with_options(options: &str) -> String {
    on(&format!("{MYSQL}\nmysql_options = {{ {options} }}"))
}

fn variants(strategies: &[&str]) -> String {
    strategies.iter().map(|strategy| format!("[[variants]]\nstrategy = \"{strategy}\"\n")).collect()
}

#[test]
fn without_a_binary_log_only_what_ships_it_is_unavailable() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let strategies = ["mysql-dump", "mydumper", "mysql-clone", "mysql-binlog"];
    let scenario = place.scenario(&with_options("skip_log_bin = true"), &variants(&strategies));
    let output = place.run_scenario(&scenario);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let results = place.results();
    for trial in &results.trials[..3] {
        assert_restorable(trial);
    }
    let binlog = &results.trials[3];
    assert_eq!(binlog.verdict, Verdict::Unavailable, "{}", binlog.reason);
    insta::assert_snapshot!(
        binlog.reason,
        @"the server has no binary log: remove 'skip_log_bin' or 'disable_log_bin' from subject.mysql_options"
    );
    assert!(binlog.backup.is_none(), "nothing was measured");
    place.assert_clean();
}

/// A server refuses to start on a data directory that was created with other values of these options.
#[test]
fn options_that_a_data_directory_keeps_are_those_of_every_server_of_a_trial() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let options = "lower_case_table_names = 1, innodb_page_size = \"8K\"";
    let strategies = ["cold-copy", "mysql-clone", "mysql-dump", "mysql-binlog"];
    let output = place.run_scenario(&place.scenario(&with_options(options), &variants(&strategies)));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = place.results();
    for trial in &results.trials {
        assert_restorable(trial);
        assert_eq!(trial.workload.server_options["innodb_page_size"], "8K");
    }
    // Without them it is another dataset, in the same cache.
    let output = place.run_scenario(&place.scenario(&on(MYSQL), &variants(&["cold-copy"])));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    place.assert_clean();
}

/// A directory for PATH with MySQL's own clients, which run in the tools image.
fn clients(place: &Place) -> PathBuf {
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let image = images::obtain(&TOOLS, None, &launcher, &|_| ()).unwrap().reference;
    let here = place.path().canonicalize().unwrap();
    let directory = here.join("clients");
    std::fs::create_dir(&directory).unwrap();
    for name in ["mysql", "mysqldump"] {
        let script = format!(
            "#!/bin/sh\nexec docker run --rm --interactive --network host --user $(id -u):$(id -g) \
             --volume '{0}:{0}' --entrypoint {name} {image} \"$@\"\n",
            here.display()
        );
        let file = directory.join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

/// Runs these variants on MySQL, with `clients` first on PATH.
fn run_with(place: &Place, clients: &Path, variants: &str) -> Trial {
    let scenario = place.scenario(&on(MYSQL), variants);
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    let output = command.env("PATH", format!("{}:{path}", clients.display())).output().unwrap();
    let mut results = place.results();
    assert_eq!(results.trials.len(), 1, "{}", text(&output));
    results.trials.remove(0)
}

/// The dump contains the accounts: the harness must be able to log in to the restored server.
#[test]
fn a_dump_of_the_whole_server_with_its_accounts_is_restored_and_verified() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let variants = r#"
        [[variants]]
        name = "everything"
        strategy = "external"
        [variants.settings]
        backup = '''
        mysqldump --defaults-extra-file="$DRILL_MYSQL_DEFAULTS_FILE" --single-transaction --all-databases \
            --routines --triggers --events --flush-privileges > "$DRILL_DESTINATION/all.sql"'''
        restore = 'mysql --defaults-extra-file="$DRILL_MYSQL_DEFAULTS_FILE" < "$DRILL_ARTIFACT/all.sql"'
    "#;
    let trial = run_with(&place, &clients(&place), variants);
    assert_eq!(trial.verdict, Verdict::Restorable, "{}", trial.reason);
    place.assert_clean();
}

#[test]
fn the_example_of_the_guide_works_with_the_clients_of_mysql_and_with_those_that_are_here() {
    if without_docker() {
        return;
    }
    let guide =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/external-commands.md"))
            .unwrap();
    let mut examples = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let example =
        examples.find(|example| example.contains("mysqldump --")).expect("the guide has an example");
    let place = Place::shared().with_datasets_of_servers();
    let mysqls = clients(&place);
    let nothing_more = mysqls.join("none");
    for clients in [Some(&mysqls), on_path("mysqldump").map(|_| &nothing_more)].into_iter().flatten() {
        let trial = run_with(&place, clients, example);
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", clients.display(), trial.reason);
    }
    place.assert_clean();
}
