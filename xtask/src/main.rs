//! The command line of Backup Drill: parses arguments, runs commands, shows progress.

mod advise;
mod arguments;
mod compare;
mod costs;
mod doctor;
#[cfg(test)]
mod documentation;
mod execute;
mod exit;
mod format;
mod generated;
mod images;
mod init;
mod judge;
mod list;
mod merge;
mod needs;
mod pages;
mod planned;
mod prove;
mod publish;
mod results_file;
mod script_check;
mod setup;
mod show;
mod test;
#[cfg(test)]
mod workflows;

use std::path::Path;
use std::process::ExitCode;

use engines::registry;
use harness::plan::Plan;
use harness::run;
use harness::scenario::{Overrides, Scenario};
use machine::docker;
use machine::error::{Error, Result};
use machine::event::Event;
use machine::process::{self, Cancel};
use machine::workspace::Workspace;
use model::dataset::DatasetSpec;
use reports::record::Results;

use arguments::place::{Place, default_directory};
use arguments::version::version;
use arguments::{Arguments, Clean, Command, DEFAULT_SCENARIO, Generate, Images, Report, Run, Scope};
use execute::execute;
use setup::Consent;

fn main() -> ExitCode {
    process::restore_sigchld();
    if let Some(refusal) = arguments::not_utf8() {
        return exit::code(Err(refusal));
    }
    if std::env::args().nth(1).as_deref() == Some(machine::worker::ARGUMENT) {
        return ExitCode::from(harness::jobs::main() as u8);
    }
    docker::follow_context();
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    show::set_output(arguments.output);
    // A panic has unwound by then: everything is cleaned up, and its message was printed.
    let outcome = std::panic::catch_unwind(|| dispatch(&arguments.command));
    outcome.map_or(ExitCode::from(exit::BUG), exit::code)
}

fn dispatch(command: &Command) -> Result<u8> {
    if matches!(command, Command::Plan(_) | Command::List(_)) {
        process::restore_sigpipe();
    }
    match command {
        Command::Run(run) => run_scenario(run),
        Command::Plan(arguments) => {
            let select = &arguments.select;
            planned::show(&select.plan()?, &select.directory(), arguments.format, &cancel_on_signal()?)
        }
        Command::List(list) => list::show(list.what, list.format),
        Command::Check(check) => script_check::check(check, &cancel_on_signal()?),
        Command::Init(arguments) => init::init(arguments),
        Command::Doctor(place) => {
            doctor::show(&default_plan(place)?, &place.directory(), &cancel_on_signal()?)
        }
        Command::Advise(advise) => advise::advise(advise, &cancel_on_signal()?),
        Command::Images(images) => obtain_images(images),
        Command::Generate(generate) => generate_dataset(generate),
        Command::Compare(compare) => compare::compare(compare),
        Command::Prove(prove) => prove::prove(prove, &cancel_on_signal()?),
        Command::Report(report) => render_report(report),
        Command::Claims(page) => pages::write(page, "claims.md", reports::claims::markdown),
        Command::Defects(page) => pages::write(page, "defects.md", reports::defects::markdown),
        Command::Publish(arguments) => publish::publish(arguments),
        Command::Judge(judge) => judge::judge(judge, &cancel_on_signal()?),
        Command::Setup(scope) => set_up(scope, &cancel_on_signal()?),
        Command::Test(test) => test::test(test, &cancel_on_signal()?),
        Command::Clean(clean) => clean_up(clean),
        Command::Completions { shell } => generated::completions(*shell),
        Command::Man { command } => generated::man(command.as_deref()),
    }
}

fn default_plan(place: &Place) -> Result<Plan> {
    Plan::new(Scenario::load(DEFAULT_SCENARIO, &place.directory())?, &Overrides::default())
}

/// Gets what the checks and tests need.
fn set_up(scope: &Scope, cancel: &Cancel) -> Result<u8> {
    setup::checkout()?;
    let progress = show::Progress::new();
    let observer = |event: Event<'_>| progress.show(event);
    let outcome = setup::packages(scope, Consent::Asked, cancel, &observer)
        .and_then(|()| setup::images(scope, &default_directory(), cancel, &observer));
    progress.finish();
    outcome.map(|()| exit::SUCCESS)
}

fn run_scenario(arguments: &Run) -> Result<u8> {
    let request = request(arguments)?;
    let gate = arguments.gate.prepare(&request.plan)?;
    let cancel = cancel_on_signal()?;
    let outcome = execute(&request, &cancel);
    match outcome {
        Ok(finished) => {
            show::results(&finished.results, &finished.directory);
            show::kept(&finished.results, &finished.directory);
            show::leftovers(&finished.leftovers);
            gate.judge(&finished, &|trials| measure_again(arguments, trials, &finished.directory, &cancel))
        }
        Err(Error::Interrupted) => {
            let place = arguments.place_flags();
            eprintln!(
                "interrupted: the trials measured so far are saved; continue with: {} --resume{place}",
                request.command
            );
            Err(Error::Interrupted)
        }
        Err(error) => Err(error),
    }
}

