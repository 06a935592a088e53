//! Whether a process is running.

/// True for a process that has not ended. One that has, but was not reaped yet, still has its id.
pub fn is_alive(pid: i32) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_is_not_alive_before_it_is_reaped() {
        assert!(is_alive(std::process::id() as i32));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        while is_alive(pid) {
            std::thread::yield_now();
        }
        assert!(procfs::process::Process::new(pid).is_ok(), "nobody has reaped it");
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
