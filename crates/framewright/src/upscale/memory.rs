//! How much memory a run takes at most, before it takes any.
//!
//! ```text
//! Load: what the clip, the model and the encoder need ─┐
//! Chosen: workers, frames in flight, threads … ────────┴─▶ Memory, part by part ─▶ fits, less is chosen, or refused
//! ```
//! Everything that grows with the frames is counted. Invariant: a run that was planned stays within
//! [`Memory::planned_bytes`]; `tests/it/memory.rs` holds it to that.

use serde::Serialize;

use crate::cli::Encoder;
use crate::exit::{Exit, fail};
use crate::upscale::resources::{Machine, MemoryFrom};

/// The program, its libraries and their tables, the stacks of its threads, and the packets that wait.
const PROGRAM_BYTES: u64 = 96 << 20;

/// Threads of the encoder at least.
const LEAST_THREADS: usize = 1;

/// Pixels of a frame for each byte of the file above which no picture is meant: an 8K frame of one colour takes a
/// thousand bytes as JPEG or AV1, and has 33,000 of them.
const MOST_PIXELS_PER_BYTE: u64 = 100_000;

/// What a run takes at most, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All that follows.
    pub planned_bytes: u64,
    /// What there is to plan with.
    pub limit_bytes: u64,
    /// Where the limit is from.
    pub limit_from: MemoryFrom,
    /// The program itself.
    pub program_bytes: u64,
    /// The decoder's frames, and what the container keeps.
    pub decoder_bytes: u64,
    /// Frames and results between the reader and the writer.
    pub in_flight_bytes: u64,
    /// Frames that are kept to be built upon, and their results.
    pub composites_bytes: u64,
    /// The network's state.
    pub state_bytes: u64,
    /// Networks, and frames and results in RGB.
    pub workers_bytes: u64,
    /// Frames that the encoder looks ahead to and refers to.
    pub encoder_bytes: u64,
    /// The encoders of the side films.
    pub side_films_bytes: u64,
}

/// What a run needs, whatever is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// A frame of the source, as it travels.
    pub source_bytes: u64,
    /// A result.
    pub result_bytes: u64,
    /// Each worker.
    pub worker_bytes: u64,
    /// A result in RGB, which a worker that keeps a state has beside its own.
    pub rgb_result_bytes: u64,
    /// The decoder, once.
    pub decoder_bytes: u64,
    /// How the results are encoded.
    pub encoding: Encoding,
    /// The encoders of the side films, together.
    pub side_films_bytes: u64,
}

/// What is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Workers.
    pub workers: usize,
    /// Bytes of frames and results in flight.
    pub budget_bytes: u64,
    /// Frames that are kept.
    pub composites: usize,
    /// Threads of the encoder.
    pub encoder_threads: usize,
    /// The network's state; 0 where none is kept.
    pub state_bytes: u64,
}

impl Chosen {
    /// The least that a run can do with.
    pub const LEAST: Self = Self {
        workers: 1,
        budget_bytes: 0,
        composites: 1,
        encoder_threads: LEAST_THREADS,
        state_bytes: 0,
    };
}

impl Load {
    /// What a run takes of a machine.
    pub fn memory(&self, chosen: &Chosen, machine: Machine) -> Memory {
        let frame_bytes = self.source_bytes + self.result_bytes;
        let worker_bytes = match chosen.state_bytes {
            0 => self.worker_bytes,
            _ => self.worker_bytes + self.rgb_result_bytes,
        };
        let mut memory = Memory {
            planned_bytes: 0,
            limit_bytes: machine.memory_bytes,
            limit_from: machine.memory_from,
            program_bytes: PROGRAM_BYTES,
            decoder_bytes: self.decoder_bytes,
            // One frame is admitted however large it is. One more is decoded, and one composed, meanwhile.
            in_flight_bytes: chosen.budget_bytes.max(frame_bytes) + frame_bytes,
            composites_bytes: chosen.composites as u64 * frame_bytes,
            state_bytes: chosen.state_bytes,
            workers_bytes: (chosen.workers as u64).saturating_mul(worker_bytes),
            encoder_bytes: self
                .encoding
                .bytes(self.result_bytes, chosen.encoder_threads),
            side_films_bytes: self.side_films_bytes,
        };
        let parts = [
            memory.program_bytes,
            memory.reading_bytes(),
            memory.state_bytes,
            memory.workers_bytes,
            memory.encoder_bytes,
            memory.side_films_bytes,
        ];
        memory.planned_bytes = parts.into_iter().fold(0, u64::saturating_add);
        memory
    }

