//! Colour conversion against an oracle in f64 written from the definitions alone, and against published numbers.

#![expect(clippy::float_cmp, reason = "codes are whole numbers")]

#[path = "colour_oracle/oracle.rs"]
mod oracle;
#[path = "colour_oracle/planes.rs"]
mod planes;

use framewright_media::PlanarRgb;
use framewright_media::colour::{
    Format, Matrix, Planes, PlanesMut, Range, Siting, Subsampling, from_rgb, to_rgb,
};
use oracle::{Plane, levels, oracle_codes, oracle_rgb};
use planes::{
    Error, decode, decode_with, encode, encode_bytes, noise, planes_of, random_codes, random_rgb,
};

const SITINGS: [Siting; 6] = [
    Siting::LEFT,
    Siting::CENTRE,
    Siting::TOP_LEFT,
    Siting::TOP,
    Siting::BOTTOM_LEFT,
    Siting::BOTTOM,
];
const MATRICES: [Matrix; 5] = [
    Matrix::Bt601,
    Matrix::Bt709,
    Matrix::Bt2020Ncl,
    Matrix::Fcc,
    Matrix::Smpte240m,
];
const SUBSAMPLINGS: [Subsampling; 3] = [
    Subsampling::Yuv420,
    Subsampling::Yuv422,
    Subsampling::Yuv444,
];
const RANGES: [Range; 2] = [Range::Limited, Range::Full];
const SIZES: [(usize, usize); 10] = [
    (1, 1),
    (1, 2),
    (2, 1),
    (2, 2),
    (3, 5),
    (16, 8),
    (17, 9),
    (1, 33),
    (131, 7),
    (132, 6),
];

/// Every YUV format of these depths.
fn formats(depths: &[u8]) -> Vec<Format> {
    let mut all = Vec::new();
    for &depth in depths {
        for subsampling in SUBSAMPLINGS {
            for matrix in MATRICES {
                for range in RANGES {
                    all.extend(SITINGS.map(|siting| Format {
                        subsampling,
                        depth,
                        matrix,
                        range,
                        siting,
                    }));
                }
            }
        }
    }
    all
}

fn bt709(subsampling: Subsampling, depth: u8, range: Range) -> Format {
    Format {
        subsampling,
        depth,
        matrix: Matrix::Bt709,
        range,
        siting: Siting::LEFT,
    }
}

#[test]
fn rgb_of_random_codes_is_the_oracles() {
    let mut worst = f64::INFINITY;
    for format in formats(&[8, 10, 12, 16]) {
        let mut error = Error::default();
        for size in SIZES {
            let codes = random_codes(format, size);
            let picture = decode(format, &codes);
            assert_eq!((picture.width(), picture.height()), size);
            for (plane, expected) in picture.planes().into_iter().zip(oracle_rgb(format, &codes)) {
                plane
                    .iter()
                    .zip(expected.values)
                    .for_each(|(&a, b)| error.add(f64::from(a), b));
            }
        }
        assert!(error.db() > 130.0, "{:.1} dB for {format:?}", error.db());
        worst = worst.min(error.db());
    }
    println!("codes to RGB: {worst:.1} dB in the worst format");
}

#[test]
fn yuv_of_random_rgb_is_the_oracles_before_quantisation() {
    let mut worst = f64::INFINITY;
    for format in formats(&[Format::FLOAT]) {
        let mut error = Error::default();
        for size in SIZES {
            let picture = random_rgb(size);
            for (plane, expected) in encode(format, &picture)
                .into_iter()
                .zip(oracle_codes(format, &planes_of(&picture)))
            {
                assert_eq!(plane.len(), expected.values.len());
                plane
                    .iter()
                    .zip(expected.values)
                    .for_each(|(&a, b)| error.add(a, b));
            }
        }
        assert!(error.db() > 130.0, "{:.1} dB for {format:?}", error.db());
        worst = worst.min(error.db());
    }
    println!("RGB to YUV: {worst:.1} dB in the worst format");
}

#[test]
fn codes_of_random_rgb_are_the_oracles_rounded_to_the_nearest() {
    for format in formats(&[8, 10, 12, 16]) {
        let highest = f64::from((1_u32 << format.depth) - 1);
        // f32 holds 24 bits, so 16-bit codes cannot be told apart closer than a few 2⁻⁸ from the middle
        let blur = highest * 4e-7;
        for size in SIZES {
            let picture = random_rgb(size);
            for (plane, expected) in encode(format, &picture)
                .into_iter()
                .zip(oracle_codes(format, &planes_of(&picture)))
            {
                for (&code, exact) in plane.iter().zip(expected.values) {
                    let distance = (code - exact.clamp(0.0, highest)).abs();
                    assert!(distance <= 0.5 + blur, "{code} for {exact} in {format:?}");
                }
            }
        }
    }
}

