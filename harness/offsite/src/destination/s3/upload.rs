//! Uploads: small files as one object, larger ones in parallel parts that are continued after an interruption.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use machine::error::{Error, Result};
use machine::process::Cancel;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};
use serde::{Deserialize, Serialize};

use super::client::{Client, is_absent};
use crate::content::{Content, ContentHasher, cannot};
use crate::destination::contract::{Operation, Upload, changed, exists};
use crate::progress::Meter;

/// Uploads a file. Returns the bytes that were transferred.
pub(crate) fn put(client: &Client, upload: &Upload, operation: &mut Operation) -> Result<u64> {
    let key = client.key(upload.name)?;
    let cancel = operation.launcher.cancel.clone();
    client.wait(&cancel, async {
        if is_there(client, upload, &key).await? {
            return Err(exists(upload.name, &client.bucket.place()));
        }
        let part_bytes = client.bucket.part_bytes(upload.content.bytes);
        if upload.content.bytes <= part_bytes {
            put_whole(client, upload, &key).await
        } else {
            put_parts(client, upload, &key, part_bytes, operation).await
        }
    })
}

/// Asks for the first byte: unlike the answer to a HEAD request, the answer names its cause when it is an error.
async fn is_there(client: &Client, upload: &Upload<'_>, key: &Path) -> Result<bool> {
    let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
    match client.store.get_opts(key, options).await {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        // An empty object.
        Err(error) if error.to_string().contains("status code: 416") => Ok(true),
        Err(error) => Err(client.failed("upload", upload.name, &error)),
    }
}

async fn put_whole(client: &Client, upload: &Upload<'_>, key: &Path) -> Result<u64> {
    let bytes = fs::read(upload.file).map_err(|error| cannot("read", upload.file, &error))?;
    let mut hasher = ContentHasher::default();
    hasher.add(&bytes);
    if hasher.finish() != *upload.content {
        return Err(changed(upload));
    }
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let put = client.store.put_opts(key, PutPayload::from(bytes), options).await;
    put.map(|_| upload.content.bytes).map_err(|error| refused(client, upload, &error))
}

/// The error of storing under a name: another upload may have been faster.
fn refused(client: &Client, upload: &Upload, error: &StoreError) -> Error {
    if is_conflict(error) {
        exists(upload.name, &client.bucket.place())
    } else {
        client.failed("upload", upload.name, error)
    }
}

fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. })
}

async fn put_parts(
    client: &Client,
    upload: &Upload<'_>,
    key: &Path,
    part_bytes: u64,
    operation: &mut Operation<'_>,
) -> Result<u64> {
    let file = File::open(upload.file).map_err(|error| cannot("read", upload.file, &error))?;
    if file.metadata().map_err(|error| cannot("read", upload.file, &error))?.len() != upload.content.bytes {
        return Err(changed(upload));
    }
    let directory = operation.launcher.work_directory();
    let mut parts = Parts {
        client,
        upload,
        key,
        file: Arc::new(file),
        part_bytes,
        place: client.bucket.place(),
        note_file: directory.join(format!("upload-{}.json", upload.content.blake3.short())),
        cancel: operation.launcher.cancel.clone(),
        meter: Meter::new(upload.content.bytes, operation.report),
        transferred: 0,
    };
    parts.put().await?;
    Ok(parts.transferred)
}

/// An upload in parts.
struct Parts<'a> {
    client: &'a Client,
    upload: &'a Upload<'a>,
    key: &'a Path,
    file: Arc<File>,
    part_bytes: u64,
    place: String,
    note_file: PathBuf,
    cancel: Cancel,
    meter: Meter<'a>,
    transferred: u64,
}

/// Why a part was not sent.
enum PartError {
    Store(StoreError),
    Own(Error),
}

