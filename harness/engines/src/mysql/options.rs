//! Options of a server, as scenarios name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::OptionValue;

/// Arguments of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerArguments {
    /// Options that are fixed when a data directory, or a table, is created: the server that creates the data directory
    /// needs them as well as the servers that run on it later.
    pub making: Vec<String>,
    /// All other options: they may change from one start of the server to the next.
    pub running: Vec<String>,
}

/// Options that determine the layout of a data directory, or of a table in it. See the manual, "InnoDB Startup
/// Configuration" and "Identifier Case Sensitivity".
const MAKING: &[&str] = &[
    "character_set_server",
    "collation_server",
    "innodb_data_file_path",
    "innodb_default_row_format",
    "innodb_file_per_table",
    "innodb_page_size",
    "lower_case_table_names",
];
/// Options that place data outside the data directory. A trial copies, loses and restores only the data directory.
const PLACES: &[&str] = &[
    "datadir",
    "innodb_data_home_dir",
    "innodb_doublewrite_dir",
    "innodb_log_group_home_dir",
    "innodb_temp_tablespaces_dir",
    "innodb_undo_directory",
];
/// Options by which the harness reaches the server.
const HARNESS: &[&str] = &["bind_address", "init_file", "pid_file", "port", "socket"];
/// Prefixes that a server accepts before an option name.
const PREFIXES: &[&str] = &["disable_", "enable_", "loose_", "skip_"];

impl ServerArguments {
    /// From the options of a scenario, with names as [`option_name`] returns them.
    pub fn new(options: &BTreeMap<String, OptionValue>) -> ServerArguments {
        let mut arguments = ServerArguments::default();
        for (name, value) in options {
            let list = if is_in(MAKING, name) { &mut arguments.making } else { &mut arguments.running };
            list.push(argument(name, value));
        }
        arguments
    }
}

/// The normalized name of an option: a server treats `-` and `_` as the same character.
pub fn option_name(name: &str) -> String {
    name.replace('-', "_")
}

/// Checks the options under a key of the section `subject`.
///
/// # Errors
/// The option that a trial cannot use, and why.
pub fn check(key: &str, options: &BTreeMap<String, OptionValue>) -> Result<(), String> {
    for (name, value) in options {
        let refused = |why: &str| Err(format!("subject.{key}.{name} cannot be set: {why}"));
        if is_in(HARNESS, name) {
            return refused(
                "the harness sets it to reach the server; 'subject.port' is the port on this machine",
            );
        }
        if is_in(PLACES, name) || (is_in(&["innodb_data_file_path"], name) && value.to_string().contains('/'))
        {
            return refused(
                "a trial copies, loses and restores one data directory, which must contain all data",
            );
        }
    }
    Ok(())
}

fn is_in(names: &[&str], name: &str) -> bool {
    let mut name = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    names.contains(&name)
}

/// Not every option accepts `true`: `--log_bin=true` would name a file, and `--skip_log_bin=false` still skips.
fn argument(name: &str, value: &OptionValue) -> String {
    match value {
        OptionValue::Switch(true) => format!("--{name}"),
        OptionValue::Switch(false) if name.starts_with("skip_") => format!("--{name}=0"),
        OptionValue::Switch(false) => format!("--skip_{name}"),
        value => format!("--{name}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> BTreeMap<String, OptionValue> {
        let options: BTreeMap<String, OptionValue> = toml::from_str(text).unwrap();
        options.into_iter().map(|(name, value)| (option_name(&name), value)).collect()
    }

    #[test]
    fn options_become_arguments_and_those_fixed_in_the_data_directory_are_separate() {
        let given = "skip_log_bin = 1\nlocal-infile = true\nlog_bin = false\nskip_external_locking = false\n\
                     innodb_buffer_pool_size = \"1G\"\ninnodb_page_size = 8192\nskip-innodb-file-per-table = true\n\
                     long_query_time = 0.5\nloose_lower_case_table_names = 1";
        let ServerArguments { making, running } = ServerArguments::new(&options(given));
        insta::assert_snapshot!(making.join(" "), @"--innodb_page_size=8192 --loose_lower_case_table_names=1 --skip_innodb_file_per_table");
        insta::assert_snapshot!(running.join(" "), @"--innodb_buffer_pool_size=1G --local_infile --skip_log_bin --long_query_time=0.5 --skip_external_locking=0 --skip_log_bin=1");
    }

    #[test]
    fn options_that_place_data_outside_the_data_directory_are_refused() {
        let refused = |text: &str| check("mysql_options", &options(text)).unwrap_err();
        let messages = [
            refused("innodb-undo-directory = \"/undo\""),
            refused("innodb_data_file_path = \"/big/ibdata1:1G\""),
            refused("port = 3307"),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        subject.mysql_options.innodb_undo_directory cannot be set: a trial copies, loses and restores one data directory, which must contain all data
        subject.mysql_options.innodb_data_file_path cannot be set: a trial copies, loses and restores one data directory, which must contain all data
        subject.mysql_options.port cannot be set: the harness sets it to reach the server; 'subject.port' is the port on this machine
        ");
        assert_eq!(
            check("mysql_options", &options("innodb_data_file_path = \"ibdata1:12M:autoextend\"")),
            Ok(())
        );
    }
}
