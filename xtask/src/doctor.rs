//! `doctor`: what this machine can run, what is missing, and how to get it.

use std::path::Path;

use bytesize::ByteSize;
use engines::images::{self, ImageKind, Stock};
use engines::registry::ENGINES;
use harness::availability::{Forecast, Needs, Outlook};
use harness::plan::Plan;
use machine::docker;
use machine::error::{Error, Result};
use machine::file_system::{FileSystem, reflinks_work};
use machine::measure::{host, storage};
use machine::process::Cancel;
use machine::workspace::Workspace;
use strategies::registry;

use crate::exit;
use crate::planned::Prospect;

/// Prints the findings. The exit code says whether something is missing for a run of `plan`, the default plan.
///
/// # Errors
/// When the directory cannot be used.
pub fn show(plan: &Plan, directory: &Path, cancel: &Cancel) -> Result<u8> {
    let workspace = Workspace::open(directory)?;
    let host = host::describe(workspace.root());
    println!("machine   {}, kernel {}, {} x {}", host.os, host.kernel, host.cpus, host.cpu);
    println!("memory    {}", ByteSize(host.memory_bytes));
    let free = ByteSize(host.free_bytes);
    println!("disk      {} on {}, {free} free", workspace.root().display(), host.filesystem);
    probe_disk(&workspace)?;
    let mut forecast = Forecast::new(workspace.root(), cancel);
    show_containers(&mut forecast);
    show_strategies(&mut forecast)?;
    println!("\nfile systems created for a trial");
    for kind in FileSystem::MADE {
        let obstacle = forecast.file_system(kind)?;
        show_group(&obstacle.map_or(Outlook::Ready, Outlook::Unavailable), &[kind.name().to_owned()]);
    }
    show_default(plan, workspace.root(), &mut forecast)
}

/// Prints whether each strategy can run with its default settings, on data in this directory.
fn show_strategies(forecast: &mut Forecast<'_>) -> Result<()> {
    println!("\nstrategies");
    let mut groups: Vec<(Outlook, Vec<String>)> = Vec::new();
    for strategy in registry::all() {
        let (card, defaults) = (strategy.card(), strategy.with_defaults());
        let versions: Vec<String> = card.all_tools().iter().filter_map(|tool| tool.version()).collect();
        let mut ready = Vec::new();
        for engine in ENGINES.iter().copied().filter(|engine| card.supports(*engine)) {
            let needs = Needs::of_strategy(&defaults, engine, FileSystem::Disk);
            let outlook = forecast.of(&needs)?;
            if outlook == Outlook::Ready {
                ready.push(engine.name());
                continue;
            }
            let name = format!("{} on {}", card.name, engine.name());
            match groups.iter_mut().find(|(known, _)| *known == outlook) {
                Some((_, names)) => names.push(name),
                None => groups.push((outlook, vec![name])),
            }
        }
        if !ready.is_empty() {
            let versions = if versions.is_empty() { "" } else { &format!(" ({})", versions.join("; ")) };
            let name = format!("{} on {}{versions}", card.name, ready.join(" and "));
            show_group(&Outlook::Ready, &[name]);
        }
    }
    groups.sort_by_key(|(outlook, _)| matches!(outlook, Outlook::Unavailable(_)));
    for (outlook, names) in &groups {
        show_group(outlook, names);
    }
    Ok(())
}

/// Prints one line for everything with the same outlook.
fn show_group(outlook: &Outlook, names: &[String]) {
    let names = names.join(", ");
    match outlook {
        Outlook::Ready => println!("  ready        {names}"),
        Outlook::ToGet(how) => println!("  not tried    {names}: {how}"),
        Outlook::Unavailable(missing) => println!("  unavailable  {names}: {missing}"),
    }
}

/// Prints whether Docker is available, and whether each image can be used.
fn show_containers(forecast: &mut Forecast<'_>) {
    println!("\ncontainers");
    match docker::server_version() {
        Ok(version) => println!("  ready        Docker {version}"),
        Err(error) => return println!("  unavailable  {error}"),
    }
    for kind in engines::registry::images() {
        let name = format!("image {}", kind.name);
        let outlook = match forecast.look_for(kind, None) {
            Ok(None) => {
                println!("  ready        {name}{}", details(kind));
                continue;
            }
            Ok(Some(how)) => Outlook::ToGet(format!("would be {how}")),
            Err(error) => Outlook::Unavailable(error.to_string()),
        };
        show_group(&outlook, &[name]);
    }
}

fn details(kind: &ImageKind) -> String {
    let Ok(Stock::Here(image)) = images::look(kind, None) else { return String::new() };
    let version = image.version(kind).map(|version| format!(" ({version})")).unwrap_or_default();
    format!(": {}{version}", image.reference)
}

/// Prints whether the default scenario can run on this machine.
fn show_default(plan: &Plan, root: &Path, forecast: &mut Forecast<'_>) -> Result<u8> {
    println!("\ndefault scenario '{}'", plan.scenario.name);
    let prospect = Prospect::of(plan, root, forecast)?;
    if let Some(cause) = prospect.refused {
        println!("  unavailable  {cause}");
        return Ok(exit::ENVIRONMENT);
    }
    let others = prospect.trials.iter().filter(|(_, outlook)| *outlook != Outlook::Ready);
    for (trial, outlook) in others.clone() {
        show_group(outlook, std::slice::from_ref(&trial.id));
    }
    if others.count() == 0 {
        println!("  ready        all {} trials", plan.trials.len());
    }
    let lacks = prospect.unavailable().count() > 0;
    Ok(if lacks { exit::ENVIRONMENT } else { exit::SUCCESS })
}

/// Tests and prints what the file system supports: reflinks, and eviction from the page cache.
fn probe_disk(workspace: &Workspace) -> Result<()> {
    let work = workspace.work_directory("doctor")?;
    let refused = |error: std::io::Error| Error::Environment(format!("cannot use the disk: {error}"));
    let file = work.path().join("file");
    std::fs::write(&file, vec![1; 1 << 20]).map_err(refused)?;
    let says = if reflinks_work(work.path()).map_err(refused)? {
        "yes: working copies are instant (they share blocks)"
    } else {
        "no: working copies are full copies"
    };
    println!("reflinks  {says}");
    storage::evict(&file).map_err(refused)?;
    let cold = storage::cached_share(&file).map_err(refused)? < 0.1;
    let says =
        if cold { "yes" } else { "no: this file system keeps files in memory, so 'cold' has no effect" };
    println!("eviction  {says}");
    Ok(())
}
