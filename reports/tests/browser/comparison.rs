//! Sorting, filtering, columns, and navigation to a trial and back.

use std::collections::BTreeSet;

use crate::published;
use crate::window::Window;

/// The sort keys of a column in the visible rows, by family.
fn column(key: &str) -> String {
    format!(
        "[...document.querySelectorAll('#table tbody')].map((body) => \
         [...body.querySelectorAll('tr[data-text]')].filter((row) => row.checkVisibility()).map((row) => row.querySelector('[data-key=\"{key}\"]').dataset.sort))"
    )
}

fn click_header(window: &Window, key: &str) {
    window.run(&format!("document.querySelector('thead [data-key=\"{key}\"] button').click()"));
}

#[test]
fn rows_are_sorted_within_their_families_with_failures_last() {
    let window = Window::open(&published("large-options-1GiB"));
    let before: Vec<Vec<String>> = serde_json::from_value(window.run(&column("strategy"))).unwrap();
    for (clicks, direction) in [(1, "ascending"), (2, "descending")] {
        click_header(&window, "backup");
        let state = window.run("document.querySelector('thead [data-key=backup]').getAttribute('aria-sort')");
        assert_eq!(state, direction);
        let families: Vec<Vec<String>> = serde_json::from_value(window.run(&column("backup"))).unwrap();
        for family in families {
            let values: Vec<Option<f64>> = family.iter().map(|text| text.parse().ok()).collect();
            let measured: Vec<f64> = values.iter().copied().flatten().collect();
            let mut sorted = measured.clone();
            sorted.sort_by(f64::total_cmp);
            if clicks == 2 {
                sorted.reverse();
            }
            assert_eq!(measured, sorted);
            assert!(values.iter().skip(measured.len()).all(Option::is_none), "{values:?}");
        }
    }
    click_header(&window, "backup");
    let after: Vec<Vec<String>> = serde_json::from_value(window.run(&column("strategy"))).unwrap();
    assert_eq!(after, before);
}

#[test]
fn filters_leave_the_rows_that_match_all_of_them() {
    let results = published("full-512MiB");
    let window = Window::open(&results);
    let set = |name: &str, value: &str| {
        window.run(&format!(
            "{{ const input = document.getElementById('{name}'); input.value = {value:?}; \
             input.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
        ));
    };
    let shown = || -> usize {
        let families: Vec<Vec<String>> = serde_json::from_value(window.run(&column("strategy"))).unwrap();
        families.iter().map(Vec::len).sum()
    };
    let count = |matches: &dyn Fn(&reports::record::Trial) -> bool| {
        results.trials.iter().filter(|trial| matches(trial)).count()
    };
    assert_eq!(shown(), results.trials.len());
    set("subject", "embedded on mysql");
    assert_eq!(shown(), count(&|trial| trial.engine == "mysql" && trial.app == "embedded"));
    set("verdict", "restorable");
    let restorable = |trial: &reports::record::Trial| trial.verdict.name() == "restorable";
    assert_eq!(
        shown(),
        count(&|trial| trial.engine == "mysql" && trial.app == "embedded" && restorable(trial))
    );
    set("subject", "");
    set("text", "mysql-DUMP");
    assert_eq!(shown(), count(&|trial| trial.strategy == "mysql-dump" && restorable(trial)));
    assert_eq!(window.run("document.getElementById('shown').textContent"), "2 of 29 rows");
    set("text", "no such strategy");
    assert_eq!(shown(), 0);
}

#[test]
fn eight_columns_come_first_and_the_others_on_demand() {
    let window = Window::open(&published("full-512MiB"));
    let columns = "[...document.querySelectorAll('#table thead th')].filter((header) => header.checkVisibility()).map((header) => header.dataset.key)";
    let first = window.texts(columns);
    assert_eq!(first, ["verdict", "strategy", "backup", "blocked", "loss", "recovery", "size", "survives"]);
    window.run("document.getElementById('more').click()");
    let all: BTreeSet<String> = window.texts(columns).into_iter().collect();
    assert!(all.len() > 15 && first.iter().all(|key| all.contains(key)), "{all:?}");
}

#[test]
fn each_trial_has_its_own_view_and_a_link_back() {
    let results = published("full-512MiB");
    let window = Window::open(&results);
    let shown = "[...document.querySelectorAll('section.trial')].filter((one) => one.checkVisibility()).map((one) => one.dataset.id)";
    assert!(window.texts(shown).is_empty());
    window.run("document.querySelector('#table th.strategy a').click()");
    let chosen = window.texts(shown);
    assert_eq!(chosen.len(), 1);
    assert_eq!(window.run("document.getElementById('overview').checkVisibility()"), false);
    assert_eq!(
        window.run("document.activeElement.textContent.length > 0 && document.activeElement.tagName"),
        "H1"
    );
    let address = window.run("location.hash.slice(1)");
    window.go(address.as_str().unwrap());
    assert_eq!(window.texts(shown), chosen);
    window.run("document.querySelector('section.trial:not([hidden]) a.back').click()");
    assert!(window.texts(shown).is_empty());
    // All links lead to a trial of this run.
    let ids: BTreeSet<String> = results.trials.iter().map(|trial| trial.id.clone()).collect();
    let linked = window.texts(
        "[...document.querySelectorAll('a[href^=\"#trial=\"]')].map((link) => new URLSearchParams(link.hash.slice(1)).get('trial'))",
    );
    assert!(linked.iter().all(|id| ids.contains(id)) && linked.len() > ids.len());
}
