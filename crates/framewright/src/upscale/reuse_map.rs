//! `--reuse-map`: the source as a film, with what was computed of it drawn over it.
//!
//! ```text
//! ┌──────────────┐
//! │ frame  12.5% │  magenta, outlined: the parts that were computed again, each with what it looks at around it
//! │ film   26.0% │  cyan, outlined: the result changed there; computed from what the network's layers made of the frame before
//! │ first   1.0% │  orange, with a frame around it: all of the picture was computed
//! │ last   20.0% │  none of them: the result of an earlier frame was shown again
//! └──────────────┘
//! ```
//! The numbers are arithmetic done over that of computing all of it: for this frame, and for all up to it. Under cyan, also the
//! share of the first layer's pixels that was computed, and of the last one's.

mod font;

use framewright_media::{
    ColourTags, Error, Frame, FrameMaker, PixelFormat, PlanarRgb, Region, rgb_from_frame,
};
use framewright_pipeline::BoxError;

use crate::upscale::writer::Writer;

/// R, G and B from 0 to 1.
type Colour = [f32; 3];

const BLACK: Colour = [0.0, 0.0, 0.0];
const WHITE: Colour = [0.95, 0.95, 0.95];
/// Of parts. Rarer in pictures than green, blue and skin.
const MAGENTA: Colour = [1.0, 0.3, 0.95];
/// Of parts that came from the network's state. As far from magenta as orange is, also without red or green.
const CYAN: Colour = [0.1, 0.95, 1.0];
/// Of whole pictures. Without blue, which tells it from magenta for every kind of colour blindness.
const ORANGE: Colour = [1.0, 0.6, 0.0];

/// Dots between the edge of the box and its text.
const PADDING: usize = 3;
/// Dots from the top of a line of text to that of the next.
const LINE: usize = font::HEIGHT + 3;
/// Dots from a letter to the next.
const ADVANCE: usize = font::WIDTH + 1;

/// What was computed of a frame.
pub enum Computed<'a> {
    /// Nothing: an earlier result was shown again.
    Nothing,
    /// These parts, in pixels of the source; where they came from the network's state, with the share that was computed of
    /// each layer's pixels.
    Parts(&'a [Region], &'a [f64]),
    /// All of it.
    All,
}

/// The film on its way.
pub struct ReuseMap {
    writer: Writer,
    frames: FrameMaker,
    picture: PlanarRgb,
}

impl ReuseMap {
    /// What a map of pictures of this size is stored in: 8 bits, as every player shows, and all pixels of the source,
    /// which 4:2:0 cannot hold where a side is odd.
    pub fn pixel_format(width: usize, height: usize) -> PixelFormat {
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        let name = if even { "yuv420p" } else { "yuv444p" };
        PixelFormat::from_name(name).expect("a format as old as FFmpeg")
    }

    /// A film of frames of this format and with these (complete) tags.
    ///
    /// # Errors
    /// The matrix of the tags is not known.
    pub fn new(writer: Writer, format: PixelFormat, tags: ColourTags) -> Result<Self, Error> {
        Ok(Self {
            writer,
            frames: FrameMaker::new(format, tags)?,
            picture: PlanarRgb::default(),
        })
    }

    /// Adds a frame: what was computed of it, and the share of it and of the film up to it.
    pub fn show(
        &mut self,
        source: &Frame,
        (pts, duration): (i64, i64),
        computed: &Computed<'_>,
        (share, film): (f64, f64),
    ) -> Result<(), BoxError> {
        rgb_from_frame(source, &mut self.picture)?;
        draw(&mut self.picture, computed, share, film);
        let mut frame = self.frames.frame_from_rgb(&self.picture)?;
        frame.set_pts(pts);
        frame.duration = duration;
        self.writer.encode(&frame)
    }

    /// Completes it.
    pub fn finish(self) -> Result<(), BoxError> {
        self.writer.finish()?;
        Ok(())
    }
}

fn draw(picture: &mut PlanarRgb, computed: &Computed<'_>, share: f64, film: f64) {
    let line = 1 + picture.height() / 400;
    let colour = match computed {
        Computed::Nothing => WHITE,
        Computed::Parts(parts, layers) => {
            let colour = if layers.is_empty() { MAGENTA } else { CYAN };
            mix(picture, parts, colour, 0.3);
            for part in *parts {
                outline(picture, part, line, colour);
            }
            colour
        }
        Computed::All => {
            let whole = Region::whole(picture.width(), picture.height());
            mix(picture, std::slice::from_ref(&whole), ORANGE, 0.25);
            outline(picture, &whole, 3 * line, ORANGE);
            ORANGE
        }
    };
    let mut lines = vec![("frame", share, colour), ("film ", film, WHITE)];
    if let Computed::Parts(_, [first, .., last]) = computed {
        lines.extend([("first", *first, colour), ("last ", *last, colour)]);
    }
    let lines = lines
        .into_iter()
        .map(|(of, share, colour)| (format!("{of} {:5.1}%", 100.0 * share), colour));
    write(picture, &lines.collect::<Vec<_>>());
}

