//! The best performance of this disk and of one core, measured in the same run as the trials that are compared with it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use reports::record::Calibration;
use xxhash_rust::xxh3::xxh3_64;

use super::memory::TouchMemory;
use super::storage::{Cache, bytes, evict, read_through, sync_file_system, sync_tree};
use crate::error::Result;
use crate::process::{Account, Launcher};
use crate::tool::CP;

const WRITE_BYTES_MAX: u64 = 1 << 30;
const FSYNCS: usize = 50;

/// Measures everything except the copies, in `directory` on the dataset's disk.
///
/// # Errors
/// When the disk cannot be read or written.
pub fn measure(launcher: &Launcher, database: &Path, directory: &Path) -> Result<Calibration> {
    let dataset_bytes = bytes(database);
    prepare(launcher, database, Cache::Cold)?;
    let sequential_read_seconds = {
        let started = Instant::now();
        read_through(database, &|| launcher.cancel.is_cancelled()).context("cannot read the dataset")?;
        started.elapsed().as_secs_f64()
    };
    prepare(launcher, database, Cache::Warm)?;
    let scratch = directory.join("calibration");
    let written = dataset_bytes.min(WRITE_BYTES_MAX);
    let write_seconds = durable_write(&scratch, written).context("cannot write to the disk")?;
    let fsync_ms = fsync_ms(&scratch).context("cannot write to the disk")?;
    std::fs::remove_file(&scratch).context("cannot remove the calibration file")?;
    Ok(Calibration {
        dataset_bytes,
        sequential_read_seconds,
        durable_write_bytes_per_second: written as f64 / write_seconds,
        copy_seconds: Vec::new(),
        fsync_ms,
        hash_bytes_per_second: hash_bytes_per_second(),
    })
}

/// Duration in seconds of `cp` of a file or directory and fsync of the copy, including directory entries, from a cold
/// or a warm source.
///
/// # Errors
/// When the copy fails.
pub fn copy(launcher: &Launcher, from: &Path, to: &Path, cache: Cache) -> Result<f64> {
    let directory = to.parent().expect("the path of a copy has a parent");
    prepare(launcher, from, cache)?;
    // The copy may be on another file system than the source.
    sync_file_system(directory).context("cannot synchronise the disk")?;
    let started = Instant::now();
    // A reflink would not copy the bytes.
    run_cp(launcher, "--reflink=never", from, to)?;
    sync_tree(directory).context("cannot synchronise the copy")?;
    Ok(started.elapsed().as_secs_f64())
}

/// Copies `from`, a file or a directory, to `to`. The copy shares extents with it if the file system supports that.
///
/// # Errors
/// When the copy fails.
pub fn duplicate(launcher: &Launcher, from: &Path, to: &Path) -> Result<()> {
    run_cp(launcher, "--reflink=auto", from, to)
}

fn run_cp(launcher: &Launcher, reflink: &str, from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new(CP.command);
    command.args(["-a", reflink, "--"]).arg(from).arg(to).stdin(Stdio::null()).stderr(Stdio::piped());
    launcher.run(Account::Preparation, command)
}

/// Brings the machine into the state in which both the plain copy and the backup of a database are measured: nothing to
/// write back, the page cache in the given state, and free memory available.
///
/// # Errors
/// [`crate::error::Error::Interrupted`], or when the file cannot be read.
pub fn prepare(launcher: &Launcher, database: &Path, cache: Cache) -> Result<()> {
    sync_file_system(database).context("cannot synchronise the disk")?;
    match cache {
        Cache::Cold => evict(database),
        Cache::Warm => read_through(database, &|| launcher.cancel.is_cancelled()).map(|_| ()),
    }
    .with_context(|| format!("cannot bring {} into the {} state", database.display(), cache.name()))?;
    launcher.cancel.check()?;
    // More than the size of the database, because not all of the touched memory is used next.
    let touched = bytes(database) * 5 / 2;
    launcher.work(Account::Preparation, &TouchMemory { bytes: touched }, &mut |_| {})
}

fn durable_write(path: &Path, bytes: u64) -> std::io::Result<f64> {
    // Not zeros: some disks treat them as holes.
    let block: Vec<u8> =
        (0..1u32 << 18).flat_map(|word| (word.wrapping_mul(0x9e37_79b9)).to_le_bytes()).collect();
    let started = Instant::now();
    let mut file = File::create(path)?;
    let mut left = bytes;
    while left > 0 {
        let length = left.min(block.len() as u64);
        file.write_all(&block[..length as usize])?;
        left -= length;
    }
    file.sync_all()?;
    Ok(started.elapsed().as_secs_f64())
}

fn fsync_ms(path: &Path) -> std::io::Result<f64> {
    let mut file = File::create(path)?;
    let mut times = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        file.write_all(&[1; 4096])?;
        let started = Instant::now();
        file.sync_all()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[FSYNCS / 2])
}

fn hash_bytes_per_second() -> f64 {
    let buffer = vec![1u8; 64 << 20];
    let started = Instant::now();
    std::hint::black_box(xxh3_64(&buffer));
    buffer.len() as f64 / started.elapsed().as_secs_f64()
}