#[test]
fn unquantised_planes_decode_to_the_oracles_rgb() {
    for format in formats(&[Format::FLOAT]) {
        for size in SIZES {
            let picture = random_rgb(size);
            let codes = oracle_codes(format, &planes_of(&picture));
            let mut error = Error::default();
            for (plane, expected) in decode(format, &codes)
                .planes()
                .into_iter()
                .zip(oracle_rgb(format, &codes))
            {
                plane
                    .iter()
                    .zip(expected.values)
                    .for_each(|(&a, b)| error.add(f64::from(a), b));
            }
            assert!(error.db() > 130.0, "{:.1} dB for {format:?}", error.db());
        }
    }
}

#[test]
fn a_grey_ramp_comes_in_grey_unbiased_and_goes_back_to_its_own_codes() {
    for format in formats(&[8, 10, 16]) {
        let (scale, zero) = levels(format, 0);
        let (_, neutral) = levels(format, 1);
        let codes: Vec<f64> = (zero as u32..=(zero + scale) as u32)
            .map(f64::from)
            .collect();
        let (columns, rows) = format.subsampling.chroma_size(codes.len(), 2);
        let chroma = Plane::new(columns, rows, |_, _| neutral);
        let ramp = [
            Plane::new(codes.len(), 2, |x, _| codes[x]),
            chroma.clone(),
            chroma,
        ];

        let picture = decode(format, &ramp);
        let [r, g, b] = picture.planes();
        assert!(r == g && g == b, "not grey in {format:?}");
        for (&value, code) in r.iter().zip(&codes) {
            let bias = (f64::from(value) - (code - zero) / scale) * 255.0;
            assert!(bias.abs() < 1e-4, "{bias} levels at {code} in {format:?}");
        }

        let back = encode(format, &picture);
        for (plane, original) in back.iter().zip(&ramp) {
            assert!(
                *plane == original.values,
                "not the same codes in {format:?}"
            );
        }
    }
}

#[test]
fn an_8_bit_rgb_grey_ramp_goes_out_with_a_bias_below_a_fifth_of_a_level() {
    for format in formats(&[8, 10]) {
        let mut ramp = PlanarRgb::new(256, 2);
        for (i, value) in ramp.data_mut().iter_mut().enumerate() {
            *value = (i % 256) as f32 / 255.0;
        }
        let (scale, zero) = levels(format, 0);
        let (_, neutral) = levels(format, 1);
        let [luma, u, v] = encode(format, &ramp);
        let level = f64::from(1_u32 << (format.depth - 8));
        let errors = luma
            .iter()
            .enumerate()
            .map(|(i, code)| code - (zero + scale * (i % 256) as f64 / 255.0));
        let bias = errors.clone().sum::<f64>() / luma.len() as f64 / level;
        assert!(bias.abs() < 0.02, "{bias} levels in {format:?}");
        assert!(errors.into_iter().all(|error| error.abs() <= 0.5001));
        assert!(
            u.iter().chain(&v).all(|&code| code == neutral),
            "coloured in {format:?}"
        );
    }
}

/// White, yellow, cyan, green, magenta, red, blue, black at 75 %.
const BARS: [[f32; 3]; 8] = [
    [0.75, 0.75, 0.75],
    [0.75, 0.75, 0.0],
    [0.0, 0.75, 0.75],
    [0.0, 0.75, 0.0],
    [0.75, 0.0, 0.75],
    [0.75, 0.0, 0.0],
    [0.0, 0.0, 0.75],
    [0.0, 0.0, 0.0],
];

