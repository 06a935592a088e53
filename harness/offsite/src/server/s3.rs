//! An S3 server as a worker: the library `s3s` with its file system, which checks signatures.

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use machine::error::Result;
use machine::process::{Account, Group, Launcher};
use machine::worker::{Job, Message, Progress};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::start::TIMEOUT;
use crate::content::cannot;
use crate::destination::DestinationChoice;
use crate::destination::s3_credentials;

/// A running S3 server.
pub struct S3Server {
    endpoint: String,
    credentials_file: PathBuf,
    _group: Group,
}

impl S3Server {
    /// Starts a server on a free port of 127.0.0.1 that keeps its objects in `directory`, with these buckets. Its key is
    /// new, and in a file there.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when it cannot be started.
    pub fn start(
        launcher: &Launcher,
        account: Account,
        directory: &Path,
        buckets: &[&str],
    ) -> Result<S3Server> {
        let objects = directory.join("objects");
        for bucket in buckets {
            let bucket = objects.join(bucket);
            fs::create_dir_all(&bucket).map_err(|error| cannot("create", &bucket, &error))?;
        }
        let credentials_file = directory.join("credentials");
        write_credentials(&credentials_file)?;
        let port_file = directory.join("port");
        // It may be that of an earlier server.
        let _ = fs::remove_file(&port_file);
        let job =
            ServeS3 { objects, credentials_file: credentials_file.clone(), port_file: port_file.clone() };
        let (child, _) = launcher.worker(account, &job)?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&launcher.cancel, TIMEOUT)?;
        let port = fs::read_to_string(&port_file).map_err(|error| cannot("read", &port_file, &error))?;
        Ok(S3Server { endpoint: format!("http://127.0.0.1:{port}"), credentials_file, _group: group })
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The file with its key, as `~/.aws/credentials`.
    pub fn credentials_file(&self) -> &Path {
        &self.credentials_file
    }

    /// Its key: the id and the secret.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn key(&self) -> Result<(String, String)> {
        let credentials = s3_credentials::of_file(&self.credentials_file)?;
        Ok((credentials.access_key_id, credentials.secret_access_key))
    }

    /// The destination `s3` with one of its buckets.
    pub fn destination(&self, bucket: &str) -> DestinationChoice {
        destination(&self.endpoint, &self.credentials_file, bucket)
    }
}

/// The destination `s3` with a bucket of a server for trials.
pub(crate) fn destination(endpoint: &str, credentials_file: &Path, bucket: &str) -> DestinationChoice {
    let file = credentials_file.display().to_string();
    let values =
        [("bucket", bucket), ("endpoint", endpoint), ("region", "us-east-1"), ("credentials_file", &file)];
    let settings = values.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
    DestinationChoice { name: "s3".to_owned(), settings }
}

/// Writes a new key that only this user can read. An existing file is replaced.
pub(crate) fn write_credentials(file: &Path) -> Result<()> {
    let mut random = [0; 28];
    let text = File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut random))
        .map(|()| random.map(|byte| format!("{byte:02X}")).concat())
        .context("cannot make a random key")?;
    let (id, secret) = text.split_at(16);
    let text = format!("[default]\naws_access_key_id = BACKUPDRILL{id}\naws_secret_access_key = {secret}\n");
    // Its mode is that of its creation.
    let _ = fs::remove_file(file);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| cannot("write", file, &error))
}

/// Serves S3 until it is killed. It is ready when its port is in `port_file`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServeS3 {
    /// Where objects are kept: a directory for each bucket.
    pub objects: PathBuf,
    /// The file with the key that requests must be signed with.
    pub credentials_file: PathBuf,
    /// The file into which it writes its port.
    pub port_file: PathBuf,
}

impl Job for ServeS3 {
    const NAME: &'static str = "offsite-serve-s3";
    type Answer = ();

    fn title(&self) -> String {
        "S3 server".to_owned()
    }

    fn run(self, _: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(self.serve(&|| Message::Ready(serde_json::Value::Null).send()))
    }
}

impl ServeS3 {
    /// Serves for ever; calls `ready` when it listens.
    pub(crate) async fn serve(&self, ready: &(dyn Fn() + Sync)) -> anyhow::Result<()> {
        let credentials = s3_credentials::of_file(&self.credentials_file)?;
        let files = FileSystem::new(&self.objects).map_err(|error| anyhow!("{error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(credentials.access_key_id, credentials.secret_access_key));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("there is no free port")?;
        fs::write(&self.port_file, listener.local_addr()?.port().to_string())?;
        ready();
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(answer(TokioIo::new(socket), service.clone()));
        }
    }
}

async fn answer(socket: TokioIo<tokio::net::TcpStream>, service: S3Service) {
    // A client that is gone is no error of the server.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(socket, service).await;
}
