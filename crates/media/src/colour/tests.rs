//! Every instruction set gives the bits of the portable one. What those bits should be, `tests/colour_oracle.rs` says.

use super::*;
use crate::noise::noise;
use proptest::prelude::*;

#[derive(Debug)]
struct Case {
    format: Format,
    width: usize,
    height: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let subsampling = prop::sample::select(vec![
        Subsampling::Yuv420,
        Subsampling::Yuv422,
        Subsampling::Yuv444,
        Subsampling::Gray,
    ]);
    let siting = prop::sample::select(vec![
        Siting::LEFT,
        Siting::CENTRE,
        Siting::TOP_LEFT,
        Siting::BOTTOM,
    ]);
    let depth = prop::sample::select(vec![8_u8, 10, 16, Format::FLOAT]);
    let range = prop::sample::select(vec![Range::Limited, Range::Full]);
    (
        subsampling,
        siting,
        depth,
        range,
        any::<bool>(),
        1_usize..90,
        1_usize..9,
        any::<u64>(),
    )
        .prop_map(
            |(subsampling, siting, depth, range, rgb, width, height, seed)| {
                let planar = rgb && matches!(subsampling, Subsampling::Yuv444 | Subsampling::Gray);
                let matrix = if planar { Matrix::Rgb } else { Matrix::Bt709 };
                Case {
                    format: Format {
                        subsampling,
                        depth,
                        matrix,
                        range,
                        siting,
                    },
                    width,
                    height,
                    seed,
                }
            },
        )
}

impl Case {
    /// Planes of some bytes with a few bytes between the rows.
    fn planes(&self) -> ([Vec<u8>; 3], [usize; 3]) {
        let mut noise = noise(self.seed);
        let mut stride = [0; 3];
        let planes = std::array::from_fn(|index| {
            let (columns, rows) = self.format.plane_size(index, self.width, self.height);
            stride[index] = columns * self.format.sample_bytes() + index;
            // a float made of any bytes may be NaN, whose bits may differ: keep to small normal numbers
            let keep = |i: usize| {
                if self.format.depth == Format::FLOAT && i % 4 == 3 {
                    0x3e
                } else {
                    0xff
                }
            };
            noise
                .by_ref()
                .take(stride[index] * rows)
                .enumerate()
                .map(|(i, n)| n as u8 & keep(i))
                .collect()
        });
        (planes, stride)
    }

    fn rgb(&self) -> PlanarRgb {
        let mut picture = PlanarRgb::new(self.width, self.height);
        for (value, n) in picture.data_mut().iter_mut().zip(noise(self.seed)) {
            *value = match n % 64 {
                0 => f32::NAN,
                1 => f32::NEG_INFINITY,
                _ => (n as f32 / (1_u64 << 31) as f32) * 1.4 - 0.2,
            };
        }
        picture
    }
}

proptest! {
    #[test]
    fn every_isa_decodes_to_the_bits_of_the_portable_one(case in cases()) {
        let (planes, mut stride) = case.planes();
        if case.format.depth == Format::FLOAT {
            // rows off the four-byte grid would put any byte into the exponent
            stride = [0, 1, 2].map(|i| case.format.plane_size(i, case.width, case.height).0 * 4);
        }
        let src = Planes {
            width: case.width, height: case.height, planes: planes.each_ref().map(Vec::as_slice), stride,
        };
        let whole = Region::whole(case.width, case.height);
        let mut expected = PlanarRgb::default();
        to_rgb_on(Isa::Portable, &src, case.format, &whole, &mut expected);
        for isa in Isa::available() {
            let mut picture = PlanarRgb::default();
            to_rgb_on(isa, &src, case.format, &whole, &mut picture);
            prop_assert!(picture == expected, "{isa:?}");
        }
    }

    #[test]
    fn every_isa_encodes_to_the_bytes_of_the_portable_one(case in cases()) {
        let (rgb, whole) = (case.rgb(), Region::whole(case.width, case.height));
        let src = Source { rgb: &rgb, have: &whole };
        let encode = |isa| {
            let (mut planes, stride) = case.planes();
            let mut dst = PlanesMut {
                width: case.width, height: case.height, planes: planes.each_mut().map(Vec::as_mut_slice), stride,
            };
            from_rgb_on(isa, &src, case.format, &whole, &mut dst);
            planes
        };
        let expected = encode(Isa::Portable);
        for isa in Isa::available() {
            prop_assert!(encode(isa) == expected, "{isa:?}");
        }
    }
}