fn assert_bars(format: Format, expected: [[u16; 3]; 8]) {
    for (rgb, codes) in BARS.into_iter().zip(expected) {
        let mut patch = PlanarRgb::new(4, 4);
        patch
            .planes_mut()
            .into_iter()
            .zip(rgb)
            .for_each(|(plane, value)| plane.fill(value));
        let planes = encode(format, &patch);
        for (plane, code) in planes.iter().zip(codes) {
            assert!(
                plane.iter().all(|&found| found == f64::from(code)),
                "{planes:?} where {codes:?} is expected"
            );
        }
        let flat = [0, 1, 2].map(|p| {
            let (columns, rows) = if p == 0 {
                (4, 4)
            } else {
                format.subsampling.chroma_size(4, 4)
            };
            Plane::new(columns, rows, |_, _| f64::from(codes[p]))
        });
        // half a code of luma, and half a code of chroma at up to twice its weight
        for (plane, value) in decode(format, &flat).planes().into_iter().zip(rgb) {
            assert!(
                plane
                    .iter()
                    .all(|&found| (found - value).abs() < 1.5 / 219.0),
                "{plane:?} for {value}"
            );
        }
    }
}

#[test]
fn bt709_colour_bars_have_the_codes_of_smpte_rp_219() {
    let ten_bits = [
        [721, 512, 512],
        [674, 176, 543],
        [581, 589, 176],
        [534, 253, 207],
        [251, 771, 817],
        [204, 435, 848],
        [111, 848, 481],
        [64, 512, 512],
    ];
    for subsampling in SUBSAMPLINGS {
        assert_bars(bt709(subsampling, 10, Range::Limited), ten_bits);
    }
}

#[test]
fn bt601_colour_bars_have_their_published_codes() {
    let eight_bits = [
        [180, 128, 128],
        [162, 44, 142],
        [131, 156, 44],
        [112, 72, 58],
        [84, 184, 198],
        [65, 100, 212],
        [35, 212, 114],
        [16, 128, 128],
    ];
    for subsampling in SUBSAMPLINGS {
        assert_bars(
            Format {
                matrix: Matrix::Bt601,
                ..bt709(subsampling, 8, Range::Limited)
            },
            eight_bits,
        );
    }
}

