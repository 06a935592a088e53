//! `doctor`: what this machine can run, what is missing and how to get it.

use std::path::Path;

use bytesize::ByteSize;
use harness::error::{Error, Result};
use harness::file_system::{FileSystem, reflinks_work};
use harness::measure::{host, storage};
use harness::process::{Cancel, Launcher};
use harness::scenario::Engine;
use harness::strategy::{STRATEGIES, Settings, Strategy};
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
                show_obstacles(*strategy, workspace.root());
            }
            Some(missing) => {
                complete = false;
                println!("  missing  {}: {missing}", card.name);
            }
        }
    }
    complete &= diagnose_file_systems(&workspace)?;
    complete &= crate::images::diagnose()?;
    Ok(if complete { crate::exit::SUCCESS } else { crate::exit::ENVIRONMENT })
}

/// Prints what keeps a strategy from data on this disk: it may still work on a file system of its own.
fn show_obstacles(strategy: &dyn Strategy, directory: &Path) {
    let (card, defaults) =
        (strategy.card(), strategy.complete(&Settings::new()).expect("defaults are valid"));
    for engine in Engine::ALL.into_iter().filter(|engine| card.engines.contains(&engine.name())) {
        if let Some(obstacle) = strategy.obstacle(engine, directory, &defaults) {
            println!("           not for {} here: {obstacle}", engine.name());
        }
    }
}

/// Tries to make each file system that a scenario can ask for; false when one cannot be made.
fn diagnose_file_systems(workspace: &Workspace) -> Result<bool> {
    println!("\nfile systems of a trial's own");
    let work = workspace.work_directory("doctor")?;
    let launcher = Launcher::new(work.path(), &Cancel::default());
    let mut complete = true;
    for kind in FileSystem::MADE {
        match kind.obstacle(&launcher)? {
            None => println!("  ready    {}", kind.name()),
            Some(obstacle) => {
                complete = false;
                println!("  missing  {}: {obstacle}", kind.name());
            }
        }
    }
    Ok(complete)
}

/// Tries what depends on the file system.
fn probe_disk(workspace: &Workspace) -> Result<()> {
    let work = workspace.work_directory("doctor")?;
    let refused = |error: std::io::Error| Error::Environment(format!("cannot use the disk: {error}"));
    let file = work.path().join("file");
    std::fs::write(&file, vec![1; 1 << 20]).map_err(refused)?;
    let says = if reflinks_work(work.path()).map_err(refused)? {
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
