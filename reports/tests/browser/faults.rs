//! The matrix of strategies and faults: a page of a run whose trials all have faults has no comparison.

use crate::axe;
use crate::published;
use crate::window::Window;

#[test]
fn each_cell_of_the_matrix_leads_to_its_trial_and_back() {
    let results = published("faults");
    let window = Window::open(&results);
    let shown = "[...document.querySelectorAll('section.trial')].filter((one) => one.checkVisibility()).map((one) => one.dataset.id)";
    let cells =
        window.texts("[...document.querySelectorAll('table.faults td a')].map((one) => one.textContent)");
    assert_eq!(cells.len(), results.trials.len(), "each trial has a cell");
    assert!(window.texts(shown).is_empty());
    window.run("document.querySelector('table.faults td a').click()");
    assert_eq!(window.texts(shown), [results.trials[0].id.as_str()]);
    window.run("document.querySelector('section.trial:not([hidden]) a.back').click()");
    assert!(window.texts(shown).is_empty());
    assert_eq!(window.run("document.querySelectorAll('#comparison, #decide').length"), 0);
}

#[test]
fn the_matrix_fits_and_is_accessible_at_both_widths_in_both_modes() {
    let mut results = published("faults");
    // The rules check every element, which takes long.
    let few = ["sqlite-vacuum-into", "mysql-dump"];
    results.trials.retain(|trial| few.contains(&trial.strategy.as_str()));
    let window = Window::open(&results);
    let script = axe::script();
    if let Err(why) = &script {
        axe::not_tested(why);
    }
    for (width, mode) in [(360, "dark"), (1440, "light"), (1440, "dark"), (360, "light")] {
        window.look(width, mode);
        window.go("");
        let overflow = window.run("document.scrollingElement.scrollWidth - innerWidth");
        assert!(overflow.as_f64().unwrap() <= 0.0, "{overflow} pixels too wide at {width}");
        if let Ok(script) = &script {
            window.run(script);
            let violations = window.texts(
                "axe.run().then((result) => result.violations.flatMap((rule) => rule.nodes.map((node) => \
                 `${rule.id}: ${node.target}: ${node.failureSummary}`)))",
            );
            assert!(violations.is_empty(), "at {width}, {mode}:\n{}", violations.join("\n"));
        }
    }
    assert_eq!(window.complaints(), Vec::<String>::new());
}