/// Mixes a colour into every pixel of some regions, once where these overlap.
fn mix(picture: &mut PlanarRgb, regions: &[Region], colour: Colour, strength: f32) {
    let width = picture.width();
    let mut is_inside = vec![false; width];
    let first = regions.iter().map(|region| region.y.start).min();
    let end = regions.iter().map(|region| region.y.end).max();
    for y in first.unwrap_or(0)..end.unwrap_or(0) {
        is_inside.fill(false);
        for region in regions.iter().filter(|region| region.y.contains(&y)) {
            is_inside[region.x.clone()].fill(true);
        }
        for (plane, colour) in picture.planes_mut().into_iter().zip(colour) {
            let row = &mut plane[y * width..][..width];
            for (value, _) in row
                .iter_mut()
                .zip(&is_inside)
                .filter(|(_, inside)| **inside)
            {
                *value += strength * (colour - *value);
            }
        }
    }
}

/// A line along the edges of a region, inside it.
fn outline(picture: &mut PlanarRgb, region: &Region, line: usize, colour: Colour) {
    let Region { x, y } = region;
    let inner =
        |start: usize, end: usize| (end.min(start + line), start.max(end.saturating_sub(line)));
    let (left, right) = inner(x.start, x.end);
    let (top, bottom) = inner(y.start, y.end);
    let region = |x, y| Region { x, y };
    let sides = [
        region(x.clone(), y.start..top),
        region(x.clone(), bottom..y.end),
        region(x.start..left, y.clone()),
        region(right..x.end, y.clone()),
    ];
    mix(picture, &sides, colour, 1.0);
}

