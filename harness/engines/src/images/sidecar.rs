//! The sidecar's image: built with its Containerfile on top of the tools image. The build runs the sidecar's unit
//! tests, and creates no image if one fails.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::{BuildImageOptionsBuilder, PruneImagesOptionsBuilder};
use futures_util::StreamExt;
use machine::docker::{block_on, reason};
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::process::{Launcher, TICK};
use tokio_tar::{Builder, Header};
use xxhash_rust::xxh3::xxh3_64;

use super::image::Image;
use super::kind::ImageKind;
use super::{local, tools_image};

/// The container that backs up an application at an interval. Building it needs what building the tools image needs.
pub static SIDECAR: ImageKind =
    ImageKind { name: "sidecar", official: None, program: None, recipe: tools_image::RECIPE };

/// The repository of its reference.
pub(super) const REPOSITORY: &str = "backup-drill/sidecar";

const CONTAINERFILE: &str = "Containerfile";
/// The label that the Containerfile gives to the test stage, which is not part of the image.
const TEST_STAGE: &str = "backup-sidecar.stage=test";
/// Timeout of the build request.
const BUILD_TIMEOUT: Duration = Duration::from_secs(3600);
/// Number of lines of a failed build in its error message.
const LINES_SHOWN: usize = 20;

macro_rules! files {
    ($($path:literal),*) => {
        &[$(($path, include_bytes!(concat!("../../../../sidecar/", $path)).as_slice())),*]
    };
}

/// Paths in the sidecar's directory, and the contents of the files.
type Files = [(&'static str, &'static [u8])];

/// The files for the build, compiled in, so that this program does not need the source directory.
const FILES: &Files = files![
    "Containerfile",
    "alerts.sh",
    "backup.sh",
    "catalogue.sh",
    "common.sh",
    "live-copy.sh",
    "maintenance-window.sh",
    "metrics.sh",
    "offsite.sh",
    "restore.sh",
    "retention.sh",
    "tests/alerts.bats",
    "tests/backup.bats",
    "tests/catalogue.bats",
    "tests/helper.bash",
    "tests/live-copy.bats",
    "tests/loop.bats",
    "tests/offsite.bats",
    "tests/restore.bats",
    "tests/retention.bats",
    "tests/settings.bats",
    "tests/verify.bats",
    "tests/window.bats",
    "verify.sh"
];

/// Gets the image that is based on these tools. It is built if it is missing.
///
/// # Errors
/// [`Error::Environment`] when it cannot be built; [`Error::Interrupted`].
pub(super) fn obtain(
    docker: &Docker,
    tools: &Image,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<Image> {
    if let Some(image) = look(docker, tools)? {
        return Ok(image);
    }
    let built = build(docker, tools, FILES, launcher, observer);
    // An error is ignored: leftover images of the test stage do no harm.
    let _ = prune(docker);
    built?;
    look(docker, tools)?.ok_or_else(|| anyhow::anyhow!("an image that was just built is missing").into())
}

/// The image that is based on these tools, if it is present.
///
/// # Errors
/// [`Error::Environment`] when Docker cannot be reached.
pub(super) fn look(docker: &Docker, tools: &Image) -> Result<Option<Image>> {
    local::inspect(docker, &reference(tools, FILES))
}

/// Its reference. The tag is a hash of the tools image and all files.
fn reference(tools: &Image, files: &Files) -> String {
    let made_of = serde_json::to_vec(&(&tools.id, files)).expect("names and bytes are plain data");
    format!("{REPOSITORY}:{:012x}", xxh3_64(&made_of) >> 16)
}

fn build(
    docker: &Docker,
    tools: &Image,
    files: &Files,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<()> {
    let reference = reference(tools, files);
    observer(Event::Preparing(format!("building {reference} and running its unit tests: about a minute")));
    let archive = block_on(archive(files)).context("cannot pack the sidecar")?;
    let options = BuildImageOptionsBuilder::new()
        .dockerfile(CONTAINERFILE)
        .t(&reference)
        .rm(true)
        .forcerm(true)
        // The tools image contains everything that the build needs.
        .networkmode("none")
        .buildargs(&HashMap::from([("BASE", tools.reference.as_str())]))
        .build();
    let docker = docker.clone().with_timeout(BUILD_TIMEOUT);
    let mut stream = Box::pin(docker.build_image(options, None, Some(bollard::body_full(archive.into()))));
    let mut said = String::new();
    loop {
        // Dropping the stream ends the build.
        launcher.cancel.check()?;
        match block_on(async { tokio::time::timeout(TICK, stream.next()).await }) {
            Ok(Some(Ok(step))) => said.push_str(&step.stream.unwrap_or_default()),
            Err(_) => {}
            Ok(Some(Err(error))) => {
                let (reason, last) = (reason(&error), last_lines(&said));
                return Err(Error::Environment(format!("{reference} cannot be built: {reason}\n{last}")));
            }
            Ok(None) => return Ok(()),
        }
    }
}

/// Removes images of the test stage that builds have left.
fn prune(docker: &Docker) -> Result<()> {
    let filters = HashMap::from([("dangling", vec!["true"]), ("label", vec![TEST_STAGE])]);
    let options = PruneImagesOptionsBuilder::new().filters(&filters).build();
    block_on(docker.prune_images(Some(options)))
        .map_err(|error| Error::Environment(format!("cannot remove unused images: {}", reason(&error))))?;
    Ok(())
}

/// Writes its scripts into an existing directory, for a run without a container.
///
/// # Errors
/// When one cannot be written.
pub fn write_scripts(directory: &Path) -> std::io::Result<()> {
    for (path, content) in FILES.iter().filter(|(path, _)| path.ends_with(".sh")) {
        let mut file = File::options().write(true).create_new(true).mode(0o755).open(directory.join(path))?;
        file.write_all(content)?;
    }
    Ok(())
}

/// A tar archive of the files; scripts are executable.
async fn archive(files: &Files) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new_non_terminated(Vec::new());
    for (path, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if path.ends_with(".sh") { 0o755 } else { 0o644 });
        archive.append_data(&mut header, path, *content).await?;
    }
    archive.into_inner().await
}