    /// What is chosen, or less of it where that does not fit: first fewer workers, then fewer threads of the encoder, frames
    /// in flight and frames that are kept.
    pub fn fit(&self, wanted: Chosen, machine: Machine) -> Chosen {
        let fits = |chosen: &Chosen| self.memory(chosen, machine).fits();
        let mut chosen = wanted;
        while chosen.workers > 1 && !fits(&chosen) {
            chosen.workers -= 1;
        }
        while chosen.encoder_threads > LEAST_THREADS && !fits(&chosen) {
            chosen.encoder_threads = (chosen.encoder_threads / 2).max(LEAST_THREADS);
        }
        while chosen.budget_bytes > 0 && !fits(&chosen) {
            chosen.budget_bytes /= 2;
        }
        while chosen.composites > 1 && !fits(&chosen) {
            chosen.composites -= 1;
        }
        chosen
    }
}

impl Memory {
    /// Whether there is as much.
    pub fn fits(&self) -> bool {
        self.planned_bytes <= self.limit_bytes
    }

    /// What reading and comparing take, without computing and encoding.
    pub fn reading_bytes(&self) -> u64 {
        self.decoder_bytes
            .saturating_add(self.in_flight_bytes)
            .saturating_add(self.composites_bytes)
    }

    /// A sentence with the numbers, for a run that does not fit.
    pub fn too_much(&self) -> String {
        let megabytes = |bytes: u64| bytes.div_ceil(1 << 20);
        let parts = [
            ("encoder", self.encoder_bytes),
            ("network", self.workers_bytes),
            ("decoder", self.decoder_bytes),
            ("frames", self.in_flight_bytes + self.composites_bytes),
        ];
        let most = parts.into_iter().max_by_key(|(_, bytes)| *bytes);
        let (part, bytes) = most.unwrap_or_default();
        format!(
            "it takes {} MB of memory, {} MB of it for the {part}, and there are {} MB ({})",
            megabytes(self.planned_bytes),
            megabytes(bytes),
            self.limit_bytes >> 20,
            self.limit_from.words(),
        )
    }
}

/// Refuses a clip that does not fit by the least that can be chosen: 65 where its frames are out of all proportion to its
/// `file_bytes`, else 69.
///
/// # Errors
/// It does not fit.
pub fn refuse(
    least: &Memory,
    (width, height): (usize, usize),
    file_bytes: Option<u64>,
) -> anyhow::Result<()> {
    if least.fits() {
        return Ok(());
    }
    let (size, too_much) = (format!("{width}x{height}"), least.too_much());
    match file_bytes {
        Some(bytes) if (width * height) as u64 / bytes.max(1) > MOST_PIXELS_PER_BYTE => Err(fail(
            Exit::BadInput,
            format!("a file of {bytes} bytes asks for frames of {size} pixels: {too_much}"),
        )),
        _ => Err(fail(
            Exit::Unavailable,
            format!(
                "the machine is too small for frames of {size} pixels: with one worker {too_much}; \
                 a smaller --scale, a faster --preset or more --memory helps"
            ),
        )),
    }
}

/// An encoder and how far it looks ahead.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    encoder: Encoder,
    lookahead: u64,
}

impl Encoding {
    /// By the names that the user knows.
    pub fn new(encoder: Encoder, preset: Option<&str>) -> Self {
        let lookahead = match (encoder, preset.unwrap_or("medium")) {
            (Encoder::Libx264, "ultrafast" | "superfast") => 0,
            (Encoder::Libx264, "veryfast") | (Encoder::Libx265, "superfast") => 10,
            (Encoder::Libx264, "faster") | (Encoder::Libx265, "medium") => 20,
            (Encoder::Libx264, "fast") => 30,
            (Encoder::Libx264, "medium") => 40,
            (Encoder::Libx264, "slow") => 50,
            (Encoder::Libx265, "ultrafast") => 5,
            (Encoder::Libx265, "veryfast" | "faster" | "fast") => 15,
            (Encoder::Libx265, "slow") => 25,
            // The slowest ones; and a name that is none, which the encoder will refuse.
            _ => 60,
        };
        Self { encoder, lookahead }
    }

    /// Bytes for results of so many bytes, measured with FFmpeg 5.1, x264 164, x265 3.5 and SVT-AV1 1.4 at 720p and 1440p:
    /// in results, some by themselves, for each that it looks ahead to, and for each thread.
    fn bytes(self, result_bytes: u64, threads: usize) -> u64 {
        let (lookahead, threads) = (self.lookahead, threads as u64);
        let results = match self.encoder {
            Encoder::Libx264 => 5 + 3 * lookahead + 10 * threads,
            Encoder::Libx265 => 75 + 2 * lookahead + 12 * threads,
            Encoder::Libsvtav1 => 180 + 4 * threads,
            Encoder::Ffv1 => 115,
            Encoder::Null => 0,
        };
        results * result_bytes
    }