fn request(arguments: &Run) -> Result<run::Request> {
    let mut plan = arguments.select.plan()?;
    let mut command = arguments.select.command_line();
    if let Some(shard) = arguments.shard {
        plan.keep_shard(shard.number, shard.of)?;
        command += &format!(" --shard {shard}");
    }
    Ok(run::Request {
        plan,
        root: arguments.select.directory(),
        out: arguments.out.clone(),
        is_newest: true,
        resume: arguments.resume,
        keep: arguments.keep.into(),
        keep_bytes: arguments.keep_bytes.0,
        command,
        harness_version: version(),
    })
}

/// Repeats some trials of a finished run, with results in a new directory below that of the run.
fn measure_again(arguments: &Run, trials: &[String], directory: &Path, cancel: &Cancel) -> Result<Results> {
    let mut request = request(arguments)?;
    request.plan.trials.retain(|trial| trials.contains(&trial.id));
    let mut places = (1..).map(|number| directory.join(format!("confirm-{number}")));
    request.out = places.find(|place| !place.exists());
    (request.is_newest, request.resume) = (false, false);
    eprintln!("measuring {} trial(s) again, to confirm the regressions", request.plan.trials.len());
    Ok(execute(&request, cancel)?.results)
}

fn generate_dataset(arguments: &Generate) -> Result<u8> {
    let spec = DatasetSpec {
        profile: arguments.profile.clone(),
        target_bytes: arguments.size.0,
        seed: arguments.seed,
    };
    let cancel = cancel_on_signal()?;
    let progress = show::Progress::new();
    let (_, files) = registry::of_files();
    let outcome = files.generate(&spec, &arguments.file, &|| cancel.is_cancelled(), &mut |bytes| {
        progress.show(machine::event::Event::Generating {
            profile: &spec.profile,
            target_bytes: spec.target_bytes,
            bytes,
        });
    });
    progress.finish();
    let generated = outcome?;
    println!(
        "{}: {} bytes, {} rows, seed {}",
        arguments.file.display(),
        generated.bytes,
        generated.rows,
        spec.seed
    );
    Ok(exit::SUCCESS)
}

fn obtain_images(arguments: &Images) -> Result<u8> {
    let cancel = cancel_on_signal()?;
    let progress = show::Progress::new();
    let directory = arguments.place.directory();
    let outcome = images::show(&arguments.kinds(), &directory, &cancel, &|event| progress.show(event));
    progress.finish();
    outcome
}

fn render_report(arguments: &Report) -> Result<u8> {
    if let Some(out) = arguments.out.as_ref().filter(|_| !arguments.merge.is_empty()) {
        return merge::merge(&arguments.merge, arguments.allow_different_machines, out);
    }
    let file = results_file::given_or_newest(arguments.results.as_ref(), &arguments.place);
    let results = results_file::load(&file)?;
    if let Some(prices) = &arguments.prices {
        return costs::show(&results, prices, arguments.format.unwrap_or_default());
    }
    if let Some(format) = arguments.format {
        show::comparison(&results, format);
        return Ok(exit::SUCCESS);
    }
    let rendered = reports::render::files(&results);
    for rendered in &rendered {
        let report = file.with_file_name(rendered.name);
        std::fs::write(&report, &rendered.content)
            .map_err(|error| Error::Input(format!("cannot write {}: {error}", report.display())))?;
        println!("{}", report.display());
    }
    let directory = file.with_file_name("");
    reports::render::remove_outdated(&directory, &rendered).map_err(|error| {
        Error::Input(format!("cannot remove an outdated plot in {}: {error}", directory.display()))
    })?;
    Ok(exit::SUCCESS)
}

fn clean_up(arguments: &Clean) -> Result<u8> {
    let workspace = Workspace::open(&arguments.place.directory())?;
    let swept = workspace.sweep()?;
    println!(
        "cleaned up after {} killed run(s): ended {} process(es) and {} container(s), unmounted {} file system(s)",
        swept.runs, swept.processes, swept.containers, swept.file_systems
    );
    let cached = bytesize::ByteSize(workspace.cached_bytes());
    let mut leftovers = swept.leftovers;
    if arguments.datasets {
        workspace.clear_cache()?;
        println!("removed {cached} of cached datasets");
    } else if cached.0 > 0 {
        println!("{cached} of cached datasets not removed: use --datasets to remove them");
    }
    let kept = bytesize::ByteSize(workspace.kept_bytes());
    if arguments.kept {
        leftovers.extend(workspace.clear_kept()?);
        println!("removed {kept} of kept evidence");
    } else if kept.0 > 0 {
        println!("{kept} of kept evidence not removed: use --kept to remove it");
    }
    show::leftovers(&leftovers);
    Ok(if leftovers.is_empty() { exit::SUCCESS } else { exit::ENVIRONMENT })
}

/// SIGINT, SIGTERM and SIGHUP ask the run to stop; it cleans up everything before it ends.
fn cancel_on_signal() -> Result<Cancel> {
    let cancel = Cancel::default();
    let on_signal = cancel.clone();
    ctrlc::set_handler(move || on_signal.cancel())
        .map_err(|error| anyhow::anyhow!("cannot handle signals: {error}"))?;
    Ok(cancel)
}
