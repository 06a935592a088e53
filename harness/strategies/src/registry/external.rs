//! `external`: commands that the user supplies in the scenario.
//!
//! A command is a list of words, or a line for `sh -c`. It runs in the directory of the scenario; relative paths are
//! relative to that directory. It receives what it needs in environment variables:
//!
//! | variable | for | meaning |
//! | --- | --- | --- |
//! | `DRILL_ENGINE` | all | `sqlite` or `mysql` |
//! | `DRILL_SOURCE` | `backup`, `arm` | the live file, or the data directory of the live server |
//! | `DRILL_DESTINATION` | `backup`, `arm` | an empty directory for the artifact |
//! | `DRILL_ARTIFACT` | `restore` | the same directory |
//! | `DRILL_TARGET` | `restore` | path for the restored file or data directory; unset when restoring into a server |
//! | `DRILL_MYSQL_HOST`, `DRILL_MYSQL_PORT`, `DRILL_MYSQL_USER`, `DRILL_MYSQL_DATABASE` | MySQL | the running server |
//! | `DRILL_MYSQL_DEFAULTS_FILE` | MySQL | an option file for its tools with all of that and the password |
//!
//! `backup` has ended when its process has exited and no process holds its output open. `arm` is started before it and
//! must run until the disaster, which kills it. The progress of a backup is the growth of its destination.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use engines::subject::Subject;
use machine::error::Error;
use machine::how_to_install::HowToInstall;
use machine::process::{Account, StartError, kill_marked, on_path};
use machine::tool::Tool;
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Continuous, Cost, Definition, FailureCause, Family, Keeps,
    OnEngine, Promise, Replication, RestoreContext, RestoreResult, Strategy, StrategyEntry, StrategyFailure,
    UserCommands,
};
use crate::replication_program::{NotStarted, ReplicationProgram};
use crate::watch::Watch;

inventory::submit! { StrategyEntry::of::<External>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct External {
    arm: Option<UserCommand>,
    backup: Option<UserCommand>,
    promise: Declared,
    requires: Option<UserCommand>,
    restore: Option<UserCommand>,
    restore_into: RestoreInto,
}

/// A command as written in the scenario.
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a command is a list of words (a program and its arguments) or a line for the shell"
)]
enum UserCommand {
    Words(Vec<String>),
    Line(String),
}

/// What the commands promise, as declared in the scenario.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Declared {
    Nothing,
    #[default]
    Earlier,
    AllButSeconds(f64),
}

/// Where the data of a MySQL server is restored to.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RestoreInto {
    #[default]
    Server,
    DataDirectory,
}

