//! `doctor`: what this machine can run, what is missing and how to get it.

use std::path::Path;

use bytesize::ByteSize;
use harness::error::{Error, Result};
use harness::measure::{host, storage};
use harness::strategy::STRATEGIES;
use harness::workspace::Workspace;

/// Prints what was found. The exit code says whether every strategy and every container can run.
///
/// # Errors
/// When the directory cannot be used.
pub fn show(directory: &Path) -> Result<u8> {
    let workspace = Workspace::open(directory)?;
    let host = host::describe(workspace.root());
    println!("machine   {}, kernel {}, {} x {}", host.os, host.kernel, host.cpus, host.cpu);
    println!("memory    {}", ByteSize(host.memory_bytes));
    let free = ByteSize(host.free_bytes);
    println!("disk      {} on {}, {free} free", workspace.root().display(), host.filesystem);
    probe_disk(&workspace)?;
    let mut complete = true;
    println!("\nstrategies");
    for strategy in STRATEGIES {
        let card = strategy.card();
        match card.tools.iter().find_map(|tool| tool.missing()) {
            None => {
                let versions: Vec<String> = card.tools.iter().filter_map(|tool| tool.version()).collect();
                let versions =
                    if versions.is_empty() { String::new() } else { format!(" ({})", versions.join("; ")) };
                println!("  ready    {}{versions}", card.name);
            }
            Some(missing) => {
                complete = false;
                println!("  missing  {}: {missing}", card.name);
            }
        }
    }
    complete &= crate::images::diagnose()?;
    Ok(if complete { crate::exit::SUCCESS } else { crate::exit::ENVIRONMENT })
}

/// Tries what depends on the file system.
fn probe_disk(workspace: &Workspace) -> Result<()> {
    let work = workspace.work_directory("doctor")?;
    let refused = |error: std::io::Error| Error::Environment(format!("cannot use the disk: {error}"));
    let (file, copy) = (work.path().join("file"), work.path().join("copy"));
    std::fs::write(&file, vec![1; 1 << 20]).map_err(refused)?;
    let reflink = std::process::Command::new("cp")
        .args(["--reflink=always", "--"])
        .args([&file, &copy])
        .stderr(std::process::Stdio::null())
        .status()
        .map_err(refused)?
        .success();
    let says = if reflink {
        "yes: working copies are made at once"
    } else {
        "no: working copies are made by copying"
    };
    println!("reflinks  {says}");
    storage::evict(&file).map_err(refused)?;
    let cold = storage::cached_share(&file).map_err(refused)? < 0.1;
    let says =
        if cold { "yes" } else { "no: this file system keeps files in memory, so 'cold' will not be cold" };
    println!("eviction  {says}");
    Ok(())
}
