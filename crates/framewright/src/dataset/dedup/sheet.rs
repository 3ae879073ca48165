//! A page with the pairs of a dry run side by side, to be opened in a browser; it needs nothing but the pictures.

use std::fmt::Write as _;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use super::{Pair, Survey};
use crate::dataset::export::text::markup;
use crate::dataset::folder::write_file;

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>near duplicates</title><style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222;background:#fff}
h2{margin-top:2em}pre{overflow-x:auto}
.pair{display:flex;gap:8px;align-items:flex-start;margin:12px 0;padding:8px;border-left:6px solid #bbb}
.same{border-color:#c33}.pair p{width:9em;margin:0}
figure{margin:0;width:40%}img{width:100%;background:#eee}figcaption{font-size:12px;overflow-wrap:anywhere}
</style></head><body>
<h1>Near duplicates: on both sides of the thresholds</h1>
";

/// Writes the page. `picture` says where the picture of an image id lies; a frame without one is shown by its name.
///
/// # Errors
/// The I/O error of writing it; nothing is left behind then.
pub fn write_sheet(
    path: &Path,
    survey: &Survey,
    picture: impl Fn(&str) -> Option<PathBuf>,
) -> io::Result<()> {
    let folder = absolute(path)?
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned);
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "<pre>{}</pre>", markup(&survey.histogram()));
    for (within, title) in [(true, "Within a video"), (false, "Across videos")] {
        for pairs in survey.pairs.chunk_by(|a, b| {
            (a.within, a.hash, is_below(survey, a)) == (b.within, b.hash, is_below(survey, b))
        }) {
            let first = &pairs[0];
            if first.within != within {
                continue;
            }
            let side = if is_below(survey, first) {
                "up to"
            } else {
                "above"
            };
            let threshold = threshold(survey, first);
            let _ = writeln!(
                page,
                "<h2>{title}: {} {side} {threshold} bits</h2>",
                first.hash.word()
            );
            for pair in pairs {
                let class = if pair.same { "pair same" } else { "pair" };
                let verdict = if pair.same {
                    "the same"
                } else {
                    "not the same"
                };
                let _ = write!(
                    page,
                    "<div class=\"{class}\"><p>{} bits: {verdict}</p>",
                    pair.distance
                );
                for name in [&pair.leader, &pair.image_id] {
                    page.push_str(&figure(&folder, name, picture(name))?);
                }
                page.push_str("</div>\n");
            }
        }
    }
    page.push_str("</body></html>\n");
    write_file(path, page.as_bytes())
}

fn threshold(survey: &Survey, pair: &Pair) -> u32 {
    match pair.hash {
        super::Hash::Dct => survey.thresholds.dct,
        super::Hash::Dhash => survey.thresholds.dhash,
    }
}

fn is_below(survey: &Survey, pair: &Pair) -> bool {
    pair.distance <= threshold(survey, pair)
}

fn figure(folder: &Path, name: &str, picture: Option<PathBuf>) -> io::Result<String> {
    let name = markup(name);
    let Some(picture) = picture else {
        return Ok(format!(
            "<figure><figcaption>{name} (no picture)</figcaption></figure>"
        ));
    };
    let link = markup(&link(folder, &absolute(picture)?));
    Ok(format!(
        "<figure><img loading=\"lazy\" src=\"{link}\" alt=\"{name}\"><figcaption>{name}</figcaption></figure>"
    ))
}

/// The way from a folder to a file, both absolute, as an address.
fn link(folder: &Path, file: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), file.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| "..".to_owned());
    let down = to[common..]
        .iter()
        .map(|part| percent(part.as_os_str().as_encoded_bytes()));
    up.chain(down).collect::<Vec<_>>().join("/")
}

fn percent(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte as char);
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_sheet_to_the_picture() {
        let link = |folder: &str, file: &str| link(Path::new(folder), Path::new(file));
        assert_eq!(link("/d/out", "/d/out/frames/a.jpg"), "frames/a.jpg");
        assert_eq!(
            link("/d/out/report", "/d/pictures/ü #1?.jpg"),
            "../../pictures/%C3%BC%20%231%3F.jpg"
        );
    }

    #[test]
    fn what_a_name_holds_is_text() {
        assert_eq!(
            markup("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
