//! Which pixel format the output gets: the source's own samples where the encoder takes them, else the nearest that
//! loses least, said as a fallback.

use framewright_media::PixelFormat;

use crate::cli::Encoder;
use crate::exit::{Exit, fail};

/// What the choice rests on.
pub struct Request<'a> {
    /// Of the decoded frames.
    pub source: PixelFormat,
    /// By the user, in FFmpeg's name.
    pub asked: Option<&'a str>,
    /// The encoder.
    pub encoder: Encoder,
    /// Of the result, in pixels.
    pub width: usize,
    /// Of the result, in pixels.
    pub height: usize,
}

/// The choice.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// Planar, and taken by the encoder.
    pub format: PixelFormat,
    /// What is not as in the source, and why.
    pub fallback: Option<String>,
}

/// The pixel format of the result where no encoder has a say: the source's samples, RGB as 4:4:4.
pub fn of_source(source: PixelFormat) -> PixelFormat {
    source.planar()
}

/// Chooses among the formats that an encoder takes.
///
/// # Errors
/// The format asked for does not exist, or is not one the encoder takes (2).
pub fn choose(request: &Request<'_>, taken: &[PixelFormat]) -> anyhow::Result<Choice> {
    match request.asked {
        Some(name) => asked(name, request, taken).map(|format| Choice {
            format,
            fallback: None,
        }),
        None => nearest(request, taken),
    }
}

fn asked(name: &str, request: &Request<'_>, taken: &[PixelFormat]) -> anyhow::Result<PixelFormat> {
    let refuse = |why: String| Err(fail(Exit::Usage, why));
    let encoder = request.encoder.name();
    let usable: Vec<PixelFormat> = taken
        .iter()
        .copied()
        .filter(|format| fits(*format, request))
        .collect();
    match PixelFormat::from_name(name) {
        None => refuse(format!("there is no pixel format {name}")),
        Some(format) if usable.contains(&format) => Ok(format),
        Some(_) => {
            let names: Vec<String> = usable.iter().map(|format| format.name()).collect();
            refuse(format!(
                "{encoder} does not take {name} here; it takes {}",
                names.join(", ")
            ))
        }
    }
}

fn nearest(request: &Request<'_>, taken: &[PixelFormat]) -> anyhow::Result<Choice> {
    let wanted = request.source.planar();
    let wish = wishes(wanted)
        .into_iter()
        .filter_map(|name| PixelFormat::from_name(&name))
        .find(|format| taken.contains(format) && fits(*format, request));
    let Some(format) = wish else {
        let (encoder, width, height) = (request.encoder.name(), request.width, request.height);
        let message = format!(
            "{encoder} takes no pixel format for {width}x{height} {wanted}; choose another --encoder"
        );
        return Err(fail(Exit::Usage, message));
    };
    // Grey in 4:2:0 and RGB in 4:4:4 of the same depth lose nothing that can be seen.
    let same = format.depth() >= wanted.depth()
        && (wanted.is_grey()
            || (format.chroma_shift() == wanted.chroma_shift())
                && format.depth() == wanted.depth());
    let reason = if !is_even(request) && format.chroma_shift() == (0, 0) {
        ", because the size is odd"
    } else {
        ""
    };
    let fallback = (!same).then(|| {
        format!(
            "the output is {format} instead of {wanted}: {} does not take that{reason}",
            request.encoder.name()
        )
    });
    Ok(Choice { format, fallback })
}

/// FFmpeg's names of formats for these samples, best first.
fn wishes(wanted: PixelFormat) -> Vec<String> {
    let depths: &[u8] = match wanted.depth() {
        8 => &[8, 10],
        9 | 10 => &[10, 12, 16, 8],
        11 | 12 => &[12, 16, 14, 10, 8],
        _ => &[16, 14, 12, 10, 8],
    };
    // Grey as 4:2:0: the same samples beside empty chroma, and every player knows it. RGB as 4:4:4 likewise.
    let families: &[&str] = match (wanted.is_grey(), wanted.chroma_shift()) {
        (true, _) | (_, (1, 1)) => &["yuv420p", "yuv444p"],
        (_, (1, 0)) => &["yuv422p", "yuv444p", "yuv420p"],
        _ => &["yuv444p", "yuv422p", "yuv420p"],
    };
    let name = |family: &str, depth: u8| match depth {
        8 => family.to_string(),
        depth => format!("{family}{depth}le"),
    };
    // Depth before subsampling: banding in the sky of a 10-bit film is seen sooner than chroma at half resolution.
    depths
        .iter()
        .flat_map(|&depth| families.iter().map(move |family| name(family, depth)))
        .collect()
}

