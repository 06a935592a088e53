use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Cell, Column, Rank, Table};
use crate::render::number;

fn example() -> Table {
    let mut table = Table::new(vec![
        Column::text("Strategy", "strategy", Rank::Always),
        Column::number("Backup", "backup_seconds", Rank::Main(1)),
        Column::text("Survives disk loss", "survives_disk_loss", Rank::Main(2)),
    ]);
    table.begin_section("Online");
    table.push(vec![
        "one|step".into(),
        Cell::measured(Some(1.25), number::seconds),
        Cell::yes_or_no(Some(true)),
    ]);
    table.begin_section("Continuous");
    table.push(vec!["a \"b\", c".into(), Cell::measured(None, number::seconds), Cell::yes_or_no(None)]);
    table
}

#[test]
fn programs_read_raw_numbers_under_keys_with_units() {
    let expected = json!([
        {"strategy": "one|step", "backup_seconds": 1.25, "survives_disk_loss": true},
        {"strategy": "a \"b\", c", "backup_seconds": null, "survives_disk_loss": null},
    ]);
    assert_eq!(example().json(), expected);
    insta::assert_snapshot!(example().csv(), @r#"
    strategy,backup_seconds,survives_disk_loss
    one|step,1.25,true
    "a ""b"", c",,
    "#);
}

#[test]
fn people_read_numbers_with_units_and_dashes() {
    insta::assert_snapshot!(example().markdown(), @r#"
    | Strategy | Backup | Survives disk loss |
    | --- | ---: | --- |
    | **Online** |  |  |
    | one\|step | 1.25 s | yes |
    | **Continuous** |  |  |
    | a "b", c | – | – |
    "#);
}

#[test]
fn a_selection_keeps_rows_and_headings() {
    let selected = example().select(|column| column.rank == Rank::Always);
    assert_eq!(selected.columns.len(), 1);
    assert_eq!(selected.sections[1].title, "Continuous");
    assert_eq!(selected.rows().count(), 2);
}

proptest! {
    #[test]
    fn a_reader_of_csv_finds_every_field(
        rows in prop::collection::vec(prop::collection::vec("(\\PC|[\",\n\r]){0,6}", 3), 0..5)
    ) {
        let table = Table::of_texts(["A", "B b", "C"], rows.clone());
        let text = table.csv();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let found: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(found, rows);
        prop_assert_eq!(reader.headers().unwrap(), vec!["a", "b_b", "c"]);
    }

    #[test]
    fn values_that_are_not_finite_are_null(value in any::<f64>()) {
        let cell = Cell::measured(Some(value), number::ratio);
        prop_assert_eq!(cell.value == Value::Null, !value.is_finite());
    }
}
