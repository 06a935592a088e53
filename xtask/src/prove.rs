//! `prove`: measures how often this program itself is wrong, what backup commands leave after a power cut, and
//! whether the sidecar's alerts arrive.

mod alerts;
mod durability;
mod gate;
mod honest;
mod measure;
mod power_cut;
mod verifier;

use clap::{Args, Subcommand};
use machine::error::Result;
use machine::process::Cancel;

use alerts::ProveAlerts;
use durability::ProveDurability;
use gate::ProveGate;
use honest::ProveHonest;
use power_cut::ProvePowerCut;
use verifier::ProveVerifier;

#[derive(Args)]
pub struct Prove {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Let things go wrong under the sidecar, and measure when somebody is told
    Alerts(ProveAlerts),
    /// Examine which acknowledged writes a power cut takes from the database itself, by its settings
    Durability(ProveDurability),
    /// Count false alarms of the gate, and slower backups that it misses, on recorded and on live runs
    Gate(ProveGate),
    /// Count how often correct strategies are blamed, in many short trials at different moments
    Honest(ProveHonest),
    /// Examine every state that the disk of a backup could be in after a power cut
    PowerCut(ProvePowerCut),
    /// Damage correct databases in many ways, and count what the verifier finds
    Verifier(ProveVerifier),
}

/// Measures what was asked for, prints it, and writes it.
///
/// # Errors
/// When there is nothing to measure, a live run fails, or the result cannot be written.
pub fn prove(arguments: &Prove, cancel: &Cancel) -> Result<u8> {
    match &arguments.what {
        What::Alerts(arguments) => alerts::prove(arguments, cancel),
        What::Durability(arguments) => durability::prove(arguments, cancel),
        What::Gate(arguments) => gate::prove(arguments, cancel),
        What::Honest(arguments) => honest::prove(arguments, cancel),
        What::PowerCut(arguments) => power_cut::prove(arguments, cancel),
        What::Verifier(arguments) => verifier::prove(arguments, cancel),
    }
}