#[test]
fn bytes_between_rows_are_neither_read_nor_written() {
    for format in formats(&[8, 10]).into_iter().step_by(7) {
        let codes = random_codes(format, (13, 7));
        let picture = decode(format, &codes);
        let tight = encode_bytes(format, &picture, 0);
        for gap in [1, 6, 64] {
            assert!(
                decode_with(format, &codes, gap) == picture,
                "{gap} bytes changed the picture in {format:?}"
            );
            let wide = encode_bytes(format, &picture, gap);
            for (p, (wide, tight)) in wide.iter().zip(&tight).enumerate() {
                let columns = if p == 0 {
                    13
                } else {
                    format.subsampling.chroma_size(13, 7).0
                };
                let row = columns * format.sample_bytes();
                for (wide, tight) in wide.chunks(row + gap).zip(tight.chunks(row)) {
                    assert_eq!(&wide[..row], tight);
                    assert!(
                        wide[row..].iter().all(|&byte| byte == 0xa5),
                        "wrote past a row in {format:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_last_row_may_end_with_its_samples() {
    let format = bt709(Subsampling::Yuv420, 8, Range::Limited);
    let planes = [vec![100; 8 + 3], vec![128; 2], vec![128; 2]];
    let views = planes.each_ref().map(Vec::as_slice);
    let mut picture = PlanarRgb::default();
    to_rgb(
        &Planes {
            width: 3,
            height: 2,
            planes: views,
            stride: [8, 9, 9],
        },
        &format,
        &mut picture,
    );
    let mut back = planes.clone();
    let views = back.each_mut().map(Vec::as_mut_slice);
    from_rgb(
        &picture,
        &format,
        &mut PlanesMut {
            width: 3,
            height: 2,
            planes: views,
            stride: [8, 9, 9],
        },
    );
    assert_eq!(back, planes);
}

#[test]
fn rgb_outside_0_to_1_goes_out_as_if_clamped_and_nan_as_0() {
    let values = [
        (f32::NAN, 0.0),
        (f32::NEG_INFINITY, 0.0),
        (f32::INFINITY, 1.0),
        (-3.0, 0.0),
        (1e9, 1.0),
        (0.4, 0.4),
    ];
    for format in formats(&[8, 10, Format::FLOAT]) {
        let (mut wild, mut tame) = (PlanarRgb::new(19, 5), PlanarRgb::new(19, 5));
        for (i, (wild, tame)) in wild.data_mut().iter_mut().zip(tame.data_mut()).enumerate() {
            (*wild, *tame) = values[i * 7 % 11 % values.len()];
        }
        assert_eq!(
            encode_bytes(format, &wild, 0),
            encode_bytes(format, &tame, 0),
            "{format:?}"
        );
    }
}

#[test]
fn codes_outside_the_nominal_range_come_in_unclamped() {
    let format = bt709(Subsampling::Yuv444, 8, Range::Limited);
    let flat = |code| Plane::new(2, 2, |_, _| code);
    let black = decode(format, &[flat(0.0), flat(128.0), flat(128.0)]).data()[0];
    let white = decode(format, &[flat(255.0), flat(128.0), flat(128.0)]).data()[0];
    assert!((black - -16.0 / 219.0).abs() < 1e-6 && (white - 239.0 / 219.0).abs() < 1e-6);
}

#[test]
fn gbr_planes_are_taken_in_ffmpegs_order_and_given_back_unchanged() {
    for (depth, range) in [
        (8, Range::Full),
        (8, Range::Limited),
        (10, Range::Full),
        (16, Range::Limited),
    ] {
        let format = Format {
            matrix: Matrix::Rgb,
            ..bt709(Subsampling::Yuv444, depth, range)
        };
        let (scale, zero) = levels(format, 0);
        let mut noise = noise();
        let codes = [0, 1, 2].map(|_| Plane::new(11, 3, |_, _| (noise() * scale).round() + zero));
        let picture = decode(format, &codes);
        for (channel, plane) in [(0, 2), (1, 0), (2, 1)] {
            for (&value, code) in picture.planes()[channel].iter().zip(&codes[plane].values) {
                assert!((f64::from(value) - (code - zero) / scale).abs() < 1e-6);
            }
        }
        assert_eq!(encode(format, &picture), codes.map(|plane| plane.values));
    }
}

#[test]
fn gray_gives_three_equal_channels_and_takes_luma() {
    for matrix in [Matrix::Bt601, Matrix::Rgb] {
        let format = Format {
            matrix,
            ..bt709(Subsampling::Gray, 8, Range::Full)
        };
        let luma = Plane::new(17, 3, |x, y| (x * 15 + y) as f64);
        let empty = Plane::new(0, 0, |_, _| 0.0);
        let picture = decode(format, &[luma.clone(), empty.clone(), empty]);
        let [r, g, b] = picture.planes();
        assert!(r == g && g == b);
        assert_eq!(encode(format, &picture)[0], luma.values);
        let colours = random_rgb((17, 3));
        let expected = oracle_codes(format, &planes_of(&colours));
        for (&code, exact) in encode(format, &colours)[0].iter().zip(&expected[0].values) {
            assert!((code - exact).abs() <= 0.501);
        }
    }
}

#[test]
fn an_empty_picture_is_no_trouble() {
    let format = bt709(Subsampling::Yuv420, 8, Range::Limited);
    let mut picture = PlanarRgb::new(4, 4);
    to_rgb(
        &Planes {
            width: 0,
            height: 4,
            planes: [&[], &[], &[]],
            stride: [0; 3],
        },
        &format,
        &mut picture,
    );
    assert_eq!((picture.width(), picture.height()), (0, 4));
    let mut dst = PlanesMut {
        width: 0,
        height: 4,
        planes: [&mut [], &mut [], &mut []],
        stride: [0; 3],
    };
    from_rgb(&picture, &format, &mut dst);
}

#[test]
#[should_panic(expected = "plane 1: 5 bytes where 6 are needed")]
fn a_plane_that_is_too_short_is_refused() {
    let format = bt709(Subsampling::Yuv420, 8, Range::Limited);
    let planes = [&[0; 20][..], &[0; 5], &[0; 6]];
    to_rgb(
        &Planes {
            width: 5,
            height: 4,
            planes,
            stride: [5, 3, 3],
        },
        &format,
        &mut PlanarRgb::default(),
    );
}

#[test]
#[should_panic(expected = "plane 0: a stride of 9 bytes for rows of 10")]
fn a_stride_below_the_row_is_refused() {
    let format = bt709(Subsampling::Yuv420, 10, Range::Limited);
    let planes = [&[0; 99][..]; 3];
    to_rgb(
        &Planes {
            width: 5,
            height: 4,
            planes,
            stride: [9, 6, 6],
        },
        &format,
        &mut PlanarRgb::default(),
    );
}

#[test]
#[should_panic(expected = "subsampled RGB")]
fn rgb_with_subsampled_chroma_is_refused() {
    let format = Format {
        matrix: Matrix::Rgb,
        ..bt709(Subsampling::Yuv420, 8, Range::Full)
    };
    decode(format, &random_codes(format, (4, 4)));
}
