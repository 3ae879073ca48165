//! Foreign text in other formats. Titles and addresses come from strangers.
//!
//! Invariant: no text leaves its place: not a YAML string, not an XML or HTML element or attribute, not a Markdown cell.

use std::fmt::Write as _;

/// A double-quoted YAML string.
pub(crate) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            // What YAML does not count as printable, and what it breaks lines at.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of an XML or HTML element or of a quoted attribute.
pub(crate) fn markup(text: &str) -> String {
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
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            // These turn the direction of the text behind them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
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
            letter if letter.is_control() => escaped.push(' '),
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
            "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}é"
        );
    }

    #[test]
    fn markdown_is_one_line_of_text() {
        assert_eq!(
            markdown("a|b\n# [x](y) <i>"),
            "a\\|b \\# \\[x\\](y) &lt;i&gt;"
        );
    }
}
