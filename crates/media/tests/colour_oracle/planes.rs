//! Between the oracle's planes of numbers and the crate's bytes; random pictures; PSNR.

use super::oracle::Plane;
use framewright_media::PlanarRgb;
use framewright_media::colour::{Format, Planes, PlanesMut, from_rgb, to_rgb};

/// Numbers in 0..1, the same on every machine.
pub fn noise() -> impl FnMut() -> f64 {
    let mut state = 1_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    }
}

pub fn random_codes(format: Format, (width, height): (usize, usize)) -> [Plane; 3] {
    let mut noise = noise();
    let (columns, rows) = format.subsampling.chroma_size(width, height);
    [(width, height), (columns, rows), (columns, rows)].map(|(columns, rows)| {
        let codes = f64::from(1_u32 << format.depth);
        Plane::new(columns, rows, |_, _| (noise() * codes).floor())
    })
}

pub fn random_rgb((width, height): (usize, usize)) -> PlanarRgb {
    let mut noise = noise();
    let mut picture = PlanarRgb::new(width, height);
    picture
        .data_mut()
        .fill_with(|| (noise() * 1.2 - 0.1) as f32);
    picture
}

pub fn planes_of(picture: &PlanarRgb) -> [Plane; 3] {
    picture.planes().map(|plane| {
        Plane::new(picture.width(), picture.height(), |x, y| {
            f64::from(plane[y * picture.width() + x])
        })
    })
}

/// Bytes of codes, with `gap` bytes of `fill` after each row.
fn bytes(format: Format, plane: &Plane, gap: usize, fill: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in plane.values.chunks(plane.columns.max(1)) {
        for &value in row {
            match format.sample_bytes() {
                1 => bytes.push(value as u8),
                2 => bytes.extend((value as u16).to_le_bytes()),
                _ => bytes.extend((value as f32).to_le_bytes()),
            }
        }
        bytes.extend(vec![fill; gap]);
    }
    bytes
}

pub fn decode_with(format: Format, codes: &[Plane; 3], gap: usize) -> PlanarRgb {
    let planes = codes
        .each_ref()
        .map(|plane| bytes(format, plane, gap, 0xa5));
    let src = Planes {
        width: codes[0].columns,
        height: codes[0].rows,
        planes: planes.each_ref().map(Vec::as_slice),
        stride: codes
            .each_ref()
            .map(|plane| plane.columns * format.sample_bytes() + gap),
    };
    let mut picture = PlanarRgb::new(3, 3);
    to_rgb(&src, &format, &mut picture);
    picture
}

pub fn decode(format: Format, codes: &[Plane; 3]) -> PlanarRgb {
    decode_with(format, codes, 0)
}

pub fn encode_bytes(format: Format, picture: &PlanarRgb, gap: usize) -> [Vec<u8>; 3] {
    let (width, height) = (picture.width(), picture.height());
    let (columns, rows) = format.subsampling.chroma_size(width, height);
    let sizes = [(width, height), (columns, rows), (columns, rows)];
    let stride = sizes.map(|(columns, _)| columns * format.sample_bytes() + gap);
    let mut planes = [0, 1, 2].map(|p| vec![0xa5; stride[p] * sizes[p].1]);
    from_rgb(
        picture,
        &format,
        &mut PlanesMut {
            width,
            height,
            planes: planes.each_mut().map(Vec::as_mut_slice),
            stride,
        },
    );
    planes
}

pub fn encode(format: Format, picture: &PlanarRgb) -> [Vec<f64>; 3] {
    encode_bytes(format, picture, 0).map(|bytes| match format.sample_bytes() {
        1 => bytes.iter().map(|&byte| f64::from(byte)).collect(),
        2 => bytes
            .chunks(2)
            .map(|b| f64::from(u16::from_le_bytes([b[0], b[1]])))
            .collect(),
        _ => bytes
            .chunks(4)
            .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            .collect(),
    })
}

/// PSNR for a peak of 1.
#[derive(Default)]
pub struct Error {
    squares: f64,
    count: f64,
}

impl Error {
    pub fn add(&mut self, a: f64, b: f64) {
        assert!((a - b).is_finite(), "{a} where {b} is expected");
        self.squares += (a - b).powi(2);
        self.count += 1.0;
    }

    pub fn db(&self) -> f64 {
        assert!(self.count > 0.0);
        -10.0 * (self.squares / self.count).max(1e-30).log10()
    }
}
