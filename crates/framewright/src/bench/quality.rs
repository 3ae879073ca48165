//! How far is a picture from another? Peak signal-to-noise ratio and structural similarity of the luma, in 8-bit levels.
//!
//! PSNR is 10·log10(255² / MSE). SSIM is that of Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality
//! assessment: from error visibility to structural similarity", IEEE Transactions on Image Processing 13(4), 2004, with
//! K1 = 0.01 and K2 = 0.03, in windows of 8×8 pixels of equal weight, one every 4 pixels: the windows of ffmpeg's filter
//! `ssim`. The numbers for a *block* of 32×32 pixels are those of that block as a picture of its own; a whole frame hides
//! a spoilt eye in its mean.

use framewright_media::Frame;
use serde::Serialize;

/// Edge of a block, in pixels.
const BLOCK: usize = 32;
/// Distance between windows and half their edge, in pixels.
const STEP: usize = 4;
/// Steps in a block.
const STEPS: usize = BLOCK / STEP;

/// How far one picture is from another of the same size and format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Whether every sample of every plane is the same.
    pub exact: bool,
    /// Mean squared difference of the luma.
    pub mse: f64,
    /// SSIM of the luma; NaN for a picture that has no window.
    pub ssim: f64,
    /// The largest MSE of a block. Blocks at the right and lower edge may be smaller.
    pub worst_block_mse: f64,
    /// The smallest SSIM of a block; infinite where no block has a window.
    pub worst_block_ssim: f64,
}

/// Compares two pictures; of RGB, the green takes the place of luma.
///
/// # Panics
/// When sizes or formats differ.
pub fn difference(a: &Frame, b: &Frame) -> Difference {
    let format = |frame: &Frame| (frame.pixel_format(), frame.width(), frame.height());
    assert_eq!(format(a), format(b), "pictures of one size and format");
    let (a_luma, b_luma) = (Luma::of(a), Luma::of(b));
    let (mse, worst_block_mse) = errors(&a_luma, &b_luma);
    let (ssim, worst_block_ssim) = similarity(&a_luma, &b_luma);
    Difference {
        exact: mse == 0.0 && has_same_chroma(a, b),
        mse,
        ssim,
        worst_block_mse,
        worst_block_ssim,
    }
}

/// Differences of many frames, summed up.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    n_frames: u64,
    inexact: u64,
    mse: f64,
    ssim: f64,
    worst: Option<Difference>,
}

/// What many frames come to. PSNR in dB; infinite where nothing differs, which is `null` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Whether no sample of any frame differs.
    pub exact: bool,
    /// Frames of which a sample differs.
    pub frames_that_differ: u64,
    /// Of the mean of the frames' MSE.
    pub psnr_db: f64,
    /// Of the frame where it is lowest.
    pub worst_frame_psnr_db: f64,
    /// Of the block where it is lowest.
    pub worst_block_psnr_db: f64,
    /// The mean of the frames'.
    pub ssim: f64,
    /// Of the frame where it is lowest.
    pub worst_frame_ssim: f64,
    /// Of the block where it is lowest.
    pub worst_block_ssim: f64,
}

impl Sums {
    /// Counts a frame.
    pub fn add(&mut self, frame: &Difference) {
        self.n_frames += 1;
        self.inexact += u64::from(!frame.exact);
        self.mse += frame.mse;
        self.ssim += frame.ssim;
        let worst = self.worst.get_or_insert(*frame);
        worst.mse = worst.mse.max(frame.mse);
        worst.ssim = worst.ssim.min(frame.ssim);
        worst.worst_block_mse = worst.worst_block_mse.max(frame.worst_block_mse);
        worst.worst_block_ssim = worst.worst_block_ssim.min(frame.worst_block_ssim);
    }

    /// What it comes to; none for no frames.
    pub fn quality(&self) -> Option<Quality> {
        let worst = self.worst?;
        let n_frames = self.n_frames as f64;
        Some(Quality {
            exact: self.inexact == 0,
            frames_that_differ: self.inexact,
            psnr_db: psnr_db(self.mse / n_frames),
            worst_frame_psnr_db: psnr_db(worst.mse),
            worst_block_psnr_db: psnr_db(worst.worst_block_mse),
            ssim: self.ssim / n_frames,
            worst_frame_ssim: worst.ssim,
            worst_block_ssim: worst.worst_block_ssim,
        })
    }
}

