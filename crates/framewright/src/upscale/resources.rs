//! How many workers, and how many bytes of pixels in flight, for this machine and this film.

use framewright_media::{Clip, PixelFormat};
use serde::Serialize;

use crate::upscale::cgroup;

/// What the machine offers.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Processors this process may use.
    pub n_cores: usize,
    /// Memory to plan with.
    pub memory_bytes: u64,
    /// Where that number is from.
    pub memory_from: MemoryFrom,
}

/// Where the memory to plan with is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryFrom {
    /// It is all main memory.
    Machine,
    /// The process's control group allows less.
    #[serde(rename = "control_group")]
    Limit,
    /// `--memory`.
    Asked,
}

impl MemoryFrom {
    /// For a message that names a number of bytes.
    pub fn words(self) -> &'static str {
        match self {
            Self::Machine => "the machine's memory",
            Self::Limit => "the limit of this process's control group",
            Self::Asked => "--memory",
        }
    }
}

impl Machine {
    /// This machine, with the memory that this process may use.
    pub fn here() -> Self {
        let machine = Self {
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: rustix::system::sysinfo().totalram,
            memory_from: MemoryFrom::Machine,
        };
        machine.limited(cgroup::memory_limit())
    }

    /// With no more memory than a limit allows.
    fn limited(self, limit_bytes: Option<u64>) -> Self {
        match limit_bytes {
            Some(bytes) if bytes < self.memory_bytes => Self {
                memory_bytes: bytes,
                memory_from: MemoryFrom::Limit,
                ..self
            },
            _ => self,
        }
    }

    /// As if it had the memory that was asked for, be it less or more than there is.
    pub fn with_memory(self, asked_bytes: Option<u64>) -> Self {
        asked_bytes.map_or(self, |bytes| Self {
            memory_bytes: bytes,
            memory_from: MemoryFrom::Asked,
            ..self
        })
    }

    /// As if so much of its memory was taken already.
    pub fn without(self, bytes: u64) -> Self {
        Self {
            memory_bytes: self.memory_bytes - bytes,
            ..self
        }
    }

    /// Why the plan is for this much memory; none where it is simply what the machine has.
    pub fn memory_why(&self) -> Option<String> {
        let reason = match self.memory_from {
            MemoryFrom::Machine => return None,
            MemoryFrom::Limit => "the limit of this process's control group (--memory decides)",
            MemoryFrom::Asked => "as asked",
        };
        Some(format!("memory: {} MB, {reason}", self.memory_bytes >> 20))
    }
}

/// Bytes of one worker: its network's, and the source picture of `width` × `height` and its result as three planes of
/// f32. A network that keeps a few rows at a time takes less than these.
pub fn worker_bytes(network_bytes: u64, width: usize, height: usize, scale: usize) -> u64 {
    network_bytes + rgb_bytes(width, height) + rgb_bytes(scale * width, scale * height)
}

/// Bytes of three planes of f32.
pub fn rgb_bytes(width: usize, height: usize) -> u64 {
    3 * size_of::<f32>() as u64 * (width as u64) * (height as u64)
}

/// One frame per core, one thread each: measured with ONNX Runtime 1.31 on two cores, two sessions of one thread beat
/// one session of two by 3 to 6 % on 64-channel networks and by 58 % on a 16-channel one (fork and join per operator).
pub fn choose_workers(
    asked: Option<usize>,
    machine: Machine,
    worker_bytes: u64,
) -> (usize, String) {
    let n_cores = machine.n_cores;
    if let Some(n) = asked {
        return (n, format!("{}, as asked, one thread each", workers(n)));
    }
    // A quarter of the memory stays for frames, the encoder and everybody else.
    let fitting = (machine.memory_bytes / 4 * 3 / worker_bytes.max(1)).max(1) as usize;
    if fitting < n_cores {
        let why = format!(
            "{} with one thread each: more might not fit in memory, at {} MB each (--workers decides)",
            workers(fitting),
            worker_bytes / 1_000_000
        );
        return (fitting, why);
    }
    let why = "one frame per core is faster than several threads on one frame";
    (
        n_cores,
        format!("{} with one thread each: {why}", workers(n_cores)),
    )
}

fn workers(n: usize) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} worker{plural}")
}

/// Places in the upscale stage's window for each worker. It counts repeats too, which hold no pixels: it is wide, so that a
/// run of repeats does not leave workers without work.
pub const WINDOW_PER_WORKER: usize = 16;

