//! When two pictures are nearly the same.

use crate::Hash256;
use crate::measure::Fingerprint;

/// How far apart two pictures may be that count as the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Most differing bits of the DCT hash.
    pub dct: u32,
    /// Most differing bits of the gradient hash.
    pub dhash: u32,
    /// Least contrast in levels; below it a picture is featureless, and its hashes are those of noise.
    pub min_contrast: f32,
    /// Most levels of brightness between two featureless pictures.
    pub brightness: f32,
}

impl Thresholds {
    /// The same hash; featureless pictures of the same brightness.
    pub const EXACT: Self = Self {
        dct: 0,
        dhash: 0,
        min_contrast: 3.0,
        brightness: 0.0,
    };
    /// What another encoder makes of a picture.
    pub const STRICT: Self = Self {
        dct: 16,
        brightness: 4.0,
        ..Self::EXACT
    };
    /// Smaller copies, logos and subtitles as well.
    pub const NORMAL: Self = Self {
        dct: 48,
        dhash: 32,
        ..Self::STRICT
    };
    /// Small movements as well.
    pub const LOOSE: Self = Self {
        dct: 64,
        dhash: 40,
        ..Self::STRICT
    };

    /// Whether there is something in the picture that hashes can tell from another. Featureless pictures match only
    /// each other.
    pub fn has_features(&self, print: &Fingerprint) -> bool {
        print.contrast >= self.min_contrast
    }

    /// Whether two pictures with features are nearly the same, by which hash (the DCT's first) and at which distance.
    /// Both are given as DCT and gradient hash.
    pub fn compare(&self, a: [&Hash256; 2], b: [&Hash256; 2]) -> Option<(Kind, u32)> {
        let dct = a[0].distance(b[0]);
        if dct <= self.dct {
            return Some((Kind::Dct, dct));
        }
        let dhash = a[1].distance(b[1]);
        (dhash <= self.dhash && is_telling(a[1], b[1], dhash)).then_some((Kind::Dhash, dhash))
    }
}

/// Least number of both kinds of bits for a gradient hash to say anything.
const LEAST_DETAIL: u32 = 16;

/// Whether two gradient hashes are as near as they are because the pictures are alike, and not because hardly anything is
/// in them: areas of one colour have no gradients, so two title cards with different words differ in a few bits only, and
/// all evenly falling tones have the same hash.
fn is_telling(a: &Hash256, b: &Hash256, distance: u32) -> bool {
    let detail = |hash: &Hash256| hash.ones().min(256 - hash.ones());
    let least = detail(a).min(detail(b));
    least >= LEAST_DETAIL && 2 * distance <= least
}

/// By what a picture was found to be nearly the same as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The DCT hash.
    Dct,
    /// The gradient hash.
    Dhash,
    /// The DCT hash of the mirrored picture.
    DctMirrored,
    /// The gradient hash of the mirrored picture.
    DhashMirrored,
    /// Both are featureless and equally bright.
    Featureless,
}

impl Kind {
    /// Its word in tables, such as `dct_mirrored`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dct => "dct",
            Self::Dhash => "dhash",
            Self::DctMirrored => "dct_mirrored",
            Self::DhashMirrored => "dhash_mirrored",
            Self::Featureless => "featureless",
        }
    }

    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Dct => Self::DctMirrored,
            Self::Dhash => Self::DhashMirrored,
            other => other,
        }
    }
}

/// An earlier picture that is nearly the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Its position in the index.
    pub position: usize,
    /// Differing bits; between featureless pictures levels of brightness.
    pub distance: f32,
    /// What found it.
    pub kind: Kind,
}

/// Distance and position of the nearest entry by each hash, the first of equally near ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    /// By the DCT hash.
    pub dct: (u32, usize),
    /// By the gradient hash.
    pub dhash: (u32, usize),
}
