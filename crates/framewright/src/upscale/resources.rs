//! How many workers, and how many bytes of pixels in flight, for this machine and this film.

use framewright_media::{Clip, PixelFormat};

/// What the machine offers.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Processors this process may use.
    pub n_cores: usize,
    /// Main memory.
    pub memory_bytes: u64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        Self {
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: rustix::system::sysinfo().totalram,
        }
    }
}

/// Memory of one worker per input pixel. Measured with ONNX Runtime 1.31 on a network of 64 channels in fp32: five
/// layers' worth of activations are alive at once.
const WORKER_BYTES_PER_PIXEL: u64 = 5 * 64 * 4;

/// One frame per core, one thread each: measured with ONNX Runtime 1.31 on two cores, two sessions of one thread beat
/// one session of two by 3 to 6 % on 64-channel networks and by 58 % on a 16-channel one (fork and join per operator).
pub fn choose_workers(asked: Option<usize>, machine: Machine, n_pixels: u64) -> (usize, String) {
    let n_cores = machine.n_cores;
    if let Some(n) = asked {
        return (n, format!("{n} workers, as asked, one thread each"));
    }
    // A quarter of the memory stays for frames, the encoder and everybody else.
    let fitting =
        (machine.memory_bytes / 4 * 3 / (WORKER_BYTES_PER_PIXEL * n_pixels.max(1))).max(1) as usize;
    if fitting < n_cores {
        let why = format!(
            "{fitting} workers with one thread each: more might not fit in memory (--workers decides)"
        );
        return (fitting, why);
    }
    let why = "one frame per core is faster than several threads on one frame";
    (
        n_cores,
        format!("{n_cores} workers with one thread each: {why}"),
    )
}

/// Places in the upscale stage's window, and bytes of pixels between reader and writer.
///
/// The window counts repeats too, which hold no pixels: it is wide, so that a run of repeats does not leave workers
/// without work. What bounds memory is the budget: two frames per worker, and what stands in the queues.
pub fn in_flight(
    workers: usize,
    machine: Machine,
    clip: &Clip,
    pixel_format: PixelFormat,
    width: usize,
    height: usize,
) -> (usize, u64) {
    let source = picture_bytes(clip.video.pixel_format, clip.video.width, clip.video.height);
    let frame = source + picture_bytes(pixel_format, width, height);
    let wanted = (2 * workers as u64 + 4) * frame;
    (16 * workers, wanted.min(machine.memory_bytes / 4))
}

/// Bytes of the planes of a picture, without padding.
pub fn picture_bytes(format: PixelFormat, width: usize, height: usize) -> u64 {
    let sample = if format.depth() > 8 { 2 } else { 1 };
    let (shift_x, shift_y) = format.chroma_shift();
    let chroma = if format.is_grey() {
        0
    } else {
        2 * width.div_ceil(1 << shift_x) * height.div_ceil(1 << shift_y)
    };
    ((width * height + chroma) * sample) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: u64 = 1920 * 1080;

    fn machine(n_cores: usize, gigabytes: u64) -> Machine {
        Machine {
            n_cores,
            memory_bytes: gigabytes << 30,
        }
    }

    #[test]
    fn there_is_a_worker_for_each_core_unless_memory_or_the_user_says_otherwise() {
        assert_eq!(choose_workers(None, machine(2, 24), HD).0, 2);
        assert_eq!(choose_workers(Some(5), machine(2, 24), HD).0, 5);
        let (few, why) = choose_workers(None, machine(32, 16), 4 * HD);
        assert_eq!(few, 1);
        assert!(why.contains("memory"), "{why}");
    }

    #[test]
    fn planes_are_counted_as_they_are() {
        let bytes = |name, width, height| {
            picture_bytes(PixelFormat::from_name(name).unwrap(), width, height)
        };
        assert_eq!(bytes("yuv420p", 4, 4), 24);
        assert_eq!(bytes("yuv420p", 5, 3), 15 + 2 * 6);
        assert_eq!(bytes("yuv444p10le", 4, 4), 96);
        assert_eq!(bytes("gray", 4, 4), 16);
        assert_eq!(bytes("gbrp", 4, 4), 48);
    }
}
