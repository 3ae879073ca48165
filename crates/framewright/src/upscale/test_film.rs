//! Films made up for tests: small things that move, flashes, cycles, noise and pans.

use framewright_media::{Frame, FramePool, PixelFormat};
use proptest::prelude::*;

/// Size of the frames, which no cell and no chroma sample divides.
pub const SIZE: (usize, usize) = (75, 75);

/// How a frame differs from the one before.
#[derive(Debug, Clone)]
pub enum Event {
    /// A square of one level, and of another colour.
    Square {
        x: usize,
        y: usize,
        edge: usize,
        level: u8,
    },
    /// One level everywhere.
    Flash(u8),
    /// The frame that many before.
    Back(usize),
    /// Up to `strength` levels, in every sample.
    Noise { seed: u64, strength: u8 },
    /// All of it moves, and noise comes into the picture; chroma moves by half as much, rounded down.
    Pan { x: isize, y: isize, seed: u64 },
}

/// Lists of events.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let place = (0..SIZE.0, 0..SIZE.1, 1..12_usize, any::<u8>());
    let by =
        || prop_oneof![2 => Just(0), 2 => (-3..4_isize).prop_map(|by| 2 * by), 1 => -3..4_isize];
    let pan = (by(), by(), any::<u64>()).prop_map(|(x, y, seed)| Event::Pan { x, y, seed });
    let event = prop_oneof![
        4 => place.prop_map(|(x, y, edge, level)| Event::Square { x, y, edge, level }),
        1 => any::<u8>().prop_map(Event::Flash),
        2 => (0..6_usize).prop_map(Event::Back),
        1 => (any::<u64>(), 1..6_u8).prop_map(|(seed, strength)| Event::Noise { seed, strength }),
        3 => pan,
    ];
    proptest::collection::vec(event, 1..16)
}

/// A grey frame, and one for each event.
pub fn film(events: &[Event]) -> Vec<Frame> {
    let format = PixelFormat::from_name("yuv420p").unwrap();
    let mut first = Frame::alloc(format, SIZE.0 as u32, SIZE.1 as u32).unwrap();
    for plane in first.planes_mut() {
        plane.fill(100);
    }
    film_from(first, events)
}

/// A frame, and one for each event.
pub fn film_from(first: Frame, events: &[Event]) -> Vec<Frame> {
    let mut film = vec![first];
    for event in events {
        let next = event.apply(&film);
        film.push(next);
    }
    film
}

impl Event {
    fn apply(&self, film: &[Frame]) -> Frame {
        let mut pool = FramePool::default();
        let mut copy = |n_back: usize| pool.copy(&film[film.len() - 1 - n_back]).unwrap();
        let mut frame = copy(0);
        let strides = [0, 1].map(|plane| frame.stride(plane));
        match *self {
            Self::Square { x, y, edge, level } => {
                let [luma, u, _] = frame.planes_mut();
                for y in y..SIZE.1.min(y + edge) {
                    luma[y * strides[0]..][x..SIZE.0.min(x + edge)].fill(level);
                }
                u[y / 2 * strides[1] + x / 2] ^= level;
            }
            Self::Flash(level) => frame.planes_mut()[0].fill(level),
            Self::Back(n) => frame = copy(n.min(film.len() - 1)),
            Self::Noise { seed, strength } => {
                let mut noise = noise(seed);
                for sample in frame.planes_mut()[0].iter_mut() {
                    *sample = sample.wrapping_add(noise.next().unwrap() % strength);
                }
            }
            Self::Pan { x, y, seed } => pan(&mut frame, x, y, seed),
        }
        frame
    }
}

/// Knuth's MMIX generator.
fn noise(mut state: u64) -> impl Iterator<Item = u8> {
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
}

/// Moves everything sample by sample; what comes in is noise.
fn pan(frame: &mut Frame, x: isize, y: isize, seed: u64) {
    let (width, shift) = (frame.width(), frame.pixel_format().chroma_shift());
    let mut noise = noise(seed);
    for plane in 0..3 {
        let (across, down) = if plane == 0 { (0, 0) } else { shift };
        let (width, rows) = (width.div_ceil(1 << across), frame.rows(plane));
        let (stride, before) = (frame.stride(plane), frame.planes()[plane].to_vec());
        let samples = &mut frame.planes_mut()[plane];
        for (to_y, to_x) in (0..rows).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let from_x = to_x.checked_add_signed(-(x >> across));
            let from_y = to_y.checked_add_signed(-(y >> down));
            let inside = (from_x.filter(|&x| x < width)).zip(from_y.filter(|&y| y < rows));
            let new = noise.next().unwrap();
            samples[to_y * stride + to_x] = inside.map_or(new, |(x, y)| before[y * stride + x]);
        }
    }
}

/// A picture with something everywhere, in blocks of a few pixels; another one for each seed.
pub fn textured(format: PixelFormat, width: u32, height: u32, seed: u64) -> Frame {
    const BLOCK: usize = 5;
    let mut frame = Frame::alloc(format, width, height).unwrap();
    let sample_bytes = if format.depth() > 8 { 2 } else { 1 };
    let strides = [0, 1, 2].map(|plane| frame.stride(plane));
    for (plane, stride) in frame.planes_mut().into_iter().zip(strides) {
        plane.fill(0);
        let levels: Vec<u8> = noise(seed).take(1 << 16).collect();
        for (y, row) in plane.chunks_mut(stride.max(1)).enumerate() {
            for (x, sample) in row.chunks_exact_mut(sample_bytes).enumerate() {
                sample[0] = levels[(y / BLOCK * 1021 + x / BLOCK) % levels.len()];
            }
        }
    }
    frame
}
