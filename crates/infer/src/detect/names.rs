//! Names of classes: as Python writes them into a file, and COCO's.

use std::collections::BTreeMap;

/// More classes than any detector has; a damaged file must not name the largest number there is.
const MAX_CLASSES: usize = 100_000;

/// Reads names in the form that Python prints a dict, list or tuple in: `{0: 'person', 1: "driver's seat"}`.
///
/// Numbers that are left out are called `class 7`. None for anything else.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader(text);
    let close = match reader.next()? {
        '{' => '}',
        '[' => ']',
        '(' => ')',
        _ => return None,
    };
    let mut names = BTreeMap::new();
    loop {
        reader.space();
        if reader.skip(close) {
            break;
        }
        let number = if close == '}' {
            let number = reader.key()?;
            reader.space();
            reader.skip(':').then_some(())?;
            reader.space();
            number
        } else {
            names.len()
        };
        names.insert(number, reader.text()?);
        reader.space();
        if !reader.skip(',') {
            reader.skip(close).then_some(())?;
            break;
        }
    }
    reader.space();
    let count = names.last_key_value().map_or(0, |(&last, _)| last + 1);
    if !reader.0.is_empty() || count > MAX_CLASSES {
        return None;
    }
    Some(
        (0..count)
            .map(|i| names.remove(&i).unwrap_or_else(|| unnamed(i)))
            .collect(),
    )
}

/// What a class without a name is called.
pub(super) fn unnamed(number: usize) -> String {
    format!("class {number}")
}

/// What is left to read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let next = chars.next()?;
        self.0 = chars.as_str();
        Some(next)
    }

    fn skip(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn space(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// A number, or one in quotes as JSON has it.
    fn key(&mut self) -> Option<usize> {
        if self.0.starts_with(['\'', '"']) {
            return self.text()?.parse().ok();
        }
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        number.parse().ok()
    }

    /// A string in quotes, its escapes resolved.
    fn text(&mut self) -> Option<String> {
        self.skip('u');
        let quote = self.next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let mut text = String::new();
        loop {
            match self.next()? {
                // A line that goes on.
                '\\' if self.skip('\n') => {}
                '\\' => text.push(self.escape()?),
                end if end == quote => return Some(text),
                char => text.push(char),
            }
        }
    }

    /// The character of an escape, after its backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            first @ '0'..='7' => {
                let more = self.0.bytes().take(2);
                let more = more
                    .take_while(|digit| matches!(digit, b'0'..=b'7'))
                    .count();
                let (digits, rest) = self.0.split_at(more);
                self.0 = rest;
                char::from_u32(u32::from_str_radix(&format!("{first}{digits}"), 8).ok()?)?
            }
            char @ ('\\' | '\'' | '"' | '/') => char,
            _ => return None,
        })
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let number = self.0.get(..digits)?;
        self.0 = &self.0[digits..];
        char::from_u32(u32::from_str_radix(number, 16).ok()?)
    }
}

/// COCO's classes in the order that detectors number them.
#[rustfmt::skip]
pub(super) const COCO: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush",
];

/// Numbers up to 90 that COCO gave to no class.
const COCO_GAPS: [usize; 11] = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// COCO's names for a detector of `count` classes: 80 numbered without gaps, or 91 by COCO's own numbers.
pub(super) fn coco(count: usize) -> Option<Vec<String>> {
    match count {
        80 => Some(COCO.map(str::to_owned).to_vec()),
        91 => {
            let mut named: Vec<String> = (0..91).map(unnamed).collect();
            let used = (0..91).filter(|number| !COCO_GAPS.contains(number));
            for (number, name) in used.zip(COCO) {
                name.clone_into(&mut named[number]);
            }
            Some(named)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_python_writes_them() {
        let text = r#"{0: 'person', 1: "driver's seat", 2: 'caf\xe9', 3: '\u4eba', 4: 'a\\b\'c"d', 5: 'räd', 7: 'x'}"#;
        let names = parse(text).unwrap();
        let expected = [
            "person",
            "driver's seat",
            "café",
            "人",
            "a\\b'c\"d",
            "räd",
            "class 6",
            "x",
        ];
        assert_eq!(names, expected);
        assert_eq!(parse("['a', 'b',]").unwrap(), ["a", "b"]);
        assert_eq!(parse("('a', 'b')").unwrap(), ["a", "b"]);
        assert_eq!(
            parse(r#"{"1": "b", "0": "a\U0001F600"}"#).unwrap(),
            ["a😀", "b"]
        );
        assert_eq!(parse(r"['\101\60']").unwrap(), ["A0"]);
        assert_eq!(parse("{}").unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_such_literal_is_refused() {
        for text in [
            "",
            "{",
            "{0}",
            "{0: person}",
            "{0: 'a'",
            "{0: 'a'} x",
            "{0: 'a\\q'}",
            "{-1: 'a'}",
            "{9999999: 'a'}",
            "{0: 'a\\ud83d'}",
            "['a' 'b']",
            "person",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn coco_has_91_numbers_and_80_names() {
        let names = coco(91).unwrap();
        let at = |name: &str| names.iter().position(|n| n == name);
        assert_eq!(
            (at("person"), at("dog"), at("toothbrush")),
            (Some(1), Some(18), Some(90))
        );
        assert_eq!((at("stop sign"), at("cell phone")), (Some(13), Some(77)));
        assert_eq!((coco(80).unwrap()[16].as_str(), coco(79)), ("dog", None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[{\[]?([0-9: ,'"\\uxé]|'a')*[}\]]?"#) {
            let _ = parse(&text);
        }
    }
}
