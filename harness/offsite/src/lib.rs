//! The stages between a backup and a disaster: an artifact becomes one packed file, passes transforms, and is published
//! with its manifest at a destination; after the disaster it is fetched from there and unpacked in an empty place.
//!
//! What lives here: packing, transforms (`zstd`, `gzip`, `age`), the manifest, destinations (`directory`, `rsync`,
//! `s3`, `sftp`), the worker jobs that do these stages in processes of their own, and servers for trials. What must not:
//! engines, strategies, scenarios, trials, and printing. An artifact here is a directory, whatever made it.

pub mod content;
pub mod destination;
pub mod jobs;
pub mod manifest;
mod output_file;
pub mod pack;
mod progress;
pub mod server;
pub mod settings;
pub mod transform;
pub mod unpack;
