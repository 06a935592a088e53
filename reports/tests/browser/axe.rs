//! The rules of axe-core, an accessibility check, from a Python package that contains them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "axe-playwright-python";
const VERSION: &str = "0.1.8";

/// The script of axe-core, downloaded once; the reason where that fails.
pub fn script() -> Result<String, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{PACKAGE}-{VERSION}"));
    if find(&place).is_none() {
        let mut pip = Command::new("pip3");
        pip.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--upgrade", "--target"])
            .arg(&place);
        let output =
            pip.arg(format!("{PACKAGE}=={VERSION}")).output().map_err(|error| format!("pip3: {error}"))?;
        if !output.status.success() {
            return Err(format!("pip3 failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    let file = find(&place).ok_or_else(|| format!("{PACKAGE} {VERSION} has no axe.min.js"))?;
    std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Reports that a check was skipped. It writes to standard error directly, which the test runner does not capture, so
/// that it is visible even when tests pass.
pub fn not_tested(why: &str) {
    let line =
        format!("NOT TESTED: the accessibility of report.html, because axe-core is not available: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn find(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let found = files.into_iter().find(|file| file.ends_with("axe.min.js"));
    found.or_else(|| directories.iter().find_map(|directory| find(directory)))
}