/// Writes lines of text on a dark box in the upper left corner, as large as the picture is high, or smaller where it is
/// narrow; nothing where even that is too large.
fn write(picture: &mut PlanarRgb, lines: &[(String, Colour)]) {
    let n_letters = lines.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
    // Without the gaps behind the last letter and the last line.
    let width = n_letters * ADVANCE - 1 + 2 * PADDING;
    let height = lines.len() * LINE - 3 + 2 * PADDING;
    let largest = 1 + picture.height() / 200;
    let fits = |dot: &usize| {
        let with_margin = |dots: usize| (dots + 2 * PADDING) * dot;
        with_margin(width) <= picture.width() && with_margin(height) <= picture.height()
    };
    let Some(dot) = (1..=largest).rev().find(fits) else {
        return;
    };
    // From dots inside the margin to pixels.
    let area = |x: usize, y: usize, width: usize, height: usize| Region {
        x: (PADDING + x) * dot..(PADDING + x + width) * dot,
        y: (PADDING + y) * dot..(PADDING + y + height) * dot,
    };
    mix(picture, &[area(0, 0, width, height)], BLACK, 0.7);
    for (row, (text, colour)) in lines.iter().enumerate() {
        let mut dots = Vec::new();
        for (place, letter) in text.chars().enumerate() {
            let (left, top) = (PADDING + place * ADVANCE, PADDING + row * LINE);
            for (y, bits) in font::glyph(letter).into_iter().enumerate() {
                let columns = (0..font::WIDTH).filter(|x| bits >> (font::WIDTH - 1 - x) & 1 == 1);
                dots.extend(columns.map(|x| area(left + x, top + y, 1, 1)));
            }
        }
        mix(picture, &dots, *colour, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grey(width: usize, height: usize) -> PlanarRgb {
        let mut picture = PlanarRgb::new(width, height);
        picture.data_mut().fill(0.5);
        picture
    }

    fn pixel(picture: &PlanarRgb, x: usize, y: usize) -> Colour {
        let at = y * picture.width() + x;
        picture.planes().map(|plane| plane[at])
    }

    fn region(x: std::ops::Range<usize>, y: std::ops::Range<usize>) -> Region {
        Region { x, y }
    }

    /// Pixels that are no longer grey.
    fn changed(picture: &PlanarRgb) -> Vec<(usize, usize)> {
        let all = (0..picture.height()).flat_map(|y| (0..picture.width()).map(move |x| (x, y)));
        all.filter(|&(x, y)| is_changed(pixel(picture, x, y)))
            .collect()
    }

    fn is_changed(pixel: Colour) -> bool {
        pixel.map(f32::to_bits) != [0.5_f32.to_bits(); 3]
    }

    proptest! {
        #[test]
        fn every_pixel_of_the_parts_is_tinted_and_no_other(
            parts in proptest::collection::vec((0..50_usize, 1..14_usize, 0..30_usize, 1..10_usize), 0..5)
        ) {
            // Too narrow for the text.
            let mut picture = grey(64, 40);
            let parts: Vec<_> = parts.iter().map(|&(x, w, y, h)| region(x..x + w, y..y + h)).collect();
            draw(&mut picture, &Computed::Parts(&parts, &[]), 0.1, 0.2);
            for y in 0..40 {
                for x in 0..64 {
                    let is_part = parts.iter().any(|part| part.x.contains(&x) && part.y.contains(&y));
                    let [r, g, b] = pixel(&picture, x, y);
                    prop_assert_eq!(is_part, is_changed([r, g, b]));
                    prop_assert!(!is_part || (b > g && r > g), "{x}, {y}: {r} {g} {b}");
                }
            }
        }

        #[test]
        fn the_text_stays_inside_pictures_of_any_size(width in 1..200_usize, height in 1..300_usize) {
            draw(&mut grey(width, height), &Computed::Nothing, 0.0, 1.0);
            draw(&mut grey(width, height), &Computed::All, 1.0, 1.0);
        }
    }

    #[test]
    fn overlapping_parts_are_tinted_once() {
        let (mut one, mut two) = (grey(64, 40), grey(64, 40));
        let part = region(4..30, 6..30);
        mix(&mut one, std::slice::from_ref(&part), MAGENTA, 0.3);
        mix(&mut two, &[part.clone(), part], MAGENTA, 0.3);
        assert_eq!(one.data(), two.data());
    }

    #[test]
    fn a_whole_picture_has_another_colour_and_a_frame_around_it() {
        let mut picture = grey(64, 40);
        draw(&mut picture, &Computed::All, 1.0, 1.0);
        assert_eq!(changed(&picture).len(), 64 * 40);
        let [r, g, b] = pixel(&picture, 32, 20);
        assert!(r > g && g > b);
        for (x, y) in [(0, 0), (63, 39), (0, 20), (32, 2)] {
            for (value, wanted) in pixel(&picture, x, y).into_iter().zip(ORANGE) {
                assert!((value - wanted).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_repeat_shows_the_numbers_only_and_a_tiny_picture_not_even_these() {
        let mut tiny = grey(16, 16);
        draw(&mut tiny, &Computed::Nothing, 0.0, 0.3);
        assert_eq!(changed(&tiny), []);
        let mut picture = grey(426, 240);
        draw(&mut picture, &Computed::Nothing, 0.0, 0.3);
        let changed = changed(&picture);
        assert!(!changed.is_empty());
        assert!(changed.iter().all(|&(x, y)| x < 426 / 2 && y < 240 / 4));
    }

    #[test]
    fn the_text_is_as_large_as_the_picture_is_high_and_smaller_where_it_is_narrow() {
        let right_edge = |width: usize, height: usize| {
            let mut picture = grey(width, height);
            draw(&mut picture, &Computed::Nothing, 0.0, 0.3);
            changed(&picture).iter().map(|&(x, _)| x).max()
        };
        let (small, large) = (right_edge(355, 199).unwrap(), right_edge(853, 480).unwrap());
        assert_eq!(large + 1, 3 * (small + 1));
        assert_eq!(right_edge(120, 480), Some(small));
        assert_eq!(right_edge(60, 480), None);
    }

    #[test]
    fn parts_from_the_state_have_another_colour_and_two_lines_more() {
        let part = [region(300..340, 180..200)];
        let drawn = |layers: &[f64]| {
            let mut picture = grey(426, 240);
            draw(&mut picture, &Computed::Parts(&part, layers), 0.1, 0.3);
            picture
        };
        let (halos, state) = (drawn(&[]), drawn(&[0.01, 0.02, 0.03]));
        let [r, g, b] = pixel(&state, 320, 190);
        assert!(g > r && b > r && pixel(&halos, 320, 190)[1] < 0.5);
        let bottom = |picture: &PlanarRgb| {
            let text = changed(picture).into_iter().filter(|&(x, _)| x < 213);
            text.map(|(_, y)| y).max()
        };
        assert!(bottom(&state) > bottom(&halos));
    }

    #[test]
    fn every_share_is_written_in_its_own_way() {
        let written = |share: f64| {
            let mut picture = grey(426, 240);
            draw(&mut picture, &Computed::Nothing, share, 0.0);
            picture.data().to_vec()
        };
        let pictures: Vec<_> = (0..=1000)
            .step_by(37)
            .map(|n| written(f64::from(n) / 1000.0))
            .collect();
        for (n, one) in pictures.iter().enumerate() {
            assert!(!pictures[..n].contains(one), "{n}");
        }
    }
}
