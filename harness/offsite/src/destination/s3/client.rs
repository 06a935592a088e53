//! The client of a bucket: its settings, its connection, and the requests that are counted.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use machine::error::{Error, Result};
use machine::process::{Cancel, TICK};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error as StoreError, HeaderValue, ObjectStore, ObjectStoreExt, RetryConfig,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::credentials::{self, Chosen};
use super::explain::explained;
use crate::destination::contract::Moved;
use crate::destination::name::ObjectName;

/// Longest time to a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without any byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time of one request, which may be a part of 1 GiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Longest time in which a request is repeated.
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);
/// S3 takes at most so many parts of an upload.
const PARTS_MAX: u64 = 10_000;

/// The settings of the destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bucket {
    pub(crate) bucket: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    #[serde(default = "part_mib")]
    pub(crate) part_mib: u64,
    #[serde(default = "parallel")]
    pub(crate) parallel: usize,
    #[serde(default = "retries")]
    pub(crate) retries: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
}

fn part_mib() -> u64 {
    16
}

fn parallel() -> usize {
    4
}

fn retries() -> usize {
    5
}

impl Bucket {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if self.bucket.is_empty() || self.bucket.contains(['/', '?', '#', '@', ' ']) {
            Err("bucket must be the name of a bucket".to_owned())
        } else if !self.endpoint.as_ref().is_none_or(is_url) {
            Err("endpoint must begin with http:// or https://".to_owned())
        } else if self.endpoint.as_ref().is_some_and(|url| url.contains('@')) {
            Err("endpoint must not contain credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned())
        } else if !(5..=1024).contains(&self.part_mib) {
            Err("part_mib must be from 5 to 1024".to_owned())
        } else if !(1..=64).contains(&self.parallel) {
            Err("parallel must be from 1 to 64".to_owned())
        } else if self.retries > 20 {
            Err("retries must be from 0 to 20".to_owned())
        } else {
            Path::parse(self.prefix()).map(drop).map_err(|error| format!("prefix: {error}"))
        }
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default().trim_matches('/')
    }

    pub(crate) fn place(&self) -> String {
        let prefix = if self.prefix().is_empty() { String::new() } else { format!("/{}", self.prefix()) };
        let server = self.endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" on {endpoint}"));
        format!("s3://{}{prefix}{server}", self.bucket)
    }

    /// The size of the parts of a file of so many bytes.
    pub(super) fn part_bytes(&self, bytes: u64) -> u64 {
        let least = bytes.div_ceil(PARTS_MAX).next_multiple_of(1 << 20);
        least.max(self.part_mib << 20)
    }

    fn builder(&self) -> Result<AmazonS3Builder> {
        let found = credentials::find(Chosen {
            file: self.credentials_file.as_deref(),
            profile: self.profile.as_deref(),
        })?;
        let builder = match found.credentials {
            Some(key) => {
                let builder = AmazonS3Builder::new()
                    .with_access_key_id(key.access_key_id)
                    .with_secret_access_key(key.secret_access_key);
                key.session_token.into_iter().fold(builder, AmazonS3Builder::with_token)
            }
            None => AmazonS3Builder::from_env(),
        };
        let region = self.region.clone().or(found.region).unwrap_or_else(|| "us-east-1".to_owned());
        let retry =
            RetryConfig { max_retries: self.retries, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let options = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT)
            .with_allow_http(self.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")));
        let builder = builder
            .with_bucket_name(&self.bucket)
            .with_region(region)
            .with_retry(retry)
            .with_client_options(options)
            .with_disable_bulk_delete(true);
        Ok(self
            .endpoint
            .iter()
            .fold(builder, |builder, url| builder.with_endpoint(url.trim_end_matches('/'))))
    }
}

/// A connection to a bucket.
pub(crate) struct Client {
    pub(super) bucket: Bucket,
    pub(super) store: Arc<AmazonS3>,
    pub(super) runtime: Runtime,
    requests: Arc<AtomicU64>,
}

impl Client {
    /// Prepares the connection; no request is made yet.
    pub(crate) fn connect(bucket: &Bucket) -> Result<Client> {
        // It fails when the program has chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let requests = Arc::new(AtomicU64::new(0));
        let connector = CountingConnector(requests.clone());
        let store = bucket.builder()?.with_http_connector(connector).build();
        let store = store.map_err(|error| {
            Error::Input(format!("the destination {} cannot be used: {error}", bucket.place()))
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.context("cannot start the threads of the S3 client")?;
        Ok(Client { bucket: bucket.clone(), store: Arc::new(store), runtime, requests })
    }

    /// What was moved with it so far.
    pub(crate) fn moved(&self, bytes: u64) -> Moved {
        Moved { bytes, requests: Some(self.requests.load(Ordering::Relaxed)) }
    }

    /// Waits for a request, or until the user asks to stop.
    pub(super) fn wait<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
        let stopped = async {
            while !cancel.is_cancelled() {
                tokio::time::sleep(TICK).await;
            }
            Err(Error::Interrupted)
        };
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                stopped = stopped => stopped,
            }
        })
    }

    /// The key of an object.
    pub(super) fn key(&self, name: &ObjectName) -> Result<Path> {
        let prefix = self.bucket.prefix();
        let key = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
        Path::parse(key)
            .map_err(|error| Error::Input(format!("the object name '{name}' cannot be used: {error}")))
    }

    /// The error of an operation on an object, such as "upload".
    pub(super) fn failed(&self, operation: &str, name: &ObjectName, error: &StoreError) -> Error {
        let place = self.bucket.place();
        explained(&format!("{operation} '{name}' at {place}"), error, self.bucket.retries)
    }

    /// The names and sizes of all objects directly below the prefix.
    pub(crate) fn list(&self, cancel: &Cancel) -> Result<Vec<(String, u64)>> {
        let prefix = Path::parse(self.bucket.prefix()).context("the prefix was checked")?;
        let listed = self.wait(cancel, async {
            let prefix = Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty());
            self.store.list_with_delimiter(prefix).await.map_err(|error| {
                explained(&format!("list {}", self.bucket.place()), &error, self.bucket.retries)
            })
        })?;
        let named = listed.objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?;
            Some((name.to_owned(), object.size))
        });
        Ok(named.collect())
    }

    /// Removes an object.
    pub(crate) fn delete(&self, name: &ObjectName, cancel: &Cancel) -> Result<()> {
        let key = self.key(name)?;
        self.wait(cancel, async {
            match self.store.delete(&key).await {
                Err(error) if !is_absent(&error) => Err(self.failed("delete", name, &error)),
                _ => Ok(()),
            }
        })
    }
}

/// True when the object is not there, though the bucket is.
pub(super) fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !error.to_string().contains("NoSuchBucket")
}

/// Connects with `reqwest`, and counts the requests.
#[derive(Debug)]
struct CountingConnector(Arc<AtomicU64>);

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CountingService { inner, requests: self.0.clone() }))
    }
}

#[derive(Debug)]
struct CountingService {
    inner: HttpClient,
    requests: Arc<AtomicU64>,
}

#[async_trait]
impl HttpService for CountingService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // The request that completes an upload of several parts. The library has no way to make it conditional; S3
        // does not require that this header is signed.
        let query = request.uri().query().unwrap_or_default();
        if request.method().as_str() == "POST" && query.contains("uploadId=") {
            request.headers_mut().insert("if-none-match", HeaderValue::from_static("*"));
        }
        self.inner.execute(request).await
    }
}