impl Definition for External {
    const CARD: Card = Card {
        name: "external",
        summary: "your own commands",
        family: Family::External,
        on: &[
            OnEngine { engine: "mariadb", tools: &[], image: None },
            OnEngine { engine: "mysql", tools: &[], image: None },
            OnEngine { engine: "sqlite", tools: &[], image: None },
        ],
        settings: &[
            (
                "backup",
                "required: the command that backs up DRILL_SOURCE into DRILL_DESTINATION; a list of words, or a \
                 line for the shell",
            ),
            ("restore", "required: the command that restores DRILL_ARTIFACT to DRILL_TARGET"),
            (
                "arm",
                "a command for continuous replication: started before the backup, and killed by the disaster",
            ),
            (
                "promise",
                "what is checked: \"earlier\": every write acknowledged before the backup began is kept; \
                 { all_but_seconds = 2.0 }: every write acknowledged up to 2.0 s before the disaster is kept; \
                 \"nothing\": a negative control",
            ),
            (
                "requires",
                "a command that succeeds where everything is installed that the others need; otherwise the trials are \
                 unavailable, with the last line that it prints. The first line of its output is recorded as the version",
            ),
            (
                "restore_into",
                "MySQL: \"server\": a fresh running server; \"data_directory\": an empty directory, on which a \
                 server is then started",
            ),
        ],
        cost: Cost { backup: 3.0, restore: 15.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        for (name, command) in self.commands() {
            if command.program().is_some_and(str::is_empty) {
                return Err(format!("{name} is empty: it must name a program"));
            }
            if let Some(word) = command.unexpanded() {
                return Err(format!(
                    "{name}: '{word}' is not expanded in a list of words: give the command as one line for the shell"
                ));
            }
        }
        match self.promise {
            Declared::AllButSeconds(seconds) if !(0.0..=86_400.0).contains(&seconds) => {
                Err("all_but_seconds must be from 0 to 86400".into())
            }
            _ => Ok(()),
        }
    }
}

impl Strategy for External {
    fn promise(&self) -> Promise {
        match self.promise {
            Declared::Nothing => Promise { text: "nothing", keeps: Keeps::Nothing },
            Declared::Earlier => Promise {
                text: "as the scenario declares: consistent; keeps every write acknowledged before the backup began",
                keeps: Keeps::Earlier,
            },
            Declared::AllButSeconds(seconds) => Promise {
                text: "as the scenario declares: consistent; keeps every write acknowledged until all_but_seconds \
                       before the disaster",
                keeps: Keeps::AllBut { last: Duration::from_secs_f64(seconds) },
            },
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            continuous: self.arm.as_ref().map(|arm| arm as &dyn Continuous),
            user_commands: Some(self),
            ..Abilities::default()
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let backup = self.backup.as_ref().expect("its presence was checked");
        let mut command = backup.command(context.equipment.scenario_directory);
        command.envs(environment(context)?);
        // The final size of the artifact is unknown.
        context.watch.expect_any_size();
        run(context.watch, command)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        // The disaster also ends processes that the backup left in the background.
        kill_marked(context.watch.launcher().work_directory());
        let into_server = context.subject.server().is_some() && self.restore_into == RestoreInto::Server;
        let restore = self.restore.as_ref().expect("its presence was checked");
        let mut command = restore.command(context.equipment.scenario_directory);
        command.env("DRILL_ARTIFACT", context.artifact);
        if into_server {
            context.subject.server_mut()?.start()?;
            command.envs(connection(context.subject)?);
        } else {
            command.env("DRILL_TARGET", context.subject.data());
        }
        command.env("DRILL_ENGINE", context.subject.engine().name());
        run(context.watch, command)?;
        // A server that runs makes its own data durable.
        if into_server { Ok(context.watch.measured()) } else { context.watch.complete_restore() }
    }
}

impl UserCommands for External {
    fn check(&self, directory: &Path) -> Result<(), String> {
        for (name, command) in [("backup", &self.backup), ("restore", &self.restore)] {
            if command.is_none() {
                return Err(format!("settings.{name} is required: give a command"));
            }
        }
        for (name, command) in self.commands() {
            let Some(program) = command.program().filter(|program| is_path(program)) else { continue };
            let file = directory.join(program);
            let metadata = file.metadata().map_err(|error| {
                format!("settings.{name}: {program}: {error}; paths are relative to the scenario's directory")
            })?;
            if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
                return Err(format!(
                    "settings.{name}: {program} is not executable: try 'chmod +x {program}'"
                ));
            }
        }
        Ok(())
    }