/// Bytes of pixels between reader and writer: two frames per worker, and what stands in the queues.
pub fn in_flight(
    workers: usize,
    machine: Machine,
    clip: &Clip,
    pixel_format: PixelFormat,
    width: usize,
    height: usize,
) -> u64 {
    let (source, result) = frame_bytes(clip, pixel_format, width, height);
    let frame = source + result;
    let wanted = (2 * workers as u64 + 4) * frame;
    wanted.min(machine.memory_bytes / 4)
}

/// Pictures that are kept to be shown again or built upon, each with its result. Mouths go through half a dozen shapes and
/// shots come back a few times; more than 16 were never worth their memory.
pub fn n_composites(
    machine: Machine,
    clip: &Clip,
    pixel_format: PixelFormat,
    width: usize,
    height: usize,
) -> usize {
    let (source, result) = frame_bytes(clip, pixel_format, width, height);
    let each = source + result;
    let room = (machine.memory_bytes / 32).min(COMPOSITE_BYTES);
    (room / each.max(1)).clamp(1, 16) as usize
}

/// Memory for the pictures that are kept, at most; one is kept whatever it takes.
const COMPOSITE_BYTES: u64 = 256 << 20;

/// Bytes of a frame of the source as it travels, and of its result.
pub fn frame_bytes(
    clip: &Clip,
    pixel_format: PixelFormat,
    width: usize,
    height: usize,
) -> (u64, u64) {
    let video = &clip.video;
    let source = video.pixel_format.planar();
    (
        source.frame_bytes(video.width, video.height),
        pixel_format.frame_bytes(width, height),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(n_cores: usize, gigabytes: u64) -> Machine {
        Machine {
            n_cores,
            memory_bytes: gigabytes << 30,
            memory_from: MemoryFrom::Machine,
        }
    }

    #[test]
    fn the_smaller_of_memory_and_limit_counts_unless_asked_otherwise() {
        let whole = machine(2, 16);
        let planned = |machine: Machine| (machine.memory_bytes >> 20, machine.memory_why());
        assert_eq!(planned(whole), (16_384, None));
        assert_eq!(planned(whole.limited(None)), (16_384, None));
        // What version 1 of control groups says where there is no limit.
        let none = 9_223_372_036_854_771_712;
        assert_eq!(planned(whole.limited(Some(none))), (16_384, None));
        let limited = whole.limited(Some(2 << 30));
        let (megabytes, why) = planned(limited);
        let limit = "memory: 2048 MB, the limit of this process's control group (--memory decides)";
        assert_eq!((megabytes, why.as_deref()), (2048, Some(limit)));
        assert_eq!(planned(limited.with_memory(None)).0, 2048);
        let asked = limited.with_memory(Some(4 << 30));
        let why = "memory: 4096 MB, as asked".to_owned();
        assert_eq!(planned(asked), (4096, Some(why)));
    }

    #[test]
    fn as_many_workers_run_as_fit_in_the_memory_that_was_asked_for() {
        let asked = |bytes| choose_workers(None, machine(8, 16).with_memory(Some(bytes)), 1 << 30);
        assert_eq!(asked(4 << 30).0, 3);
        assert_eq!(asked(64 << 20).0, 1);
        assert_eq!(asked(64 << 30).0, 8);
    }

    #[test]
    fn there_is_a_worker_for_each_core_unless_memory_or_the_user_says_otherwise() {
        let workers = |asked, machine, bytes| choose_workers(asked, machine, bytes).0;
        assert_eq!(workers(None, machine(2, 24), 3 << 30), 2);
        assert_eq!(workers(Some(5), machine(2, 24), 3 << 30), 5);
        // Three quarters of 16 GB hold four workers of 3 GB, and three of a byte more.
        assert_eq!(workers(None, machine(32, 16), 3 << 30), 4);
        assert_eq!(workers(None, machine(32, 16), (3 << 30) + 1), 3);
        // Without a network, and where not even one fits.
        assert_eq!(workers(None, machine(32, 16), 0), 32);
        assert_eq!(workers(None, machine(32, 1), 3 << 30), 1);
        let (_, why) = choose_workers(None, machine(32, 16), 3 << 30);
        assert!(why.contains("memory, at 3221 MB each"), "{why}");
    }

    #[test]
    fn a_worker_holds_its_network_a_picture_and_a_result() {
        let (source, result) = (96 * 64 * 3 * 4, 192 * 128 * 3 * 4);
        assert_eq!(worker_bytes(1000, 96, 64, 2), 1000 + source + result);
        // At 720p to 2880p the result alone is 177 MB.
        assert!(worker_bytes(0, 1280, 720, 4) > 177_000_000);
    }
}
