//! From a plane of luma to what is kept of it.
//!
//! ```text
//! luma ─▶ 128×128, area filter ─┬▶ DCT, 16×16 low frequencies ─▶ dct, 256 bits
//!   │                           ├▶ 17×16, area filter ─▶ gradients ─▶ dhash, 256 bits
//!   │                           └▶ 64×64 ─▶ thumbnail, contrast, brightness
//!   └▶ Laplacian ─▶ sharpness; black rows and columns ─▶ border
//! ```
//! Invariant: all of it is integer arithmetic up to the last division or root, so every machine gives the same bits.

mod dct;
mod dhash;
mod resize;
mod scores;

use crate::Hash256;
use crate::isa::Isa;
use crate::luma::Luma;
use dct::Coefficients;

/// Pixels along each side of the reduced picture.
const SIDE: usize = 128;
/// Pixels along each side of the thumbnail.
pub const THUMBNAIL_SIDE: usize = 64;
/// Parts of a level in the reduced picture.
const PARTS: u32 = 64;

/// The reduced picture, row by row: levels of 0 to 255 in 1/64.
type Reduced = [u16; SIDE * SIDE];

fn new_reduced() -> Box<Reduced> {
    let zeros = vec![0; SIDE * SIDE].into_boxed_slice();
    zeros.try_into().expect("the length of the type")
}

/// What tells whether two pictures are nearly the same.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fingerprint {
    /// Signs of the low frequencies.
    pub dct: Hash256,
    /// Signs of the gradients from left to right.
    pub dhash: Hash256,
    /// Standard deviation of the thumbnail in levels: low = featureless, and then the hashes say nothing.
    pub contrast: f32,
    /// Mean level, 0 = black to 255 = white.
    pub brightness: f32,
}

/// How a picture looks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    /// Variance of the Laplacian (4 neighbours) at full size, in squared levels: low = blurred.
    pub sharpness: f32,
    /// Mean level, 0 = black to 255 = white.
    pub brightness: f32,
    /// Standard deviation of the thumbnail in levels.
    pub contrast: f32,
    /// Share of the picture in black rows and columns at its borders, 0 to 1.
    pub border: f32,
}

/// Measures one picture after the other on memory of its own.
#[derive(Debug)]
pub struct Measurer {
    isa: Isa,
    reducer: resize::Reducer,
    reduced: Box<Reduced>,
    thumbnail: Box<[u8; THUMBNAIL_SIDE * THUMBNAIL_SIDE]>,
    column_counts: Vec<u16>,
}

impl Default for Measurer {
    fn default() -> Self {
        Self::new()
    }
}

impl Measurer {
    /// Without a picture yet.
    pub fn new() -> Self {
        Self::with(Isa::best())
    }

    fn with(isa: Isa) -> Self {
        Self {
            isa,
            reducer: resize::Reducer::default(),
            reduced: new_reduced(),
            thumbnail: Box::new([0; THUMBNAIL_SIDE * THUMBNAIL_SIDE]),
            column_counts: Vec::new(),
        }
    }

    /// Takes a picture in: reduces it, as all that is asked of it afterwards needs.
    ///
    /// # Panics
    /// When the plane does not hold what its fields say.
    pub fn see<'a>(&'a mut self, luma: &Luma<'a>) -> Seen<'a> {
        luma.check();
        self.reducer.reduce(self.isa, luma, &mut self.reduced);
        let tone = thumbnail(&self.reduced, &mut self.thumbnail);
        Seen {
            isa: self.isa,
            luma: *luma,
            reduced: &self.reduced,
            thumbnail: &self.thumbnail,
            column_counts: &mut self.column_counts,
            coefficients: None,
            tone,
        }
    }

    /// The fingerprint of a picture.
    pub fn fingerprint(&mut self, luma: &Luma<'_>) -> Fingerprint {
        self.see(luma).fingerprint()
    }

    /// The scores of a picture.
    pub fn scores(&mut self, luma: &Luma<'_>) -> Scores {
        self.see(luma).scores()
    }
}

/// A picture that was taken in; each part is computed when it is asked for.
#[derive(Debug)]
pub struct Seen<'a> {
    isa: Isa,
    luma: Luma<'a>,
    reduced: &'a Reduced,
    thumbnail: &'a [u8; THUMBNAIL_SIDE * THUMBNAIL_SIDE],
    column_counts: &'a mut Vec<u16>,
    coefficients: Option<Box<Coefficients>>,
    tone: Tone,
}

impl Seen<'_> {
    /// The picture in 64×64 levels of 0 to 255, row by row.
    pub fn thumbnail(&self) -> &[u8; THUMBNAIL_SIDE * THUMBNAIL_SIDE] {
        self.thumbnail
    }

    /// Its fingerprint.
    pub fn fingerprint(&mut self) -> Fingerprint {
        self.print(false)
    }

    /// The fingerprint of the picture turned left to right.
    pub fn mirrored(&mut self) -> Fingerprint {
        self.print(true)
    }

    fn print(&mut self, mirrored: bool) -> Fingerprint {
        let (isa, reduced) = (self.isa, self.reduced);
        let coefficients = self
            .coefficients
            .get_or_insert_with(|| dct::coefficients(isa, reduced));
        Fingerprint {
            dct: dct::hash(coefficients, mirrored),
            dhash: dhash::hash(reduced, mirrored),
            contrast: self.tone.contrast,
            brightness: self.tone.brightness,
        }
    }

    /// Its scores; reads the picture at full size.
    pub fn scores(&mut self) -> Scores {
        Scores {
            sharpness: scores::sharpness(self.isa, &self.luma),
            brightness: self.tone.brightness,
            contrast: self.tone.contrast,
            border: scores::border(self.isa, &self.luma, self.column_counts),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Tone {
    contrast: f32,
    brightness: f32,
}

/// Means of 2×2 pixels; their spread and mean are taken before they are rounded.
fn thumbnail(reduced: &Reduced, out: &mut [u8; THUMBNAIL_SIDE * THUMBNAIL_SIDE]) -> Tone {
    let (mut total, mut squares) = (0_u64, 0_u64);
    let pairs = reduced.chunks_exact(2 * SIDE);
    for (rows, out) in pairs.zip(out.chunks_exact_mut(THUMBNAIL_SIDE)) {
        let (upper, lower) = rows.split_at(SIDE);
        let (upper, lower) = (upper.chunks_exact(2), lower.chunks_exact(2));
        for ((upper, lower), out) in upper.zip(lower).zip(out) {
            let sum = u32::from(upper[0])
                + u32::from(upper[1])
                + u32::from(lower[0])
                + u32::from(lower[1]);
            *out = ((sum + 2 * PARTS) / (4 * PARTS)) as u8;
            total += u64::from(sum);
            squares += u64::from(sum) * u64::from(sum);
        }
    }
    let n = (THUMBNAIL_SIDE * THUMBNAIL_SIDE) as u64;
    let level = f64::from(4 * PARTS);
    let variance = (n * squares - total * total) as f64 / (n * n) as f64;
    Tone {
        contrast: (variance.sqrt() / level) as f32,
        brightness: (total as f64 / n as f64 / level) as f32,
    }
}

#[cfg(test)]
mod tests;