    fn missing(&self, directory: &Path) -> Option<String> {
        let mut programs = self.commands().filter_map(|(_, command)| command.program());
        if let Some(missing) = programs.find(|program| !is_path(program) && on_path(program).is_none()) {
            return Some(format!("the scenario's command '{missing}' is not on PATH"));
        }
        let output = match self.requires.as_ref()?.command(directory).output() {
            Ok(output) if output.status.success() => return None,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let last = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed no error");
        Some(format!("what the scenario's commands require is not installed: {}", last.trim()))
    }

    fn version(&self, directory: &Path) -> Option<String> {
        let output = self.requires.as_ref()?.command(directory).output().ok()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        printed.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

impl External {
    /// The commands that are set.
    fn commands(&self) -> impl Iterator<Item = (&'static str, &UserCommand)> {
        let commands = [
            ("arm", &self.arm),
            ("backup", &self.backup),
            ("requires", &self.requires),
            ("restore", &self.restore),
        ];
        commands.into_iter().filter_map(|(name, command)| Some((name, command.as_ref()?)))
    }
}

impl UserCommand {
    /// The program; `None` for a line, which only the shell can parse.
    fn program(&self) -> Option<&str> {
        match self {
            UserCommand::Words(words) => Some(words.first().map_or("", String::as_str)),
            UserCommand::Line(_) => None,
        }
    }

    /// A word that names one of the `DRILL_` variables in a command that no shell expands.
    fn unexpanded(&self) -> Option<&str> {
        match self {
            UserCommand::Words(words) if !words.iter().any(|word| word == "-c") => {
                words.iter().map(String::as_str).find(|word| word.starts_with("$DRILL_"))
            }
            _ => None,
        }
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = match self {
            UserCommand::Words(words) if is_path(&words[0]) => Command::new(directory.join(&words[0])),
            UserCommand::Words(words) => Command::new(&words[0]),
            UserCommand::Line(_) => Command::new("sh"),
        };
        match self {
            UserCommand::Words(words) => command.args(&words[1..]),
            UserCommand::Line(line) => command.args(["-c", line]),
        };
        command.current_dir(directory).stdin(Stdio::null());
        command
    }
}

impl Continuous for UserCommand {
    fn start(&self, context: &mut BackupContext<'_>) -> Result<Box<dyn Replication>, StrategyFailure> {
        let (command, directory) = (self.clone(), context.equipment.scenario_directory.to_owned());
        let environment = environment(context)?;
        let exited = "the 'arm' command exited before the disaster".to_owned();
        let started = ReplicationProgram::start(context.watch.launcher(), exited, move || {
            let mut command = command.command(&directory);
            command.envs(environment.clone());
            command
        });
        match started {
            Ok(program) => Ok(Box::new(program)),
            Err(NotStarted::Program(unstarted)) => Err(not_started(context.watch, unstarted)),
            Err(error) => Err(Error::from(error).into()),
        }
    }
}

fn is_path(program: &str) -> bool {
    program.contains('/')
}

/// What a command receives that runs while the application is running.
fn environment(context: &BackupContext<'_>) -> machine::error::Result<Vec<(&'static str, OsString)>> {
    let mut environment = vec![
        ("DRILL_SOURCE", context.subject.data().into()),
        ("DRILL_DESTINATION", context.destination.into()),
        ("DRILL_ENGINE", context.subject.engine().name().into()),
    ];
    environment.extend(connection(context.subject)?);
    Ok(environment)
}

/// How to connect to the running server; empty for a SQLite file.
fn connection(subject: &Subject) -> machine::error::Result<Vec<(&'static str, OsString)>> {
    let Some(server) = subject.server() else {
        return Ok(Vec::new());
    };
    let address = server.address();
    Ok(vec![
        ("DRILL_MYSQL_HOST", "127.0.0.1".into()),
        ("DRILL_MYSQL_PORT", address.port.to_string().into()),
        ("DRILL_MYSQL_USER", address.user.clone().into()),
        ("DRILL_MYSQL_DATABASE", address.database.clone().into()),
        ("DRILL_MYSQL_DEFAULTS_FILE", server.option_file()?.into()),
    ])
}

fn run(watch: &mut Watch, mut command: Command) -> Result<(), StrategyFailure> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = watch.launcher().spawn(Account::Strategy, command);
    let child = spawned.map_err(|unstarted| not_started(watch, unstarted))?;
    watch.run(vec![child]).map_err(|mut failure| {
        if let FailureCause::Failed(message) = &mut failure.cause
            && let Some(hint) = other_client(message)
        {
            message.push_str(&format!("; {hint}"));
        }
        failure
    })
}

/// If a command of the user cannot be executed, the strategy has failed.
fn not_started(watch: &Watch, unstarted: StartError) -> StrategyFailure {
    if unstarted.is_the_programs() { watch.failed(unstarted.to_string()) } else { unstarted.into() }
}

/// MySQL clients that have the same names in MariaDB's packages, where they lack some of MySQL's options.
const CLIENTS: [&str; 2] = ["mysql", "mysqldump"];

/// The cause and the remedy, when `message` says that a client rejected an option and the client is MariaDB's.
fn other_client(message: &str) -> Option<String> {
    let refuses = |command| {
        ["option", "variable"].iter().any(|what| message.contains(&format!("{command}: unknown {what}")))
    };
    let command = CLIENTS.into_iter().find(|command| refuses(*command))?;
    let client = Tool { command, version_argument: "--version", install: HowToInstall::Instructions("") };
    let version = client.version().filter(|version| version.contains("MariaDB"))?;
    Some(format!(
        "'{command}' on PATH is MariaDB's ({version}) and lacks some of MySQL's options: write an option as \
         --loose-NAME, and a client that does not know it ignores it"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::Moments;
    use crate::contract::configured::parse;

    fn external(value: serde_json::Value) -> Result<External, String> {
        parse(value.as_object().unwrap())
    }

    #[test]
    fn invalid_commands_and_promises_are_refused() {
        let messages = [
            external(json!({ "backup": 7 })),
            external(json!({ "backup": [] })),
            external(json!({ "restore": ["sh", 7] })),
            external(json!({ "arm": [""] })),
            external(json!({ "backup": ["cp", "$DRILL_SOURCE", "copy"] })),
            external(json!({ "promise": "everything" })),
            external(json!({ "promise": { "all_but_seconds": -1.0 } })),
        ];
        let messages: Vec<String> = messages.into_iter().map(|refused| refused.err().unwrap()).collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        a command is a list of words (a program and its arguments) or a line for the shell
        backup is empty: it must name a program
        a command is a list of words (a program and its arguments) or a line for the shell
        arm is empty: it must name a program
        backup: '$DRILL_SOURCE' is not expanded in a list of words: give the command as one line for the shell
        unknown variant `everything`, expected one of `nothing`, `earlier`, `all_but_seconds`
        all_but_seconds must be from 0 to 86400
        ");
    }

    #[test]
    fn a_shell_that_is_given_its_line_expands_variables() {
        assert!(external(json!({ "backup": ["bash", "-c", "cp $DRILL_SOURCE $DRILL_DESTINATION"] })).is_ok());
    }

    #[test]
    fn a_missing_program_is_reported_before_anything_happens() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes"), "").unwrap();
        let check = |value| external(value).unwrap().check(directory.path()).unwrap_err();
        let messages = [
            check(json!({ "restore": "true" })),
            check(json!({ "backup": ["./backup.sh"], "restore": "true" })),
            check(json!({ "backup": "true", "restore": ["./notes"] })),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        settings.backup is required: give a command
        settings.backup: ./backup.sh: No such file or directory (os error 2); paths are relative to the scenario's directory
        settings.restore: ./notes is not executable: try 'chmod +x ./notes'
        ");
        let elsewhere = json!({ "backup": ["no-such-command-anywhere", "x"], "restore": "true" });
        let elsewhere = external(elsewhere).unwrap();
        elsewhere.check(directory.path()).unwrap();
        insta::assert_snapshot!(
            elsewhere.missing(directory.path()).unwrap(),
            @"the scenario's command 'no-such-command-anywhere' is not on PATH"
        );
    }

    #[test]
    fn what_is_required_and_not_installed_is_missing() {
        let with =
            |requires: &str| external(json!({ "backup": "true", "restore": "true", "requires": requires }));
        assert_eq!(with("true").unwrap().missing(Path::new(".")), None);
        insta::assert_snapshot!(
            with("echo 'no module named nothing' >&2; exit 1").unwrap().missing(Path::new(".")).unwrap(),
            @"what the scenario's commands require is not installed: no module named nothing"
        );
    }

    #[test]
    fn the_version_is_what_the_requirement_prints_first() {
        let with =
            |requires: &str| external(json!({ "backup": "true", "restore": "true", "requires": requires }));
        let version = |requires: &str| with(requires).unwrap().version(Path::new("."));
        assert_eq!(version("echo; echo ' tool 1.2 '; echo more").as_deref(), Some("tool 1.2"));
        assert_eq!(version("true"), None);
        assert_eq!(
            external(json!({ "backup": "true", "restore": "true" })).unwrap().version(Path::new(".")),
            None
        );
    }

    #[test]
    fn it_promises_what_the_scenario_declares() {
        let moments = Moments { backup_began_ns: 5, older_backup_ns: None, disaster_ns: 9_000_000_000 };
        let held = |promise: serde_json::Value| {
            let promise = external(json!({ "promise": promise })).unwrap().promise();
            (promise.kept(&moments).acknowledged_before_ns, promise.is_none())
        };
        assert_eq!(held(json!("earlier")), (Some(5), false));
        assert_eq!(held(json!({ "all_but_seconds": 2 })), (Some(7_000_000_000), false));
        assert_eq!(held(json!("nothing")), (None, true));
    }

    #[test]
    fn relative_paths_start_at_the_scenario_and_a_line_is_run_by_the_shell() {
        let words = |command: UserCommand| {
            let command = command.command(Path::new("/scenarios"));
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let list = |words: &[&str]| UserCommand::Words(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(words(list(&["./backup.sh", "--fast"])), "/scenarios/./backup.sh --fast");
        assert_eq!(words(list(&["rsync", "-a"])), "rsync -a");
        assert_eq!(words(UserCommand::Line("a | b".into())), "sh -c a | b");
    }
}
