//! Films made up for tests: small things that move, flashes, cycles and noise.

use framewright_media::{Frame, FramePool, PixelFormat};
use proptest::prelude::*;

/// Size of the frames, which no cell and no chroma sample divides.
pub const SIZE: (usize, usize) = (75, 43);

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
}

/// Lists of events.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let place = (0..SIZE.0, 0..SIZE.1, 1..12_usize, any::<u8>());
    let event = prop_oneof![
        4 => place.prop_map(|(x, y, edge, level)| Event::Square { x, y, edge, level }),
        1 => any::<u8>().prop_map(Event::Flash),
        2 => (0..6_usize).prop_map(Event::Back),
        1 => (any::<u64>(), 1..6_u8).prop_map(|(seed, strength)| Event::Noise { seed, strength }),
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
                let mut state = seed;
                for sample in frame.planes_mut()[0].iter_mut() {
                    // Knuth's MMIX generator.
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    *sample = sample.wrapping_add((state >> 33) as u8 % strength);
                }
            }
        }
        frame
    }
}