/// The tests that failed, or without any the last lines.
fn last_lines(text: &str) -> String {
    let failed: Vec<&str> =
        text.lines().filter(|line| line.starts_with("not ok ")).take(LINES_SHOWN).collect();
    if !failed.is_empty() {
        return failed.join("\n");
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use machine::measure::storage;

    fn tools(id: &str) -> Image {
        Image { reference: "tools:1".into(), id: id.into(), versions: BTreeMap::new() }
    }

    #[test]
    fn all_files_of_the_sidecar_are_compiled_in() {
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sidecar"));
        let mut there: Vec<String> = storage::files(directory)
            .iter()
            .map(|path| path.strip_prefix(directory).unwrap().to_string_lossy().into_owned())
            .filter(|path| path != "README.md")
            .collect();
        there.sort();
        let packed: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(there, packed);
    }

    #[test]
    fn its_tag_depends_on_the_tools_and_the_files() {
        let tag = reference(&tools("sha256:1"), FILES);
        assert_eq!(tag, reference(&tools("sha256:1"), FILES));
        assert_ne!(tag, reference(&tools("sha256:2"), FILES));
        assert_ne!(tag, reference(&tools("sha256:1"), &FILES[1..]));
    }

    #[test]
    fn an_archive_holds_every_file_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("files.tar");
        std::fs::write(&path, block_on(archive(FILES)).unwrap()).unwrap();
        for (name, content) in FILES {
            let mut tar = std::process::Command::new("tar");
            let output = tar.arg("-xf").arg(&path).args(["--to-stdout", name]).output().unwrap();
            assert!(output.status.success() && output.stdout == *content, "{name}");
        }
    }

    #[test]
    fn if_a_test_of_the_sidecar_fails_no_image_is_created() {
        if std::env::var_os("BACKUP_DRILL_WITHOUT_DOCKER").is_some() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &machine::process::Cancel::default());
        let tools = crate::images::obtain(&tools_image::TOOLS, None, &launcher, &|_| ());
        let tools = tools.unwrap_or_else(|error| panic!("{error}"));
        let files: &Files =
            &[FILES[0], ("none.sh", &[]), ("tests/wrong.bats", b"@test \"wrong\" {\n    false\n}\n")];
        let docker = machine::docker::connect().unwrap_or_else(|error| panic!("{error}"));
        let Err(Error::Environment(message)) = build(&docker, &tools, files, &launcher, &|_| ()) else {
            panic!("it was built")
        };
        assert!(message.contains("not ok 1 wrong"), "{message}");
        assert_eq!(local::inspect(&docker, &reference(&tools, files)).unwrap(), None);
        prune(&docker).unwrap_or_else(|error| panic!("{error}"));
        let labelled = HashMap::from([("label", vec![TEST_STAGE])]);
        let options = bollard::query_parameters::ListImagesOptionsBuilder::new().filters(&labelled).build();
        let left = block_on(docker.list_images(Some(options))).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
