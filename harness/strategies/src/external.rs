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
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use engines::engine::Engine;
use engines::subject::Subject;
use machine::error::Error;
use machine::process::{Account, Child, Counters, Group, kill_marked, last_lines, on_path};
use machine::tool::{Get, Tool};
use serde::{Deserialize, Serialize};

use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Shipper, Strategy, complete,
    settings_of,
};
use crate::watch::Watch;

pub struct External;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExternalSettings {
    arm: Option<UserCommand>,
    backup: Option<UserCommand>,
    promise: Declared,
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

const EARLIER: Promise = Promise {
    text: "as the scenario declares: consistent; keeps every write acknowledged before the backup began",
    keeps: Keeps::Earlier,
};

impl Strategy for External {
    fn card(&self) -> Card {
        Card {
            name: "external",
            summary: "your own commands",
            engines: &["mariadb", "mysql", "sqlite"],
            kind: Kind::External,
            promise: EARLIER,
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
                    "restore_into",
                    "MySQL: \"server\": a fresh running server; \"data_directory\": an empty directory, on which a \
                     server is then started",
                ),
            ],
            tools: &[],
            contained: false,
            cost: Cost { backup: 3.0, restore: 15.0 },
        }
    }

    fn survives_disk_loss(
        &self,
        _engine: &'static dyn Engine,
        _live: &Path,
        _settings: &Settings,
    ) -> Option<bool> {
        // Its commands may link files instead of copying them.
        None
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<ExternalSettings>(given)?;
        for (name, command) in settings.commands() {
            if command.program().is_some_and(str::is_empty) {
                return Err(format!("{name} is empty: it must name a program"));
            }
            if let Some(word) = command.unexpanded() {
                return Err(format!(
                    "{name}: '{word}' is not expanded in a list of words: give the command as one line for the shell"
                ));
            }
        }
        match settings.promise {
            Declared::AllButSeconds(seconds) if !(0.0..=86_400.0).contains(&seconds) => {
                Err("all_but_seconds must be from 0 to 86400".into())
            }
            _ => Ok(complete),
        }
    }

    fn check(&self, settings: &Settings, directory: &Path) -> Result<(), String> {
        let settings: ExternalSettings = settings_of(settings);
        for (name, command) in [("backup", &settings.backup), ("restore", &settings.restore)] {
            if command.is_none() {
                return Err(format!("settings.{name} is required: give a command"));
            }
        }
        for (name, command) in settings.commands() {
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

    fn missing(&self, settings: &Settings, _engine: &'static dyn Engine) -> Option<String> {
        let settings: ExternalSettings = settings_of(settings);
        let mut programs = settings.commands().filter_map(|(_, command)| command.program());
        let missing = programs.find(|program| !is_path(program) && on_path(program).is_none())?;
        Some(format!("the scenario's command '{missing}' is not on PATH"))
    }

    fn promise(&self, settings: &Settings) -> Promise {
        match settings_of::<ExternalSettings>(settings).promise {
            Declared::Nothing => Promise { text: "nothing", keeps: Keeps::Nothing },
            Declared::Earlier => EARLIER,
            Declared::AllButSeconds(seconds) => Promise {
                text: "as the scenario declares: consistent; keeps every write acknowledged until all_but_seconds \
                       before the disaster",
                keeps: Keeps::AllBut { last: Duration::from_secs_f64(seconds) },
            },
        }
    }

    fn arm(&self, context: &mut BackupContext<'_>) -> Result<Option<Box<dyn Shipper>>, Halt> {
        let settings: ExternalSettings = context.settings();
        let Some(command) = settings.arm else {
            return Ok(None);
        };
        // It runs for the whole trial, and nothing would read a pipe for that long.
        let log = context.watch.launcher.work_directory().join("arm.log");
        let refused = |error| Error::Environment(format!("cannot write {}: {error}", log.display()));
        let mut command = command.backup(context)?;
        command.stdout(File::create(&log).map_err(refused)?);
        command.stderr(File::options().append(true).open(&log).map_err(refused)?);
        let group = Group::new(vec![start(context.watch, command)?]);
        Ok(Some(Box::new(Armed { group, log })))
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: ExternalSettings = context.settings();
        let command = settings.backup.expect("its presence was checked").backup(context)?;
        // The final size of the artifact is unknown.
        context.watch.expected_bytes = None;
        run(context.watch, command)?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        // The disaster also ends processes that the backup left in the background.
        kill_marked(context.watch.launcher.work_directory());
        let settings: ExternalSettings = settings_of(context.settings);
        let into_server = context.subject.server().is_some() && settings.restore_into == RestoreInto::Server;
        let mut command =
            settings.restore.expect("its presence was checked").command(context.scenario_directory);
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
        if into_server { Ok(()) } else { context.watch.make_durable() }
    }
}

impl ExternalSettings {
    /// The commands that are set.
    fn commands(&self) -> impl Iterator<Item = (&'static str, &UserCommand)> {
        let commands = [("arm", &self.arm), ("backup", &self.backup), ("restore", &self.restore)];
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

    /// A command that runs while the application is running.
    fn backup(&self, context: &BackupContext<'_>) -> Result<Command, Halt> {
        let mut command = self.command(context.scenario_directory);
        command.env("DRILL_SOURCE", context.subject.data());
        command.env("DRILL_DESTINATION", context.destination);
        command.env("DRILL_ENGINE", context.subject.engine().name());
        command.envs(connection(context.subject)?);
        Ok(command)
    }
}

fn is_path(program: &str) -> bool {
    program.contains('/')
}

/// How to connect to the running server; empty for a SQLite file.
fn connection(subject: &Subject) -> Result<Vec<(&'static str, OsString)>, Halt> {
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

fn run(watch: &mut Watch, mut command: Command) -> Result<(), Halt> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = start(watch, command)?;
    match watch.run(vec![child]) {
        Ok(_) => Ok(()),
        Err(Halt::Failed(message)) => {
            let hint = other_client(&message).map_or(String::new(), |hint| format!("; {hint}"));
            Err(Halt::Failed(message + &hint))
        }
        Err(halt) => Err(halt),
    }
}

/// MySQL clients that have the same names in MariaDB's packages, where they lack some of MySQL's options.
const CLIENTS: [&str; 2] = ["mysql", "mysqldump"];

/// The cause and the remedy, when `message` says that a client rejected an option and the client is MariaDB's.
fn other_client(message: &str) -> Option<String> {
    let refuses = |command| {
        ["option", "variable"].iter().any(|what| message.contains(&format!("{command}: unknown {what}")))
    };
    let command = CLIENTS.into_iter().find(|command| refuses(*command))?;
    let client = Tool { command, version_argument: "--version", get: Get::Words("") };
    let version = client.version().filter(|version| version.contains("MariaDB"))?;
    Some(format!(
        "'{command}' on PATH is MariaDB's ({version}) and lacks some of MySQL's options: write an option as \
         --loose-NAME, and a client that does not know it ignores it"
    ))
}

/// Starts a command that the user supplied. If the command itself cannot be executed, the strategy has failed.
fn start(watch: &Watch, command: Command) -> Result<Child, Halt> {
    watch.launcher.spawn(Account::Strategy, command).map_err(|unstarted| {
        if unstarted.is_the_programs() { Halt::Failed(unstarted.to_string()) } else { unstarted.into() }
    })
}

/// The armed command while it runs.
struct Armed {
    group: Group,
    log: PathBuf,
}

impl Shipper for Armed {
    fn ended(&self) -> Option<String> {
        self.group.has_ended().then(|| match self.last_lines() {
            said if said.is_empty() => {
                "the 'arm' command exited before the disaster without any output".into()
            }
            said => format!("the 'arm' command exited before the disaster; last output:\n{said}"),
        })
    }

    fn counters(&self) -> Option<Counters> {
        Some(self.group.counters())
    }

    fn kill(&mut self) {
        self.group.kill();
    }

    fn last_lines(&self) -> String {
        last_lines(&self.log)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::Moments;

    fn given(value: serde_json::Value) -> Settings {
        value.as_object().unwrap().clone()
    }

    fn complete(value: serde_json::Value) -> Result<Settings, String> {
        External.complete(&given(value))
    }

    #[test]
    fn invalid_commands_and_promises_are_refused() {
        let messages = [
            complete(json!({ "backup": 7 })),
            complete(json!({ "backup": [] })),
            complete(json!({ "restore": ["sh", 7] })),
            complete(json!({ "arm": [""] })),
            complete(json!({ "backup": ["cp", "$DRILL_SOURCE", "copy"] })),
            complete(json!({ "promise": "everything" })),
            complete(json!({ "promise": { "all_but_seconds": -1.0 } })),
        ];
        let messages: Vec<String> = messages.into_iter().map(Result::unwrap_err).collect();
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
        assert!(complete(json!({ "backup": ["bash", "-c", "cp $DRILL_SOURCE $DRILL_DESTINATION"] })).is_ok());
    }

    #[test]
    fn a_missing_program_is_reported_before_anything_happens() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes"), "").unwrap();
        let check = |value| External.check(&complete(value).unwrap(), directory.path()).unwrap_err();
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
        let settings = complete(elsewhere).unwrap();
        External.check(&settings, directory.path()).unwrap();
        insta::assert_snapshot!(
            External.missing(&settings, engines::registry::DEFAULT).unwrap(),
            @"the scenario's command 'no-such-command-anywhere' is not on PATH"
        );
    }

    #[test]
    fn it_promises_what_the_scenario_declares() {
        let moments = Moments { backup_began_ns: 5, disaster_ns: 9_000_000_000 };
        let held = |promise: serde_json::Value| {
            let settings = complete(json!({ "promise": promise })).unwrap();
            let promise = External.promise(&settings);
            (External.kept(&settings, &moments).acknowledged_before_ns, promise.is_none())
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