/// Whether frames of this size can be written in the format by this encoder, and by our conversion.
fn fits(format: PixelFormat, request: &Request<'_>) -> bool {
    // The H.264, H.265 and AV1 encoders want whole chroma samples; FFV1 takes any size.
    let needs_even = format.chroma_shift() != (0, 0) && request.encoder != Encoder::Ffv1;
    format.reads_as_planar()
        && !format.has_alpha()
        && !format.is_rgb()
        && (!needs_even || is_even(request))
}

fn is_even(request: &Request<'_>) -> bool {
    request.width.is_multiple_of(2) && request.height.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X264: &[&str] = &[
        "yuv420p",
        "yuvj420p",
        "yuv422p",
        "yuv444p",
        "nv12",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
        "gray",
    ];

    fn formats(names: &[&str]) -> Vec<PixelFormat> {
        names
            .iter()
            .map(|name| PixelFormat::from_name(name).unwrap())
            .collect()
    }

    fn chosen(
        source: &str,
        asked: Option<&str>,
        size: (usize, usize),
        taken: &[&str],
    ) -> anyhow::Result<Choice> {
        let source = PixelFormat::from_name(source).unwrap();
        let request = Request {
            source,
            asked,
            encoder: Encoder::Libx264,
            width: size.0,
            height: size.1,
        };
        choose(&request, &formats(taken))
    }

    #[test]
    fn the_source_format_is_kept_where_the_encoder_takes_it() {
        for (source, expected) in [
            ("yuv420p", "yuv420p"),
            ("yuvj420p", "yuv420p"),
            ("nv12", "yuv420p"),
            ("p010le", "yuv420p10le"),
            ("yuv422p10le", "yuv422p10le"),
            ("yuv444p", "yuv444p"),
            ("bgra", "yuv444p"),
            ("gray", "yuv420p"),
        ] {
            let choice = chosen(source, None, (640, 360), X264).unwrap();
            assert_eq!(
                (choice.format.name().as_str(), choice.fallback),
                (expected, None),
                "{source}"
            );
        }
    }

    #[test]
    fn odd_sizes_get_full_chroma_and_a_note() {
        let choice = chosen("yuv420p", None, (959, 539), X264).unwrap();
        assert_eq!(choice.format.name(), "yuv444p");
        assert!(choice.fallback.unwrap().contains("odd"));
    }

    #[test]
    fn depth_is_kept_before_subsampling_and_losses_are_said() {
        let choice = chosen(
            "yuv444p10le",
            None,
            (64, 64),
            &["yuv420p", "yuv444p", "yuv420p10le"],
        )
        .unwrap();
        assert_eq!(choice.format.name(), "yuv420p10le");
        assert!(choice.fallback.is_some());
        let choice = chosen("yuv420p12le", None, (64, 64), X264).unwrap();
        assert_eq!(choice.format.name(), "yuv420p10le");
        assert!(choice.fallback.is_some());
    }

    #[test]
    fn a_format_that_does_not_go_is_refused_with_those_that_do() {
        for name in ["nonsense", "nv12", "gbrp"] {
            let error = chosen("yuv420p", Some(name), (64, 64), X264).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Usage, "{name}");
        }
        assert!(chosen("yuv420p", Some("yuv420p"), (65, 64), X264).is_err());
        assert_eq!(
            chosen("yuv420p", Some("gray"), (64, 64), X264)
                .unwrap()
                .format
                .name(),
            "gray"
        );
    }
}
