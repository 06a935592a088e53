//! The machine of a run.

use std::path::Path;

use procfs::Current;
use reports::record::Host;

use super::storage::free_bytes;
use crate::file_system::mount_of;

/// Describes this machine, and the file system of `directory`. Properties that the system does not report are
/// "unknown".
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
        filesystem: mount_of(directory).map_or_else(|_| unknown(), |mount| mount.kind),
        free_bytes: free_bytes(directory).unwrap_or(0),
    }
}

fn os_name() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
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
