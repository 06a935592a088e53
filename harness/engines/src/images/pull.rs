//! Images from a registry.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use machine::docker::{block_on, reason};
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::process::{Launcher, TICK};

/// A registry that does not respond for this long counts as unreachable.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Images that could not be pulled, with the cause, so that no later trial waits for them again.
static FAILED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Pulls an image.
///
/// # Errors
/// [`Error::Environment`] with the cause, at once when this process has tried before; [`Error::Interrupted`].
pub(super) fn pull(
    docker: &Docker,
    reference: &str,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<()> {
    let known = |cause: &String| Error::Environment(cause.clone());
    if let Some(error) = failed().get(reference).map(known) {
        return Err(error);
    }
    observer(Event::Preparing(format!("pulling the image {reference}")));
    let options = CreateImageOptionsBuilder::new().from_image(reference);
    // Without a tag the daemon would pull every version.
    let tagged =
        reference.contains('@') || reference.rsplit('/').next().is_some_and(|name| name.contains(':'));
    let options = if tagged { options } else { options.tag("latest") };
    let mut stream = Box::pin(docker.create_image(Some(options.build()), None, None));
    let mut heard = Instant::now();
    let cause = loop {
        // Dropping the stream ends the pull.
        launcher.cancel.check()?;
        match block_on(async { tokio::time::timeout(TICK, stream.next()).await }) {
            Ok(Some(Ok(_))) => heard = Instant::now(),
            Ok(Some(Err(error))) => break reason(&error),
            Ok(None) => return Ok(()),
            Err(_) if heard.elapsed() > SILENCE_MAX => {
                break format!("no response from its registry for {} s", SILENCE_MAX.as_secs());
            }
            Err(_) => {}
        }
    };
    let cause = format!("the image '{reference}' cannot be pulled ({cause})");
    failed().insert(reference.to_owned(), cause.clone());
    Err(Error::Environment(cause))
}

fn failed() -> std::sync::MutexGuard<'static, BTreeMap<String, String>> {
    FAILED.lock().expect("no thread panics while holding the causes")
}
