//! Foreign text in other formats. Titles and addresses come from strangers.
//!
//! Invariant: no text leaves its place: not a YAML string, not an XML or HTML element or attribute, not a Markdown cell.

use std::fmt::Write as _;

use crate::visible::acts;

/// A double-quoted YAML string.
pub(crate) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            // What YAML does not count as printable, what it breaks lines at, and what turns their direction.
            letter if acts(letter) || letter == '\u{feff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of an HTML element or of a quoted attribute.
pub(crate) fn markup(text: &str) -> String {
    escaped(text, |_| char::REPLACEMENT_CHARACTER.to_string())
}

/// Text of an XML element or of a quoted attribute: what acts on the text around it is a reference, so that a name is
/// still the same name, but for what no XML file may contain.
pub(crate) fn xml(text: &str) -> String {
    escaped(text, |letter| match letter {
        '\0'..='\x1f' => char::REPLACEMENT_CHARACTER.to_string(),
        letter => format!("&#x{:x};", u32::from(letter)),
    })
}

fn escaped(text: &str, of_acting: impl Fn(char) -> String) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\t' | '\n' => escaped.push(letter),
            // No XML file may contain these.
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            letter if acts(letter) => escaped += &of_acting(letter),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Text of one line of Markdown, also in a table.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if acts(letter) => escaped.push(' '),
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                escaped.extend(['\\', letter]);
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_strings_stay_strings() {
        assert_eq!(yaml("a \"b\"\\\n\u{85}é"), r#""a \"b\"\\\n\u0085é""#);
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(
            markup("</script><b a='\"'>&\u{1}\u{202e}é"),
            "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\u{fffd}é"
        );
        assert_eq!(xml("<a\u{1}\u{202e}\u{9b}"), "&lt;a\u{fffd}&#x202e;&#x9b;");
    }

    #[test]
    fn nothing_that_acts_on_its_surroundings_comes_out_raw() {
        let ranges = [
            '\0'..='\u{a0}',
            '\u{600}'..='\u{620}',
            '\u{2000}'..='\u{2070}',
        ];
        for letter in ranges.into_iter().flatten() {
            let text = format!("a{letter}b");
            for out in [yaml(&text), markup(&text), xml(&text), markdown(&text)] {
                let is_raw = |c: char| acts(c) && !matches!(c, '\n' | '\t');
                assert!(!out.chars().any(is_raw), "{out:?}");
            }
        }
    }

    #[test]
    fn markdown_is_one_line_of_text() {
        assert_eq!(
            markdown("a|b\n# [x](y) <i>"),
            "a\\|b \\# \\[x\\](y) &lt;i&gt;"
        );
    }
}