    /// Threads that the encoder takes where nobody limits it.
    pub fn own_threads(self, n_cores: usize) -> usize {
        match self.encoder {
            Encoder::Libx264 => (n_cores * 3).div_ceil(2).min(128),
            // Frames at a time; each is computed by all cores.
            Encoder::Libx265 => match n_cores {
                0..4 => 1,
                4..8 => 2,
                8..16 => 3,
                16..32 => 5,
                _ => 8,
            },
            Encoder::Libsvtav1 => n_cores,
            Encoder::Ffv1 | Encoder::Null => 1,
        }
    }

    /// Bytes of the side films' encoders, for frames of so many bytes: lossless composites and a map.
    pub fn side_films_bytes(source_bytes: u64, composites: bool, map: bool, n_cores: usize) -> u64 {
        let of = |encoder, preset| {
            let encoding = Self::new(encoder, preset);
            encoding.bytes(source_bytes, encoding.own_threads(n_cores))
        };
        let composites = if composites {
            of(Encoder::Ffv1, None)
        } else {
            0
        };
        // Drawn in RGB.
        let map = if map {
            of(Encoder::Libx264, Some("veryfast")) + 16 * source_bytes
        } else {
            0
        };
        composites + map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(megabytes: u64) -> Machine {
        Machine::here().with_memory(Some(megabytes << 20))
    }

    /// 720p to 1440p in 4:2:0.
    fn load() -> Load {
        let source_bytes = 1280 * 720 * 3 / 2;
        Load {
            source_bytes,
            result_bytes: 4 * source_bytes,
            worker_bytes: 70 << 20,
            rgb_result_bytes: 4 * 1280 * 720 * 12,
            decoder_bytes: 20 << 20,
            encoding: Encoding::new(Encoder::Libx264, None),
            side_films_bytes: 0,
        }
    }

    const WANTED: Chosen = Chosen {
        workers: 8,
        budget_bytes: 140 << 20,
        composites: 16,
        encoder_threads: 12,
        state_bytes: 0,
    };

    #[test]
    fn what_fits_is_chosen_as_it_was_wanted() {
        assert_eq!(load().fit(WANTED, machine(16 << 10)), WANTED);
        assert_eq!(
            load().memory(&WANTED, machine(16 << 10)).planned_bytes >> 20,
            2220
        );
    }

    #[test]
    fn less_memory_means_fewer_workers_then_threads_then_frames() {
        let chosen = |megabytes| load().fit(WANTED, machine(megabytes));
        let some = chosen(2200);
        assert_eq!((some.workers, some.encoder_threads), (7, 12));
        let few = chosen(1300);
        assert_eq!((few.workers, few.composites), (1, 16));
        assert!(few.encoder_threads < 12);
        assert!(load().memory(&few, machine(1300)).fits());
        let least = chosen(64);
        assert_eq!(least, Chosen::LEAST);
        assert!(!load().memory(&least, machine(64)).fits());
    }

    #[test]
    fn a_state_counts_with_what_its_results_take() {
        let state = Chosen {
            state_bytes: 500 << 20,
            ..WANTED
        };
        let bytes = |chosen| load().memory(&chosen, machine(1 << 14)).planned_bytes;
        let results = 8 * load().rgb_result_bytes;
        assert_eq!(bytes(state) - bytes(WANTED), (500 << 20) + results);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let least = load().memory(&Chosen::LEAST, machine(256));
        let refused = |bytes| refuse(&least, (1280, 720), bytes).unwrap_err();
        let small = refused(Some(1 << 20));
        assert_eq!(Exit::of(&small), Exit::Unavailable);
        let said = small.to_string();
        assert!(
            said.contains("1280x720") && said.contains("256 MB (--memory)"),
            "{said}"
        );
        assert!(said.contains("for the encoder"), "{said}");
        assert_eq!(Exit::of(&refused(None)), Exit::Unavailable);
        // 921,600 pixels.
        let absurd = refused(Some(9));
        assert_eq!(Exit::of(&absurd), Exit::BadInput);
        assert!(absurd.to_string().contains("a file of 9 bytes"), "{absurd}");
        let fitting = load().memory(&Chosen::LEAST, machine(4096));
        assert!(refuse(&fitting, (1280, 720), Some(9)).is_ok());
    }

    #[test]
    fn an_encoder_that_looks_further_ahead_takes_more() {
        let bytes = |encoder, preset, threads| Encoding::new(encoder, preset).bytes(1000, threads);
        let x264 = |preset| bytes(Encoder::Libx264, Some(preset), 1);
        assert!(x264("ultrafast") < x264("veryfast") && x264("veryfast") < x264("medium"));
        assert_eq!(bytes(Encoder::Libx264, None, 1), x264("medium"));
        assert!(x264("medium") < bytes(Encoder::Libx264, None, 8));
        assert_eq!(bytes(Encoder::Null, None, 8), 0);
    }
}