impl Parts<'_> {
    async fn put(&mut self) -> Result<()> {
        let mut note = self.earlier();
        loop {
            let mut current = match note.take() {
                Some(note) => note,
                None => self.begin().await?,
            };
            let is_continued = current.parts.iter().any(Option::is_some);
            let error = match self.send_and_complete(&mut current).await {
                Ok(()) => {
                    self.forget();
                    return Ok(());
                }
                Err(PartError::Own(error)) => return Err(error),
                Err(PartError::Store(error)) => error,
            };
            // The server has removed the parts of the earlier upload: once more from the start.
            if is_continued && error.to_string().contains("NoSuchUpload") {
                self.forget();
                continue;
            }
            if is_conflict(&error) {
                // It will never be completed. If this fails, the server removes the parts by its own rules.
                let _ = self.client.store.abort_multipart(self.key, &current.id).await;
                self.forget();
            }
            return Err(refused(self.client, self.upload, &error));
        }
    }

    async fn begin(&self) -> Result<Note> {
        let id = self.client.store.create_multipart(self.key).await;
        let id = id.map_err(|error| refused(self.client, self.upload, &error))?;
        let parts = vec![None; self.count()];
        let (place, key, content) = (self.place.clone(), self.key.to_string(), *self.upload.content);
        Ok(Note { place, key, content, part_bytes: self.part_bytes, id, parts })
    }

    /// An interrupted upload of the same content under the same key.
    fn earlier(&self) -> Option<Note> {
        let note: Note = serde_json::from_slice(&fs::read(&self.note_file).ok()?).ok()?;
        let fits = note.place == self.place
            && note.key == self.key.as_ref()
            && note.content == *self.upload.content
            && note.part_bytes == self.part_bytes
            && note.parts.len() == self.count();
        fits.then_some(note)
    }

    fn count(&self) -> usize {
        self.upload.content.bytes.div_ceil(self.part_bytes) as usize
    }

    /// Sends the parts that are missing, notes each, and completes the upload.
    async fn send_and_complete(&mut self, note: &mut Note) -> Result<(), PartError> {
        let missing: Vec<usize> =
            (0..note.parts.len()).filter(|number| note.parts[*number].is_none()).collect();
        let client = self.client;
        let sends = missing.into_iter().map(|number| {
            let start = number as u64 * self.part_bytes;
            let bytes = self.part_bytes.min(self.upload.content.bytes - start);
            let (store, key, id) = (client.store.clone(), self.key.clone(), note.id.clone());
            let file = self.file.clone();
            let send = async move {
                let mut part = vec![0; bytes as usize];
                file.read_exact_at(&mut part, start).map_err(|error| {
                    let cause = format!("cannot read the file that is uploaded: {error}");
                    PartError::Own(Error::Environment(cause))
                })?;
                store.put_part(&key, &id, number, part.into()).await.map_err(PartError::Store)
            };
            async move { (number, bytes, client.runtime.spawn(send).await) }
        });
        let mut sends = std::pin::pin!(stream::iter(sends).buffer_unordered(client.bucket.parallel));
        while let Some((number, bytes, sent)) = sends.next().await {
            let part = sent.context("an upload ended").map_err(|error| PartError::Own(error.into()))??;
            note.parts[number] = Some(part.content_id);
            note.write(&self.note_file).map_err(PartError::Own)?;
            self.transferred += bytes;
            self.meter.add(bytes);
            self.cancel.check().map_err(PartError::Own)?;
        }
        let parts = note.parts.iter().flatten().map(|id| PartId { content_id: id.clone() }).collect();
        match client.store.complete_multipart(self.key, &note.id, parts).await {
            Ok(_) => Ok(()),
            // The first request was carried out and its answer lost: the repeated one finds no upload to complete.
            Err(error) if !is_conflict(&error) && self.is_complete().await => Ok(()),
            Err(error) => Err(PartError::Store(error)),
        }
    }

    /// Whether the object is there.
    async fn is_complete(&self) -> bool {
        let meta = self.client.store.head(self.key).await;
        meta.is_ok_and(|meta| meta.size == self.upload.content.bytes)
    }

    fn forget(&self) {
        // There is none when no part was sent.
        let _ = fs::remove_file(&self.note_file);
    }
}

/// What is known of an upload that is not complete, in the work directory.
#[derive(Serialize, Deserialize)]
struct Note {
    place: String,
    key: String,
    content: Content,
    part_bytes: u64,
    id: String,
    parts: Vec<Option<String>>,
}

impl Note {
    fn write(&self, file: &FilePath) -> Result<()> {
        let text = serde_json::to_vec(self).context("a note is plain data")?;
        let staged = PathBuf::from(format!("{}.new", file.display()));
        fs::write(&staged, text)
            .and_then(|()| fs::rename(&staged, file))
            .map_err(|error| cannot("write", file, &error))
    }
}
