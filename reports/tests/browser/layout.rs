//! The layout of the page: widths, light and dark mode, accessibility, and what the page may load.

use crate::axe;
use crate::published;
use crate::window::Window;

/// The views of the page that are tested.
const PLACES: [&str; 3] = [
    "",
    "trial=hot-copy%3Aseconds_min%3D10.0%2Fwal%2F1GiB%2F50%2F1",
    "trial=litestream%3Arestores%3D2%2Cversion%3D0.3.13%2Fwal%2F1GiB%2F50%2F1",
];

#[test]
fn nothing_is_wider_than_the_window() {
    let window = Window::open(&published("large-options-1GiB"));
    for width in [360, 768, 1440] {
        window.look(width, "light");
        for place in PLACES {
            window.go(place);
            window.run("document.querySelectorAll('details').forEach((one) => { one.open = true; }); document.getElementById('more').click()");
            let overflow = window.run("document.scrollingElement.scrollWidth - innerWidth");
            assert!(overflow.as_f64().unwrap() <= 0.0, "{overflow} pixels too wide at {width} in '{place}'");
        }
    }
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_is_accessible_in_both_modes_at_both_widths() {
    let script = match axe::script() {
        Ok(script) => script,
        Err(why) => return axe::not_tested(&why),
    };
    // The rules check every element, which takes long, so one trial of each kind and verdict must be enough.
    let mut results = published("large-options-1GiB");
    let kinds = ["cold-copy", "sqlite-cli-backup", "sqlite-dump", "litestream", "snapshot", "hot-copy"];
    results.trials.retain(|trial| kinds.contains(&trial.strategy.as_str()));
    results.trials.dedup_by_key(|trial| trial.strategy.clone());
    let window = Window::open(&results);
    for (width, mode) in [(360, "dark"), (1440, "light"), (1440, "dark"), (360, "light")] {
        window.look(width, mode);
        for place in PLACES {
            window.go(place);
            window.run(&script);
            let violations = window.texts(
                "axe.run().then((result) => result.violations.flatMap((rule) => rule.nodes.map((node) => \
                 `${rule.id}: ${node.target}: ${node.failureSummary}`)))",
            );
            assert!(violations.is_empty(), "at {width}, {mode}, '{place}':\n{}", violations.join("\n"));
        }
    }
}

#[test]
fn the_mode_can_be_chosen_against_the_system() {
    let window = Window::open(&published("sizes-1GiB"));
    let background = "getComputedStyle(document.body).backgroundColor";
    let light = window.run(background);
    window.run("document.getElementById('theme').click()");
    assert_ne!(window.run(background), light);
    assert_eq!(window.run("document.getElementById('theme').textContent"), "Light mode");
    window.run("document.getElementById('theme').click()");
    assert_eq!(window.run(background), light);
}

#[test]
fn the_page_loads_nothing_and_runs_no_script_but_its_own() {
    let mut results = published("sizes-1GiB");
    // A name is always text, whatever it contains.
    let hostile = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>";
    results.run.description = hostile.into();
    for trial in &mut results.trials {
        trial.variant = hostile.into();
        trial.reason = hostile.into();
        trial.id += hostile;
    }
    let window = Window::open(&results);
    assert_eq!(window.run("window.broken === undefined"), true);
    assert_eq!(window.run("document.images.length"), 0);
    assert_eq!(window.complaints(), Vec::<String>::new());
    window.run("const one = document.createElement('script'); one.textContent = 'window.broken = 1'; document.body.append(one)");
    assert_eq!(window.run("window.broken === undefined"), true);
    assert!(!window.complaints().is_empty(), "the policy forbids it");
    assert_eq!(window.run("fetch('http://127.0.0.1:9/').then(() => 'loaded', () => 'refused')"), "refused");
}
