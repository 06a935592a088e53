//! The index of published runs: a page for GitHub (README.md) and one for a browser (index.html).

use std::fmt::Write as _;

use super::number;
use crate::compare::Outcome;
use crate::record::Results;

/// A published run.
pub struct Published {
    /// Its directory, beside the index.
    pub directory: String,
    /// The file of its report, which the index links to.
    pub report: String,
    /// The results.
    pub results: Results,
    /// How the shipped scenario of the same name has changed since the run, one line each; `None` when there is no
    /// such scenario.
    pub changes: Option<Vec<String>>,
}

/// The names of the files of the index.
pub const INDEX_FILES: [&str; 2] = ["README.md", "index.html"];

const TITLE: &str = "Published runs";
const ABOUT: &str = "Reports of real runs, with their records. `results.json` in each directory follows the JSON Schema \
                     in `reports/schema`. Older records have older schemas; they can still be loaded and rendered.";
const HEADER: [&str; 6] = ["Report", "Date", "Scenario", "Trials", "Outcome", "Machine"];

/// The index as Markdown, newest run first.
pub fn index_markdown(runs: &[Published]) -> String {
    let mut text =
        format!("# {TITLE}\n\n{ABOUT}\n\n| {} |\n|{}\n", HEADER.join(" | "), " --- |".repeat(HEADER.len()));
    for run in newest_first(runs) {
        let [date, scenario, trials, outcome, machine] = cells(run).map(|cell| markdown_text(&cell));
        let Published { directory, report, .. } = run;
        let link = format!("[{directory}]({directory}/{report})");
        let _ = writeln!(text, "| {link} | {date} | {scenario} | {trials} | {outcome} | {machine} |");
    }
    let notes: Vec<String> = newest_first(runs).into_iter().filter_map(note).collect();
    if !notes.is_empty() {
        text.push_str("\n## Scenarios that have changed since\n");
        notes.iter().for_each(|note| {
            let _ = write!(text, "\n- {}", markdown_text(note));
        });
        text.push('\n');
    }
    text
}

/// The index as one page without dependencies.
pub fn index_html(runs: &[Published]) -> String {
    let mut rows = String::new();
    for run in newest_first(runs) {
        let Published { directory, report, .. } = run;
        let (link, name) = (html_text(&format!("{directory}/{report}")), html_text(directory));
        let _ = write!(rows, "<tr><th scope=\"row\"><a href=\"{link}\">{name}</a></th>");
        cells(run).iter().for_each(|cell| {
            let _ = write!(rows, "<td>{}</td>", html_text(cell));
        });
        rows.push_str("</tr>\n");
    }
    let notes: String = newest_first(runs)
        .into_iter()
        .filter_map(note)
        .map(|note| format!("<li>{}</li>\n", html_text(&note)))
        .collect();
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!("<h2>Scenarios that have changed since</h2>\n<ul>\n{notes}</ul>\n")
    };
    let header: String = HEADER.map(|name| format!("<th scope=\"col\">{name}</th>")).concat();
    let about = html_text(&ABOUT.replace('`', ""));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{TITLE}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n<p>{about}</p>\n<div class=\"wide\" \
         tabindex=\"0\" role=\"region\" aria-label=\"Runs\">\n<table>\n<thead><tr>{header}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n{notes}</main>\n</body>\n</html>\n"
    )
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}\
                     main{max-width:72rem;margin:auto;padding:1rem}.wide{overflow-x:auto}\
                     table{border-collapse:collapse}th,td{padding:.4rem .8rem;text-align:left;\
                     vertical-align:top;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}";

fn newest_first(runs: &[Published]) -> Vec<&Published> {
    let mut sorted: Vec<&Published> = runs.iter().collect();
    sorted.sort_by_key(|run| (std::cmp::Reverse(run.results.run.started_at), run.directory.clone()));
    sorted
}

fn cells(published: &Published) -> [String; 5] {
    let run = &published.results.run;
    let changed = match &published.changes {
        Some(changes) if changes.is_empty() => "",
        Some(_) => " (changed since)",
        None => " (not shipped)",
    };
    let outcome = match Outcome::of_run(&published.results) {
        Outcome::AsPromised => "as expected",
        Outcome::FellShort => "a strategy fell short",
        Outcome::Unverified => "inconclusive",
        Outcome::Unavailable => "a tool or privilege was missing",
    };
    let host = &run.host;
    [
        run.started_at.strftime("%Y-%m-%d").to_string(),
        format!("{}{changed}", run.scenario),
        published.results.trials.len().to_string(),
        outcome.to_owned(),
        format!(
            "{}, {} processors, {}, {}",
            host.os,
            host.cpus,
            number::bytes(host.memory_bytes as f64),
            host.filesystem
        ),
    ]
}

/// The note for a run with a scenario that has changed since.
fn note(published: &Published) -> Option<String> {
    let changes = published.changes.as_ref().filter(|changes| !changes.is_empty())?;
    const SHOWN: usize = 5;
    let shown = changes.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let more = changes.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Some(format!("{}: {shown}{more}.", published.directory))
}

fn markdown_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

fn html_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict;

    fn runs() -> Vec<Published> {
        let published = |directory: &str, verdict, changes| Published {
            directory: directory.into(),
            report: "report.md".into(),
            results: example::results(vec![example::trial("cold-copy", verdict)]),
            changes,
        };
        let mut newer =
            published("newer-<1>", Verdict::Corrupt, Some(vec!["repetitions was 1 and is 3".into()]));
        newer.results.run.started_at = "2026-05-01T12:00:00Z".parse().unwrap();
        newer.results.run.host.os = "Odd | system".into();
        vec![
            published("own", Verdict::Restorable, None),
            published("same", Verdict::Unverified, Some(vec![])),
            newer,
        ]
    }

    #[test]
    fn the_index_lists_the_newest_first_and_says_what_has_changed() {
        insta::assert_snapshot!(index_markdown(&runs()), @r"
        # Published runs

        Reports of real runs, with their records. `results.json` in each directory follows the JSON Schema in `reports/schema`. Older records have older schemas; they can still be loaded and rendered.

        | Report | Date | Scenario | Trials | Outcome | Machine |
        | --- | --- | --- | --- | --- | --- |
        | [newer-<1>](newer-<1>/report.md) | 2026-05-01 | example (changed since) | 1 | a strategy fell short | Odd \| system, 2 processors, 24.0 GiB, ext4 |
        | [own](own/report.md) | 2026-03-01 | example (not shipped) | 1 | as expected | Debian GNU/Linux 12 (bookworm), 2 processors, 24.0 GiB, ext4 |
        | [same](same/report.md) | 2026-03-01 | example | 1 | inconclusive | Debian GNU/Linux 12 (bookworm), 2 processors, 24.0 GiB, ext4 |

        ## Scenarios that have changed since

        - newer-&lt;1>: repetitions was 1 and is 3.
        ");
    }

    #[test]
    fn the_page_has_the_same_rows_and_no_foreign_markup() {
        let page = index_html(&runs());
        assert_eq!(page.matches("<tr>").count(), 4);
        assert!(page.contains("<a href=\"newer-&lt;1&gt;/report.md\">newer-&lt;1&gt;</a>"), "{page}");
        assert!(page.contains("<li>newer-&lt;1&gt;: repetitions was 1 and is 3.</li>"), "{page}");
        assert!(page.find("2026-05-01") < page.find("2026-03-01"), "{page}");
    }
}
