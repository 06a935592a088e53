//! Access to Docker: one client and one runtime, for images and containers.

mod context;

use std::sync::LazyLock;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use reports::printable;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
pub use context::follow_context;

/// A daemon that takes longer to answer counts as absent.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("docker").enable_all().build().expect("a thread can be started")
});

/// Runs a future to its end. Must not be called inside a future: see [`detached`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Runs a future to its end, for at most `timeout`. May be called from any thread, also one of a runtime.
pub(crate) fn detached(timeout: Duration, future: impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = std::sync::mpsc::channel();
    RUNTIME.spawn(async move {
        future.await;
        // After the timeout, there is no receiver any more.
        let _ = sender.send(());
    });
    let _ = receiver.recv_timeout(timeout);
}

/// The client, once the daemon has answered.
///
/// # Errors
/// [`Error::Environment`] when Docker is not installed, not running, or this user may not use it.
pub fn connect() -> Result<Docker> {
    block_on(async {
        let client = testcontainers::core::client::docker_client_instance();
        let docker = client.await.map_err(|error| unreachable(&causes(&error)))?;
        match tokio::time::timeout(PING_TIMEOUT, docker.ping()).await {
            Ok(Ok(_)) => Ok(docker),
            Ok(Err(error)) => Err(unreachable(&causes(&error))),
            Err(_) => Err(unreachable(&format!("no answer within {} s", PING_TIMEOUT.as_secs()))),
        }
    })
}

/// The version of the daemon.
///
/// # Errors
/// [`Error::Environment`] when the daemon cannot be reached.
pub fn server_version() -> Result<String> {
    let docker = connect()?;
    let version = block_on(docker.version()).map_err(|error| failed("report its version", &error))?;
    Ok(version.version.unwrap_or_else(|| "unknown".to_owned()))
}

/// The error of a daemon that could not fulfil a request.
pub fn failed(what: &str, error: &DockerError) -> Error {
    Error::Environment(format!("Docker could not {what}: {}", reason(error)))
}

/// The daemon's message, without protocol details.
pub fn reason(error: &DockerError) -> String {
    match error {
        DockerError::DockerResponseServerError { message, .. } => printable(message).trim().to_owned(),
        DockerError::DockerStreamError { error } => printable(error).trim().to_owned(),
        _ => causes(error),
    }
}

/// True when the daemon reports that the object does not exist.
pub fn is_absent(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 404, .. })
}

fn unreachable(cause: &str) -> Error {
    let address = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let context = match context::current() {
        Ok(None) => String::new(),
        Ok(Some(context)) if context.is_local() => {
            format!("; that is the address of docker's current context '{}'", context.name)
        }
        Ok(Some(context)) => format!(
            "; docker's current context '{}' is at {} and is not used, because containers need directories of this \
             machine: select a context with a local socket, or set DOCKER_HOST",
            context.name, context.host
        ),
        Err(cause) => format!("; {cause}, or set DOCKER_HOST"),
    };
    Error::Environment(format!(
        "Docker is not running or not reachable at {address} ({cause}): start it ('systemctl start docker'), \
         install it (Debian, Ubuntu: the package 'docker.io'), or, when permission is denied, add this user to \
         the group 'docker'{context}"
    ))
}

/// An error with its causes: the client's message alone hides that a socket is missing.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    printable(&text)
}
