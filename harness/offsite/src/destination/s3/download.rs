//! Downloads by parallel ranges, each written at its place.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use machine::error::{Error, Result};
use machine::process::Cancel;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
};

use super::client::{Client, is_absent};
use crate::destination::contract::{Operation, absent};
use crate::destination::name::ObjectName;
use crate::output_file::OutputFile;
use crate::progress::Meter;

/// Fetches an object into the new file `to`. Returns the bytes that were transferred.
pub(crate) fn get(
    client: &Client,
    name: &ObjectName,
    to: &FilePath,
    operation: &mut Operation,
) -> Result<u64> {
    let key = client.key(name)?;
    let output = OutputFile::create(to)?;
    let cancel = operation.launcher.cancel.clone();
    let bytes = client.wait(&cancel, fetch(client, name, &key, &output, operation))?;
    output.keep();
    Ok(bytes)
}

/// Fetches a range of an object into memory.
pub(crate) fn get_range(
    client: &Client,
    name: &ObjectName,
    range: Range<u64>,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let key = client.key(name)?;
    client.wait(cancel, async {
        match begin(&client.store, &key, range, None).await {
            Ok(Some(part)) => {
                let bytes = part.bytes().await;
                bytes.map(Vec::from).map_err(|error| failed(client, name, &error))
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(failed(client, name, &error)),
        }
    })
}

fn failed(client: &Client, name: &ObjectName, error: &StoreError) -> Error {
    if is_absent(error) {
        absent(name, &client.bucket.place())
    } else {
        client.failed("download", name, error)
    }
}

/// Requests a range. `None` when the object ends before it.
async fn begin(
    store: &AmazonS3,
    key: &Path,
    range: Range<u64>,
    version: Option<String>,
) -> Result<Option<GetResult>, StoreError> {
    let options =
        GetOptions { range: Some(GetRange::Bounded(range)), if_match: version, ..GetOptions::default() };
    match store.get_opts(key, options).await {
        // Requested range not satisfiable.
        Err(error) if error.to_string().contains("status code: 416") => Ok(None),
        begun => begun.map(Some),
    }
}

async fn fetch(
    client: &Client,
    name: &ObjectName,
    key: &Path,
    output: &OutputFile,
    operation: &mut Operation<'_>,
) -> Result<u64> {
    let failed = |error: StoreError| failed(client, name, &error);
    let part_bytes = client.bucket.part_bytes(0);
    let Some(first) = begin(&client.store, key, 0..part_bytes, None).await.map_err(failed)? else {
        // Only an empty object has no first byte; the server says whether it is that.
        let meta = client.store.head(key).await.map_err(failed)?;
        return if meta.size == 0 { Ok(0) } else { Err(truncated(client, name, 0, &meta)) };
    };
    let meta = Arc::new(first.meta.clone());
    let total = meta.size;
    output.file().set_len(total).map_err(|error| output.cannot("write", &error))?;
    let file = Arc::new(output.file().try_clone().context("cannot open the file again")?);
    let mut meter = Meter::new(total, operation.report);
    let part_of_first = client.runtime.spawn(first.bytes());
    let first = stream::once(async move { (0, part_of_first.await) });
    let starts = (1..total.div_ceil(part_bytes)).map(|number| number * part_bytes);
    let others = starts.map(|start| {
        let (store, key, meta) = (client.store.clone(), key.clone(), meta.clone());
        let range = start..(start + part_bytes).min(total);
        async move { (start, client.runtime.spawn(part(store, key, range, meta)).await) }
    });
    let mut parts =
        std::pin::pin!(first.chain(stream::iter(others).buffer_unordered(client.bucket.parallel)));
    let mut transferred = 0;
    while let Some((start, part)) = parts.next().await {
        let part: Bytes = part.context("a download ended")?.map_err(failed)?;
        let expected = part_bytes.min(total - start);
        if part.len() as u64 != expected {
            return Err(truncated(client, name, start + part.len() as u64, &meta));
        }
        file.write_all_at(&part, start).map_err(|error| output.cannot("write", &error))?;
        transferred += expected;
        meter.add(expected);
    }
    Ok(transferred)
}

async fn part(
    store: Arc<AmazonS3>,
    key: Path,
    range: Range<u64>,
    meta: Arc<ObjectMeta>,
) -> Result<Bytes, StoreError> {
    match begin(&store, &key, range, meta.e_tag.clone()).await? {
        Some(part) => {
            part.into_stream().try_collect::<Vec<Bytes>>().await.map(|pieces| pieces.concat().into())
        }
        None => Ok(Bytes::new()),
    }
}

fn truncated(client: &Client, name: &ObjectName, bytes: u64, meta: &ObjectMeta) -> Error {
    Error::Environment(format!(
        "the object '{name}' at {} is truncated: its end at byte {bytes} comes before its size of {} bytes",
        client.bucket.place(),
        meta.size
    ))
}
