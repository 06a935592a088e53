//! The tokens of a SQL statement, in enough detail to tell apart two statements that SQLite has accepted.
//!
//! A schema contains the text of each statement, with its line breaks and comments, and a tool may change these: the
//! shell's `.dump` adds a line break after a comment. The meaning of a statement depends only on its tokens.

/// The tokens of `sql`, without white space and comments. Names, literals and quotes are kept as written.
///
/// An operator of several characters is returned as several tokens. That is no problem: white space inside an operator
/// never turns a statement that SQLite accepts into another one that it accepts.
pub(super) fn tokens(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            let length = length(rest)?;
            let (token, after) = rest.split_at(length);
            rest = after;
            if !is_space(token) {
                return Some(token);
            }
        }
    })
}

/// True when both mean the same to SQLite.
pub(super) fn same_meaning(one: &str, other: &str) -> bool {
    tokens(one).eq(tokens(other))
}

/// The name or the text of a token, without quotes.
pub(super) fn unquoted(token: &str) -> String {
    let inside = |quote: char, end: char| token.strip_prefix(quote).and_then(|rest| rest.strip_suffix(end));
    for quote in ['"', '\'', '`'] {
        if let Some(inside) = inside(quote, quote) {
            return inside.replace(&format!("{quote}{quote}"), &quote.to_string());
        }
    }
    inside('[', ']').unwrap_or(token).to_owned()
}

fn is_space(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*") || token.starts_with(white)
}

/// The characters that SQLite treats as white space.
fn white(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// Length in bytes of the token, the comment or the white space at the beginning; `None` at the end.
fn length(sql: &str) -> Option<usize> {
    let first = sql.chars().next()?;
    let until = |end: Option<usize>| end.unwrap_or(sql.len());
    Some(match first {
        _ if sql.starts_with("--") => until(sql.find('\n')),
        // As in SQLite, this does not end a comment: /*/
        _ if sql.starts_with("/*") => until(sql[2..].find("*/").map(|end| end + 4)),
        _ if white(first) => until(sql.find(|character| !white(character))),
        '\'' | '"' | '`' => quoted(sql, first),
        '[' => until(sql.find(']').map(|end| end + 1)),
        'x' | 'X' if sql[1..].starts_with('\'') => 1 + quoted(&sql[1..], '\''),
        _ if is_word(first) => until(sql.find(|character| !is_word(character))),
        other => other.len_utf8(),
    })
}

/// Length in bytes of the quoted text at the beginning. A doubled quote means a single one.
fn quoted(sql: &str, quote: char) -> usize {
    let mut end = 1;
    while let Some(next) = sql[end..].find(quote) {
        end += next + 1;
        if !sql[end..].starts_with(quote) {
            return end;
        }
        end += 1;
    }
    sql.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn only_white_space_and_comments_do_not_matter() {
        let sql = "CREATE TABLE t (a DEFAULT 'x  y', \"b c\" CHECK (b>=1.5), [d e] COLLATE NOCASE)";
        for same in [
            "CREATE TABLE t(a DEFAULT 'x  y',\"b c\" CHECK(b >= 1.5),[d e]COLLATE NOCASE)",
            "CREATE /* a */ TABLE t (a -- one\n DEFAULT 'x  y', \"b c\" CHECK (b>=1.5), [d e] COLLATE NOCASE) -- end",
        ] {
            assert!(same_meaning(sql, same), "{same}");
        }
        for other in [
            "CREATE TABLE t (a DEFAULT 'x y', \"b c\" CHECK (b>=1.5), [d e] COLLATE NOCASE)",
            "CREATE TABLE t (a DEFAULT 'x  y', \"b  c\" CHECK (b>=1.5), [d e] COLLATE NOCASE)",
            "CREATE TABLE t (a DEFAULT 'x  y', \"b c\" CHECK (b>1.5), [d e] COLLATE NOCASE)",
            "CREATE TABLE t (a DEFAULT 'x  y', \"b c\" CHECK (b>=1.5), [d e] COLLATE RTRIM)",
            "CREATE TABLE t (a DEFAULT 'x  y', \"b c\" CHECK (b>=15), [d  e] COLLATE NOCASE)",
        ] {
            assert!(!same_meaning(sql, other), "{other}");
        }
        let odd: Vec<_> = tokens("/*/ x */a--b\n-1 'it''s' x'00' é$1 \"--\" /* open").collect();
        assert_eq!(odd, ["a", "-", "1", "'it''s'", "x'00'", "é$1", "\"--\""]);
        assert_eq!(tokens(" -- no more").count(), 0);
        assert_eq!(
            ["\"a\"\"b\"", "'it''s'", "[a b]", "plain"].map(unquoted),
            ["a\"b", "it's", "a b", "plain"]
        );
    }

    fn token() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z_é][a-zA-Z0-9_$é]{0,5}",
            "[0-9]{1,4}",
            "'([ -&(-~é\n]|''){0,6}'",
            "\"([ !#-~é\n]|\"\"){0,6}\"",
            "`([ -_a-~é\n]|``){0,6}`",
            "[xX]'([0-9a-f]{2}){0,4}'",
            "\\[[ -\\\\^-~é\n]{0,6}\\]",
            prop::sample::select(vec!["(", ")", ",", ".", ";", "=", "<", ">", "!", "+", "*", "%", "|", "~"])
                .prop_map(str::to_owned),
        ]
    }

    fn space() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ \t\r\n\x0c]{1,3}",
            "--[ -~é]{0,8}\n",
            "/\\*([ -)+-.0-~é\n]{0,8})\\*/",
            Just("/*/ it's \" */".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn any_white_space_gives_the_same_tokens(parts in prop::collection::vec((token(), space()), 0..12)) {
            let sql: String = parts.iter().map(|(token, space)| format!("{token}{space}")).collect();
            let due: Vec<&str> = parts.iter().map(|(token, _)| token.as_str()).collect();
            prop_assert_eq!(tokens(&sql).collect::<Vec<_>>(), due);
        }

        #[test]
        fn tokens_and_spaces_are_the_whole_text(sql in "[ -~é\n]{0,40}") {
            let mut rest = sql.as_str();
            for token in tokens(&sql) {
                prop_assert!(!token.is_empty());
                let skipped = rest.find(token).unwrap();
                rest = &rest[skipped + token.len()..];
            }
        }

        /// Compared with SQLite itself: statements with the same tokens have the same value, or are both refused.
        #[test]
        fn sqlite_agrees(parts in prop::collection::vec((token(), space()), 1..6)) {
            let connection = Connection::open_in_memory().unwrap();
            let run = |sql: String| -> Option<String> {
                connection.query_row(&format!("SELECT quote({sql})"), [], |row| row.get(0)).ok()
            };
            let spaced: String = parts.iter().map(|(token, space)| format!("{token}{space}")).collect();
            let plain: Vec<&str> = parts.iter().map(|(token, _)| token.as_str()).collect();
            prop_assert_eq!(run(spaced), run(plain.join(" ")));
        }
    }
}
