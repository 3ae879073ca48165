//! Against the definitions, written down in f64 for one window or block at a time.

use super::*;
use framewright_media::PixelFormat;
use proptest::prelude::*;

/// A frame of luma samples in rows of `width`; chroma is flat.
fn frame(format: &str, width: usize, samples: &[u16]) -> Frame {
    let format = PixelFormat::from_name(format).unwrap();
    let height = samples.len() / width;
    let mut frame = Frame::alloc(format, width as u32, height as u32).unwrap();
    let (stride, wide) = (frame.stride(0), format.depth() > 8);
    let [luma, u, v] = frame.planes_mut();
    u.fill(1);
    v.fill(1);
    for (y, row) in samples.chunks(width).enumerate() {
        for (x, &sample) in row.iter().enumerate() {
            if wide {
                luma[y * stride + 2 * x..][..2].copy_from_slice(&sample.to_le_bytes());
            } else {
                luma[y * stride + x] = sample as u8;
            }
        }
    }
    frame
}

/// In 8-bit levels, row by row.
type Picture = Vec<Vec<f64>>;

fn cut(picture: &Picture, x: usize, y: usize, edge: usize) -> Picture {
    let rows = picture.iter().skip(y).take(edge);
    rows.map(|row| row.iter().skip(x).take(edge).copied().collect())
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn mse_by_definition(a: &Picture, b: &Picture) -> f64 {
    mean(
        a.iter()
            .flatten()
            .zip(b.iter().flatten())
            .map(|(a, b)| (a - b).powi(2)),
    )
}

/// None where there is no window.
fn ssim_by_definition(a: &Picture, b: &Picture) -> Option<f64> {
    let (width, height) = (a[0].len(), a.len());
    let places = (0..height.saturating_sub(7)).step_by(4);
    let places = places.flat_map(|y| (0..width.saturating_sub(7)).step_by(4).map(move |x| (x, y)));
    let windows: Vec<f64> = places
        .map(|(x, y)| {
            let (a, b) = (cut(a, x, y, 8).concat(), cut(b, x, y, 8).concat());
            let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
            let covariance = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| {
                let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
                products.sum::<f64>() / 63.0
            };
            let (c1, c2) = ((0.01 * 255.0_f64).powi(2), (0.03 * 255.0_f64).powi(2));
            let var = covariance(&a, mean_a, &a, mean_a) + covariance(&b, mean_b, &b, mean_b);
            let cov = covariance(&a, mean_a, &b, mean_b);
            (2.0 * mean_a * mean_b + c1) * (2.0 * cov + c2)
                / ((mean_a.powi(2) + mean_b.powi(2) + c1) * (var + c2))
        })
        .collect();
    (!windows.is_empty()).then(|| mean(windows.into_iter()))
}

/// Two pictures of `width` columns that are alike in part.
fn pairs(depth: u32) -> impl Strategy<Value = (usize, Vec<u16>, Vec<u16>)> {
    (8..80_usize, 8..70_usize).prop_flat_map(move |(width, height)| {
        let sample = 0..(1_u16 << depth);
        let samples = proptest::collection::vec(sample, width * height);
        (Just(width), samples.clone(), samples, 0..3_u8).prop_map(|(width, a, mut b, mix)| {
            for (place, b) in b.iter_mut().enumerate() {
                match mix {
                    0 => *b = a[place],
                    1 if place % 97 > 2 => *b = a[place],
                    _ => {}
                }
            }
            (width, a, b)
        })
    })
}

fn assert_is_by_definition(format: &str, depth: u32, width: usize, a: &[u16], b: &[u16]) {
    let found = difference(&frame(format, width, a), &frame(format, width, b));
    let level = f64::from(1_u32 << (depth - 8));
    let levels = |samples: &[u16]| -> Picture {
        let rows = samples.chunks(width);
        rows.map(|row| {
            row.iter()
                .map(|&sample| f64::from(sample) / level)
                .collect()
        })
        .collect()
    };
    let (a, b) = (levels(a), levels(b));
    let blocks: Vec<_> = (0..a.len())
        .step_by(32)
        .flat_map(|y| (0..width).step_by(32).map(move |x| (x, y)))
        .map(|(x, y)| (cut(&a, x, y, 32), cut(&b, x, y, 32)))
        .collect();
    let close = |found: f64, expected: f64| {
        assert!(
            (found - expected).abs() < 1e-9 * (1.0 + expected.abs()),
            "{found} is not {expected}"
        );
    };
    close(found.mse, mse_by_definition(&a, &b));
    close(found.ssim, ssim_by_definition(&a, &b).unwrap());
    let worst = blocks
        .iter()
        .map(|(a, b)| mse_by_definition(a, b))
        .fold(0.0, f64::max);
    close(found.worst_block_mse, worst);
    let with_windows = blocks.iter().filter_map(|(a, b)| ssim_by_definition(a, b));
    close(
        found.worst_block_ssim,
        with_windows.fold(f64::INFINITY, f64::min),
    );
    assert_eq!(found.exact, a == b);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn eight_bits_are_measured_by_the_definition((width, a, b) in pairs(8)) {
        assert_is_by_definition("yuv420p", 8, width, &a, &b);
    }

    #[test]
    fn ten_bits_are_measured_in_eight_bit_levels((width, a, b) in pairs(10)) {
        assert_is_by_definition("yuv420p10le", 10, width, &a, &b);
    }
}

#[test]
fn a_picture_is_exactly_itself_and_not_one_with_other_chroma() {
    let samples: Vec<u16> = (0..64 * 48).map(|n| n % 251).collect();
    let (a, mut b) = (
        frame("yuv420p", 64, &samples),
        frame("yuv420p", 64, &samples),
    );
    let found = difference(&a, &b);
    assert!(found.exact && found.mse == 0.0 && (found.ssim - 1.0).abs() < 1e-12);
    b.planes_mut()[2][5] += 1;
    let found = difference(&a, &b);
    assert!(!found.exact && found.mse == 0.0);
}

#[test]
fn sums_keep_the_worst_and_take_the_mean_of_the_error() {
    let of = |mse: f64, ssim: f64| Difference {
        exact: mse == 0.0,
        mse,
        ssim,
        worst_block_mse: 10.0 * mse,
        worst_block_ssim: ssim - 0.1,
    };
    let mut sums = Sums::default();
    assert_eq!(sums.quality(), None);
    sums.add(&of(0.0, 1.0));
    assert!(sums.quality().unwrap().exact);
    sums.add(&of(2.0, 0.8));
    let quality = sums.quality().unwrap();
    assert_eq!((quality.exact, quality.frames_that_differ), (false, 1));
    assert!((quality.psnr_db - psnr_db(1.0)).abs() < 1e-12);
    assert!((quality.psnr_db - 48.1308).abs() < 1e-4);
    assert!((quality.worst_frame_psnr_db - psnr_db(2.0)).abs() < 1e-12);
    assert!((quality.worst_block_psnr_db - psnr_db(20.0)).abs() < 1e-12);
    assert!((quality.ssim - 0.9).abs() < 1e-12 && (quality.worst_block_ssim - 0.7).abs() < 1e-12);
}