/// PSNR for a mean squared error in 8-bit levels; infinite for none.
pub fn psnr_db(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

/// The first plane, without padding.
struct Luma {
    width: usize,
    samples: Vec<u16>,
    /// Samples to an 8-bit level.
    level: f64,
}

impl Luma {
    fn of(frame: &Frame) -> Self {
        let depth = frame.pixel_format().depth();
        let rows = frame.planes()[0].chunks(frame.stride(0));
        let samples = rows.take(frame.height()).flat_map(|row| {
            let wide = depth > 8;
            (0..frame.width()).map(move |x| {
                if wide {
                    u16::from_le_bytes([row[2 * x], row[2 * x + 1]])
                } else {
                    u16::from(row[x])
                }
            })
        });
        Self {
            width: frame.width(),
            samples: samples.collect(),
            level: f64::from(1_u32 << (depth - 8)),
        }
    }
}

fn has_same_chroma(a: &Frame, b: &Frame) -> bool {
    let format = a.pixel_format();
    let sample_bytes = if format.depth() > 8 { 2 } else { 1 };
    let shift = if format.is_rgb() {
        0
    } else {
        format.chroma_shift().0
    };
    let width = sample_bytes * a.width().div_ceil(1 << shift);
    (1..3).all(|plane| {
        (0..a.rows(plane)).all(|y| {
            let row = |frame: &Frame| y * frame.stride(plane)..y * frame.stride(plane) + width;
            a.planes()[plane][row(a)] == b.planes()[plane][row(b)]
        })
    })
}

/// MSE of the picture, and of the block where it is largest.
fn errors(a: &Luma, b: &Luma) -> (f64, f64) {
    let n_blocks = a.width.div_ceil(BLOCK);
    let scale = 1.0 / (a.level * a.level);
    let (mut total, mut worst) = (0, 0.0_f64);
    for (a_band, b_band) in a
        .samples
        .chunks(BLOCK * a.width)
        .zip(b.samples.chunks(BLOCK * a.width))
    {
        let mut sums = vec![0_u64; n_blocks];
        for (a_row, b_row) in a_band.chunks(a.width).zip(b_band.chunks(a.width)) {
            let pairs = a_row.chunks(BLOCK).zip(b_row.chunks(BLOCK));
            for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                let squares = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
                *sum += squares.sum::<u64>();
            }
        }
        let n_rows = a_band.len() / a.width;
        for (block, &sum) in sums.iter().enumerate() {
            let n_columns = BLOCK.min(a.width - block * BLOCK);
            worst = worst.max(sum as f64 * scale / (n_columns * n_rows) as f64);
        }
        total += sums.iter().sum::<u64>();
    }
    (total as f64 * scale / a.samples.len() as f64, worst)
}

/// Sums over pixels: Σa, Σb, Σ(a² + b²), Σab.
type Moments = [u64; 4];

/// SSIM of the picture, and of the block where it is smallest.
fn similarity(a: &Luma, b: &Luma) -> (f64, f64) {
    let n_blocks = a.width.div_ceil(BLOCK);
    let (mut total, mut n_windows, mut worst) = (0.0, 0_u64, f64::INFINITY);
    let mut in_block = vec![(0.0, 0_u32); n_blocks];
    let mut above: Vec<Moments> = Vec::new();
    let strips = a
        .samples
        .chunks_exact(STEP * a.width)
        .zip(b.samples.chunks_exact(STEP * a.width));
    for (y, (a_strip, b_strip)) in strips.enumerate() {
        let strip = moments(a_strip, b_strip, a.width);
        // A window is named by its upper left step; the last ones of a block reach into the next.
        if y % STEPS == 0 {
            worst = worst.min(smallest(&in_block));
            in_block.fill((0.0, 0));
        }
        for (x, (above, below)) in above.windows(2).zip(strip.windows(2)).enumerate() {
            let ssim = window_ssim([above[0], above[1], below[0], below[1]], a.level);
            total += ssim;
            n_windows += 1;
            if x % STEPS != STEPS - 1 && y % STEPS != 0 {
                let (sum, n) = &mut in_block[x / STEPS];
                *sum += ssim;
                *n += 1;
            }
        }
        above = strip;
    }
    worst = worst.min(smallest(&in_block));
    (total / n_windows as f64, worst)
}

/// The smallest of the means.
fn smallest(blocks: &[(f64, u32)]) -> f64 {
    let with_windows = blocks.iter().filter(|(_, n)| *n > 0);
    with_windows
        .map(|(sum, n)| sum / f64::from(*n))
        .fold(f64::INFINITY, f64::min)
}

/// Of every 4×4 pixels of four rows; what is left at the right edge is left out.
fn moments(a: &[u16], b: &[u16], width: usize) -> Vec<Moments> {
    let mut all = vec![Moments::default(); width / STEP];
    for (a_row, b_row) in a.chunks(width).zip(b.chunks(width)) {
        let pairs = a_row
            .as_chunks::<STEP>()
            .0
            .iter()
            .zip(b_row.as_chunks::<STEP>().0);
        for (sums, (a, b)) in all.iter_mut().zip(pairs) {
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (u64::from(*a), u64::from(*b));
                sums[0] += a;
                sums[1] += b;
                sums[2] += a * a + b * b;
                sums[3] += a * b;
            }
        }
    }
    all
}

/// SSIM of the window that four steps make; variances as of samples (n - 1).
fn window_ssim(steps: [Moments; 4], level: f64) -> f64 {
    const N: f64 = (4 * STEP * STEP) as f64;
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    let sum = |which: usize| steps.iter().map(|step| step[which]).sum::<u64>() as f64;
    let (a, b) = (sum(0) / (N * level), sum(1) / (N * level));
    let (squares, products) = (sum(2) / (level * level), sum(3) / (level * level));
    let variances = (squares - N * (a * a + b * b)) / (N - 1.0);
    let covariance = (products - N * a * b) / (N - 1.0);
    (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variances + C2))
}

#[cfg(test)]
mod tests;
