//! The oracle: ITU-T H.273 for matrix, levels and chroma positions, and interpolation as a weighted sum over positions,
//! pixel by pixel, all in f64. It shares no code with the crate; the RGB matrix is the numeric inverse of the YUV matrix.

use framewright_media::colour::{Format, Horizontal, Matrix, Range, Subsampling, Vertical};

/// Rows Y, Cb, Cr: Cb is (B − Y) and Cr is (R − Y), each scaled to −0.5..=0.5.
fn yuv_from_rgb(matrix: Matrix) -> [[f64; 3]; 3] {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 | Matrix::Rgb => (0.2126, 0.0722),
        Matrix::Bt2020Ncl => (0.2627, 0.0593),
        Matrix::Fcc => (0.3, 0.11),
        Matrix::Smpte240m => (0.212, 0.087),
    };
    let y = [kr, 1.0 - kr - kb, kb];
    let difference = |of: usize| {
        let k = y[of];
        std::array::from_fn(|i| 0.5 * (f64::from(u8::from(i == of)) - y[i]) / (1.0 - k))
    };
    [y, difference(2), difference(0)]
}

fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant))
}

fn times(m: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// Step and zero of a plane in codes.
pub fn levels(format: Format, plane: usize) -> (f64, f64) {
    if format.depth == Format::FLOAT {
        return (1.0, 0.0);
    }
    let d = f64::from(format.depth);
    match (format.range, plane) {
        (Range::Limited, 0) => (219.0 * (d - 8.0).exp2(), (d - 4.0).exp2()),
        (Range::Limited, _) => (224.0 * (d - 8.0).exp2(), (d - 1.0).exp2()),
        (Range::Full, 0) => (d.exp2() - 1.0, 0.0),
        (Range::Full, _) => (d.exp2() - 1.0, (d - 1.0).exp2()),
    }
}

/// Luma samples per chroma sample, and the first chroma sample's luma position: (across, down).
fn grid(format: Format) -> [(f64, f64); 2] {
    let across = match format.siting.horizontal {
        Horizontal::Left => 0.0,
        Horizontal::Centre => 0.5,
    };
    let down = match format.siting.vertical {
        Vertical::Top => 0.0,
        Vertical::Centre => 0.5,
        Vertical::Bottom => 1.0,
    };
    match format.subsampling {
        Subsampling::Yuv420 => [(2.0, across), (2.0, down)],
        Subsampling::Yuv422 => [(2.0, across), (1.0, 0.0)],
        _ => [(1.0, 0.0), (1.0, 0.0)],
    }
}

/// Weighted sum around `position` with a triangle that reaches `reach` samples to each side; edges repeat.
fn triangle(count: usize, position: f64, reach: f64, sample: impl Fn(usize) -> f64) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for i in (position - reach).floor() as i64..=(position + reach).ceil() as i64 {
        let weight = (1.0 - (i as f64 - position).abs() / reach).max(0.0);
        sum += weight * sample(i.clamp(0, count as i64 - 1) as usize);
        total += weight;
    }
    sum / total
}

/// A plane of numbers.
#[derive(Clone)]
pub struct Plane {
    pub columns: usize,
    pub rows: usize,
    pub values: Vec<f64>,
}

impl Plane {
    pub fn new(columns: usize, rows: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let values = (0..rows * columns)
            .map(|i| value(i % columns, i / columns))
            .collect();
        Self {
            columns,
            rows,
            values,
        }
    }

    fn at(&self, x: f64, y: f64, reach: [f64; 2]) -> f64 {
        triangle(self.rows, y, reach[1], |row| {
            triangle(self.columns, x, reach[0], |column| {
                self.values[row * self.columns + column]
            })
        })
    }
}

/// R, G, B of codes.
pub fn oracle_rgb(format: Format, codes: &[Plane; 3]) -> [Plane; 3] {
    let matrix = inverse(yuv_from_rgb(format.matrix));
    let [(step_x, first_x), (step_y, first_y)] = grid(format);
    let pixel = |x: usize, y: usize| {
        let (x, y) = (x as f64, y as f64);
        let at = [
            (x, y),
            ((x - first_x) / step_x, (y - first_y) / step_y),
            ((x - first_x) / step_x, (y - first_y) / step_y),
        ];
        let yuv = std::array::from_fn(|p| {
            let (scale, zero) = levels(format, p);
            (codes[p].at(at[p].0, at[p].1, [1.0, 1.0]) - zero) / scale
        });
        times(matrix, yuv)
    };
    [0, 1, 2].map(|c| Plane::new(codes[0].columns, codes[0].rows, |x, y| pixel(x, y)[c]))
}

/// Codes of R, G, B, not rounded.
pub fn oracle_codes(format: Format, rgb: &[Plane; 3]) -> [Plane; 3] {
    let (width, height) = (rgb[0].columns, rgb[0].rows);
    let matrix = yuv_from_rgb(format.matrix);
    let [(step_x, first_x), (step_y, first_y)] = grid(format);
    [0, 1, 2].map(|p| {
        let (scale, zero) = levels(format, p);
        let full = Plane::new(width, height, |x, y| {
            times(
                matrix,
                [0, 1, 2].map(|c| rgb[c].values[y * width + x].clamp(0.0, 1.0)),
            )[p] * scale
                + zero
        });
        if p == 0 {
            return full;
        }
        let (columns, rows) = (
            (width as f64 / step_x).ceil() as usize,
            (height as f64 / step_y).ceil() as usize,
        );
        Plane::new(columns, rows, |x, y| {
            full.at(
                x as f64 * step_x + first_x,
                y as f64 * step_y + first_y,
                [step_x, step_y],
            )
        })
    })
}
