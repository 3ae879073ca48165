//! Colour conversion on one thread, on warm buffers: 720p codes to RGB (a network's input) and 1440p RGB to codes (the
//! output of a ×2 network).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use framewright_media::PlanarRgb;
use framewright_media::colour::{
    Format, Matrix, Planes, PlanesMut, Range, Siting, Subsampling, from_rgb, to_rgb,
};

const CASES: [(&str, Subsampling, u8); 6] = [
    ("yuv420p", Subsampling::Yuv420, 8),
    ("yuv420p10", Subsampling::Yuv420, 10),
    ("yuv422p", Subsampling::Yuv422, 8),
    ("yuv422p10", Subsampling::Yuv422, 10),
    ("yuv444p", Subsampling::Yuv444, 8),
    ("gray", Subsampling::Gray, 8),
];

fn conversions(c: &mut Criterion) {
    for (name, subsampling, depth) in CASES {
        let format = Format {
            subsampling,
            depth,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            siting: Siting::LEFT,
        };
        decoding(c, name, format);
        encoding(c, name, format);
    }
}

fn decoding(c: &mut Criterion, name: &str, format: Format) {
    let (width, height) = (1280, 720);
    let (planes, stride) = buffers(format, width, height);
    let src = Planes {
        width,
        height,
        planes: planes.each_ref().map(Vec::as_slice),
        stride,
    };
    let mut dst = PlanarRgb::new(width, height);
    let mut group = c.benchmark_group("to_rgb 1280x720");
    group.throughput(Throughput::Elements((width * height) as u64));
    group.bench_function(name, |b| b.iter(|| to_rgb(&src, &format, &mut dst)));
}

fn encoding(c: &mut Criterion, name: &str, format: Format) {
    let (width, height) = (2560, 1440);
    let mut src = PlanarRgb::new(width, height);
    for (i, value) in src.data_mut().iter_mut().enumerate() {
        *value = noise(i) as f32 / 255.0;
    }
    let (mut planes, stride) = buffers(format, width, height);
    let mut dst = PlanesMut {
        width,
        height,
        planes: planes.each_mut().map(Vec::as_mut_slice),
        stride,
    };
    let mut group = c.benchmark_group("from_rgb 2560x1440");
    group.throughput(Throughput::Elements((width * height) as u64));
    group.bench_function(name, |b| b.iter(|| from_rgb(&src, &format, &mut dst)));
}

/// Planes of noise with rows aligned to 64 bytes, as FFmpeg has them.
fn buffers(format: Format, width: usize, height: usize) -> ([Vec<u8>; 3], [usize; 3]) {
    let (columns, rows) = format.subsampling.chroma_size(width, height);
    let sizes = [(width, height), (columns, rows), (columns, rows)];
    let stride = sizes.map(|(columns, _)| (columns * format.sample_bytes()).next_multiple_of(64));
    let mut planes = [0, 1, 2].map(|p| vec![0_u8; stride[p] * sizes[p].1]);
    for plane in &mut planes {
        for (i, byte) in plane.iter_mut().enumerate() {
            // the high bytes of 10-bit samples must stay below 4
            *byte = if format.depth > 8 && i % 2 == 1 {
                noise(i) & 3
            } else {
                noise(i)
            };
        }
    }
    (planes, stride)
}

fn noise(i: usize) -> u8 {
    ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).measurement_time(std::time::Duration::from_secs(3));
    targets = conversions
}
criterion_main!(benches);
