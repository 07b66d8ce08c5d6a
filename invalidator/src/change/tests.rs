//! What a row image knows of its columns.

use super::*;

fn row(json: &str, unchanged: &[&str]) -> Row {
    let cells = serde_json::from_str(json).unwrap();
    Row::new(
        cells,
        unchanged.iter().map(|name| (*name).to_owned()).collect(),
    )
}

fn text(value: &str) -> Cell<'_> {
    Cell::Text(value.into())
}

#[test]
fn numbers_stay_as_written() {
    let row = row(
        r#"{"id": 9007199254740993, "big": 340282366920938463463374607431768211455, "price": 1.50, "neg": -0}"#,
        &[],
    );
    assert_eq!(row.cell("id"), text("9007199254740993"));
    assert_eq!(
        row.cell("big"),
        text("340282366920938463463374607431768211455")
    );
    assert_eq!(row.cell("price"), text("1.50"));
    assert_eq!(row.cell("neg"), text("-0"));
}

#[test]
fn what_is_no_plain_value_says_what_it_is() {
    let row = row(
        r#"{"s": "x", "t": true, "n": null, "o": {}, "a": []}"#,
        &["bio"],
    );
    assert_eq!(row.cell("s"), text("x"));
    assert_eq!(row.cell("t"), text("true"));
    assert_eq!(row.cell("n"), Cell::Null);
    assert_eq!(row.cell("o"), Cell::Compound);
    assert_eq!(row.cell("a"), Cell::Compound);
    assert_eq!(row.cell("bio"), Cell::Unchanged);
    assert_eq!(row.cell("gone"), Cell::Absent);
}

#[test]
fn a_column_is_kept_changed_or_unknown() {
    let old = row(r#"{"a": 1, "b": 1}"#, &[]);
    let new = row(r#"{"a": 1, "b": 2, "c": 3}"#, &["bio"]);
    assert_eq!(new.keeps(&old, "a"), Some(true));
    assert_eq!(new.keeps(&old, "b"), Some(false));
    assert_eq!(new.keeps(&old, "c"), None);
    assert_eq!(new.keeps(&old, "bio"), Some(true));
}
