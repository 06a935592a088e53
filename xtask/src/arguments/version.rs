//! The version of this program.

use machine::this_program;

/// The package version, with the commit in a checkout.
pub fn version() -> String {
    let package = env!("CARGO_PKG_VERSION");
    let Some(checkout) = this_program::checkout() else { return package.to_owned() };
    let described = std::process::Command::new("git")
        .arg("-C")
        .arg(checkout)
        .args(["describe", "--always", "--dirty"])
        .stderr(std::process::Stdio::null())
        .output();
    match described {
        Ok(output) if output.status.success() => {
            format!("{package} ({})", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => package.to_owned(),
    }
}
