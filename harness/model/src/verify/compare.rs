//! Check 5: compares the content that the workload never changes with that of the source.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::content::{ContentDigest, SETTING, SchemaObject, Tables};
use super::digest::RowsDigest;
use super::findings::Findings;
use super::reader::DatabaseReader;
use crate::dataset::TableNames;

/// Maximum number of names that a remark lists.
const NAMES_SHOWN: usize = 5;

/// The result of a comparison of the content, in addition to its findings.
#[derive(Default)]
pub(super) struct Difference {
    /// The torrents that no write changes are different.
    pub(super) torrents: bool,
    /// Tables with the same rows, but other row numbers.
    renumbered: Vec<String>,
}

impl Difference {
    /// The remark on rows with other numbers. `referred` is true if something may have relied on the old numbers, as
    /// far as that can be checked.
    pub(super) fn remark_on_rowids(&self, referred: bool) -> Option<String> {
        let known = if referred { "" } else { "; nothing that can be checked refers to them" };
        let tables = &self.renumbered;
        (!tables.is_empty()).then(|| format!("rowids have changed in {}{known}", some(tables)))
    }
}

/// Check 5: compares the content with that of the source. Differences that no query shows are added to `remarks`.
pub(super) fn compare(
    expected: &ContentDigest,
    names: TableNames,
    tables: &Tables,
    torrents: Option<RowsDigest>,
    engine: &dyn DatabaseReader,
    content: &mut Findings,
    remarks: &mut Vec<String>,
) -> Difference {
    compare_schema(&expected.schema, &tables.schema, engine, content, remarks);
    let mut difference = Difference::default();
    for (table, due) in &expected.tables {
        let found = match tables.digests.get(table) {
            _ if table == names.torrents => torrents,
            Some(Ok(digest)) => Some(*digest),
            Some(Err(unreadable)) => {
                content.cannot(&unreadable.reason);
                None
            }
            // The table is missing from the schema, which was reported above.
            None => None,
        };
        let Some(found) = found else { continue };
        if found == *due {
            if expected.rowids.get(table) != tables.rowids.get(table) {
                difference.renumbered.push(table.clone());
            }
            continue;
        }
        difference.torrents |= table == names.torrents;
        content.wrong(|| {
            let (was, is) = (due.rows, found.rows);
            format!(
                "table {table}: {was} rows that no write changes were expected, but {is} were found, with other \
                 content"
            )
        });
    }
    for (what, was) in &expected.layout {
        let is = tables.layout.get(what).map_or("absent", String::as_str);
        if is != was {
            remarks.push(format!("{what} was {was} and is {is}"));
        }
    }
    difference
}

/// Compares statements by their meaning to the engine: a tool may change the layout of their text.
fn compare_schema(
    expected: &[SchemaObject],
    found: &[SchemaObject],
    engine: &dyn DatabaseReader,
    content: &mut Findings,
    remarks: &mut Vec<String>,
) {
    let key = |object: &SchemaObject| (object.kind.clone(), object.name.clone(), object.table.clone());
    let by_key = |objects: &[SchemaObject]| -> BTreeMap<_, Option<String>> {
        objects.iter().map(|object| (key(object), object.sql.clone())).collect()
    };
    let (before, after) = (by_key(expected), by_key(found));
    let mut laid_out_anew = Vec::new();
    for ((kind, name, table), was) in &before {
        match after.get(&(kind.clone(), name.clone(), table.clone())) {
            None => content.wrong(|| format!("the schema lacks {kind} {name}")),
            Some(is) if is == was => {}
            Some(is) => match (was, is) {
                (Some(was), Some(is)) if kind == SETTING => {
                    content.wrong(|| format!("{name} was {was} and is {is}"));
                }
                (Some(was), Some(is)) if engine.have_same_meaning(was, is) => {
                    laid_out_anew.push(format!("{kind} {name}"));
                }
                _ => content.wrong(|| format!("the schema has a different definition of {kind} {name}")),
            },
        }
    }
    for (kind, name, _) in after.keys().filter(|key| !before.contains_key(*key)) {
        content.wrong(|| format!("the schema has a new {kind} {name}"));
    }
    if !laid_out_anew.is_empty() {
        remarks.push(format!(
            "the text of the schema differs only in white space or comments, in {}",
            some(&laid_out_anew)
        ));
    }
}

/// The first few of these names, and the number of the others.
fn some(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Compares the sequence of the torrents with the ids in their table, and with `due` if the value that follows from the
/// writes that are present is known.
pub(super) fn judge_sequence(
    sequence: Option<i64>,
    id_max: Option<i64>,
    due: Option<RangeInclusive<i64>>,
    content: &mut Findings,
) {
    let said = || sequence.map_or("absent".to_owned(), |sequence| sequence.to_string());
    if sequence < id_max {
        content.wrong(|| {
            let id_max = id_max.unwrap_or_default();
            format!(
                "the sequence of torrents is {}, below the highest id {id_max}: an id could be assigned twice",
                said()
            )
        });
    } else if let Some(due) = due.filter(|due| !sequence.is_some_and(|sequence| due.contains(&sequence))) {
        content.wrong(|| {
            let (least, most) = (due.start(), due.end());
            let due = if least == most { least.to_string() } else { format!("{least} to {most}") };
            format!(
                "the sequence of torrents is {}, but according to the writes that are present it must be {due}",
                said()
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use reports::record::Check;

    use super::*;

    fn judged(sequence: Option<i64>, due: Option<RangeInclusive<i64>>) -> (Option<Check>, Vec<String>) {
        let mut content = Findings::new("content");
        judge_sequence(sequence, Some(71), due, &mut content);
        let mut lines = Vec::new();
        (content.conclude(&mut lines), lines)
    }

    #[test]
    fn a_sequence_below_the_highest_id_is_wrong() {
        for right in [Some(71), Some(900)] {
            assert_eq!(judged(right, None), (Some(Check::Pass), Vec::new()));
        }
        for (wrong, said) in [(Some(70), "70"), (None, "absent")] {
            let (check, lines) = judged(wrong, None);
            assert_eq!(check, Some(Check::Fail));
            assert!(
                lines[0].contains(&format!("the sequence of torrents is {said}, below the highest id 71"))
            );
        }
    }

    #[test]
    fn a_sequence_of_another_moment_is_wrong() {
        assert_eq!(judged(Some(80), Some(80..=80)), (Some(Check::Pass), Vec::new()));
        assert_eq!(judged(Some(82), Some(80..=83)), (Some(Check::Pass), Vec::new()));
        for (wrong, due, said) in [(79, 80..=80, "80"), (81, 80..=80, "80"), (84, 80..=83, "80 to 83")] {
            let (check, lines) = judged(Some(wrong), Some(due));
            assert_eq!(check, Some(Check::Fail));
            assert!(lines[0].ends_with(&format!(
                "is {wrong}, but according to the writes that are present it must be {said}"
            )));
        }
    }
}
