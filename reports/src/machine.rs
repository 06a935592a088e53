//! Whether two runs were made on the same machine, as far as the records show.

use crate::record::Host;

/// The memory size of one machine differs slightly from boot to boot.
const MEMORY_SHARE: f64 = 0.01;

/// The differences between the machine `then` and the machine `now`, one line each. Two machines of the same kind
/// have none: a record does not identify a single machine.
pub fn differences(then: &Host, now: &Host) -> Vec<String> {
    let texts = [
        ("operating system", &then.os, &now.os),
        ("kernel", &then.kernel, &now.kernel),
        ("processor", &then.cpu, &now.cpu),
        ("file system", &then.filesystem, &now.filesystem),
    ];
    let texts = texts.into_iter().filter(|(_, then, now)| then != now);
    let mut lines: Vec<String> =
        texts.map(|(name, then, now)| format!("{name} was '{then}' and is '{now}'")).collect();
    if then.cpus != now.cpus {
        lines.push(format!("processors were {} and are {}", then.cpus, now.cpus));
    }
    if then.memory_bytes.abs_diff(now.memory_bytes) as f64 > then.memory_bytes as f64 * MEMORY_SHARE {
        lines.push(format!("memory was {} bytes and is {} bytes", then.memory_bytes, now.memory_bytes));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::example;
    use crate::record::Host;

    #[test]
    fn the_machine_is_the_same_with_a_little_less_memory_and_another_one_with_another_kernel() {
        let then = example::results(Vec::new()).run.host;
        let less = Host { memory_bytes: then.memory_bytes / 1000 * 999, free_bytes: 1, ..then.clone() };
        assert_eq!(differences(&then, &less), Vec::<String>::new());
        let half = Host { memory_bytes: 1 << 30, kernel: "5.4".into(), cpus: then.cpus + 1, ..then.clone() };
        let found = differences(&then, &half);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "kernel was '6.1.0' and is '5.4'");
    }
}
