//! The alerts of the sidecar: who is told what, when something goes wrong and when nothing does.

use super::*;

#[test]
fn somebody_is_told_of_a_failure_and_nobody_on_a_good_day() {
    let place = Place::new();
    let only = ["good-day", "destination-full", "line-cut", "kill-strategy"];
    let only: Vec<&str> = only.iter().flat_map(|name| ["--only", name]).collect();
    let output = place.run(&[&["prove", "alerts", "--interval", "3"][..], &only].concat());
    place.assert_clean();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    let row = |name: &str| {
        said.lines().find(|line| line.starts_with(&format!("| {name}: "))).unwrap_or_else(|| panic!("{said}"))
    };
    assert!(row("good-day").contains("| went on | nobody | - |"), "{said}");
    assert!(row("destination-full").contains("| failed | webhook: backup-failed |"), "{said}");
    assert!(row("line-cut").contains("| failed | webhook: backup-failed |"), "{said}");
    assert!(row("kill-strategy").contains("| failed | monitor: no ping |"), "{said}");
}

#[test]
fn somebody_is_told_when_a_server_is_gone_or_refuses_the_password() {
    if without_docker() {
        return;
    }
    let place = Place::new().with_datasets_of_servers();
    let words = "prove alerts --engine mysql --interval 2 --only kill-database --only wrong-password";
    let output = place.run(&words.split(' ').collect::<Vec<_>>());
    place.assert_clean();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    let has = |start: &str, end: &str| said.lines().any(|line| line.starts_with(start) && line.contains(end));
    assert!(has("| kill-database: ", "| failed | webhook: backup-failed |"), "{said}");
    assert!(has("| wrong-password: ", "| failed | webhook: backup-failed |"), "{said}");
}
