//! The machine that a run is made on.

use std::path::Path;

use procfs::Current;
use reports::record::Host;

use super::storage::free_bytes;

/// Describes this machine, and the file system of `directory`. What the system does not tell is "unknown".
pub fn describe(directory: &Path) -> Host {
    let unknown = || "unknown".to_owned();
    let cpus = procfs::CpuInfo::current().ok();
    Host {
        os: os_name().unwrap_or_else(unknown),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| unknown(), |text| text.trim().into()),
        cpu: cpus.and_then(|cpus| cpus.model_name(0).map(str::to_owned)).unwrap_or_else(unknown),
        cpus: std::thread::available_parallelism().map_or(0, |count| count.get() as u32),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        filesystem: filesystem(directory).unwrap_or_else(unknown),
        free_bytes: free_bytes(directory).unwrap_or(0),
    }
}

fn os_name() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

/// The type of the file system that holds `directory`: of the mount with the longest path above it.
fn filesystem(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = procfs::process::Process::myself().ok()?.mountinfo().ok()?;
    let above = mounts.into_iter().filter(|mount| directory.starts_with(&mount.mount_point));
    above.max_by_key(|mount| mount.mount_point.as_os_str().len()).map(|mount| mount.fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_kernel_processors_memory_and_a_file_system() {
        let host = describe(Path::new("/"));
        assert!(host.cpus > 0 && host.memory_bytes > 0 && host.free_bytes > 0);
        assert!(host.kernel != "unknown" && host.filesystem != "unknown", "{host:?}");
    }
}
