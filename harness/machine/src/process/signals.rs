//! The default actions of signals, for a program that may have been started with others.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Restores the default action of `SIGCHLD`. If it is inherited as ignored, the kernel reaps children before the
/// harness can read their resource usage. Call this once, at the start of the program.
pub fn restore_sigchld() {
    // SAFETY: the default disposition runs no signal handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGCHLD");
}

/// Restores the default action of `SIGPIPE`: this program ends without a message when the reader of its output closes
/// the pipe. Only for commands that have nothing to clean up.
pub fn restore_sigpipe() {
    // SAFETY: the default disposition runs no signal handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGPIPE");
}
