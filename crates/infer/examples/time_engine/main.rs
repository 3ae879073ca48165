//! Runs one model on one frame for as long as asked: framewright's side of `bench/engines/run.py`.
//!
//! ```text
//! time_engine MODEL WIDTH HEIGHT FRAME [--precision fp32|bf16] [--workers N] [--engine native|ort]
//! time_engine peak THREADS
//! ```
//!
//! `FRAME` is raw f32, planes R, G, B. Once every worker has run the frame once it prints `ready {…}`. Then each line
//! on stdin is answered by one line on stdout, as in `bench/engines/peers.py`; between lines nothing runs.
//!
//! | line | answer |
//! |---|---|
//! | `run SECONDS` | `{"ms_per_frame": …, "frames": …, "elapsed_secs": …, "together": …}` |
//! | `dump PATH` | `{}`, after the result of the first run was written to the file as the frame is |
//!
//! `peak` prints `{"fp32_gflops": …, "bf16_gflops": …}` and ends; null is what the processor does not have.

mod peak;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::Instant;
use std::{env, fs, thread};

use framewright_infer::{Choice, Engine, Model, Precision, Upscaler};
use framewright_media::PlanarRgb;
use serde_json::json;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match main_loop() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main_loop() -> Result<(), Failure> {
    let words: Vec<_> = env::args().skip(1).collect();
    if let [command, threads] = words.as_slice()
        && command == "peak"
    {
        let threads = threads.parse()?;
        let (fp32, bf16) = (peak::fp32(threads), peak::bf16(threads));
        return answer(&json!({"fp32_gflops": fp32, "bf16_gflops": bf16}).to_string());
    }
    let options = Options::parse(&words)?;
    let frame = read_frame(&options)?;
    let model = Model::open(&options.model, options.choice)?;
    let upscalers = model.upscalers(options.workers)?;
    let mut workers: Vec<_> = upscalers.into_iter().map(Worker::new).collect();

    // The fastest frame so far, which says how many frames fill a given time.
    let mut frame_secs = elapsed(&run(&mut workers, &frame, 1)?).1;
    let first = workers[0].output.clone();
    let info = model.info();
    let ready =
        json!({"engine": info.engine, "precision": info.precision, "workers": options.workers});
    answer(&format!("ready {ready}"))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("run", seconds)) => {
                let seconds: f64 = seconds.parse()?;
                let frames = ((seconds / frame_secs).ceil() as usize).max(1);
                let times = run(&mut workers, &frame, frames)?;
                let (fastest, slowest) = elapsed(&times);
                frame_secs = frame_secs.min(fastest / frames as f64);
                let per_second: f64 = times.iter().map(|time| frames as f64 / time).sum();
                let times = json!({
                    "ms_per_frame": 1e3 / per_second, "frames": frames * workers.len(), "elapsed_secs": slowest,
                    "together": fastest / slowest,
                });
                answer(&times.to_string())?;
            }
            Some(("dump", path)) => {
                let bytes: Vec<u8> = first.data().iter().flat_map(|v| v.to_le_bytes()).collect();
                fs::write(path, bytes)?;
                answer("{}")?;
            }
            _ => return Err(format!("not `run SECONDS` or `dump PATH`: {line}").into()),
        }
    }
    Ok(())
}

/// What the command line says.
struct Options {
    model: PathBuf,
    width: usize,
    height: usize,
    frame: PathBuf,
    choice: Choice,
    workers: usize,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let [model, width, height, frame, more @ ..] = words else {
            return Err("usage: time_engine MODEL WIDTH HEIGHT FRAME [--precision fp32|bf16] [--workers N] \
                        [--engine native|ort], or time_engine peak THREADS"
                .into());
        };
        let mut options = Self {
            model: model.into(),
            width: width.parse()?,
            height: height.parse()?,
            frame: frame.into(),
            choice: Choice {
                engine: Engine::Native,
                precision: Precision::Fp32,
            },
            workers: 1,
        };
        for pair in more.chunks(2) {
            match pair.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["--precision", "fp32"] => options.choice.precision = Precision::Fp32,
                ["--precision", "bf16"] => options.choice.precision = Precision::Bf16,
                ["--engine", "native"] => options.choice.engine = Engine::Native,
                ["--engine", "ort"] => options.choice.engine = Engine::Ort,
                ["--workers", n] => options.workers = n.parse::<usize>()?.max(1),
                _ => return Err(format!("unknown option: {}", pair.join(" ")).into()),
            }
        }
        Ok(options)
    }
}

fn read_frame(options: &Options) -> Result<PlanarRgb, Failure> {
    let bytes = fs::read(&options.frame)?;
    let mut frame = PlanarRgb::new(options.width, options.height);
    let numbers = bytes.as_chunks::<4>().0;
    if bytes.len() != 4 * frame.data().len() {
        return Err(format!("the frame has {} bytes, not 3 planes of f32", bytes.len()).into());
    }
    for (value, &bytes) in frame.data_mut().iter_mut().zip(numbers) {
        *value = f32::from_le_bytes(bytes);
    }
    Ok(frame)
}

struct Worker {
    upscaler: Box<dyn Upscaler>,
    output: PlanarRgb,
}

impl Worker {
    fn new(upscaler: Box<dyn Upscaler>) -> Self {
        Self {
            upscaler,
            output: PlanarRgb::default(),
        }
    }
}

/// Runs `frames` frames on each worker, all started at the same time: the seconds that each took.
///
/// A count rather than a deadline: with a deadline one worker may begin a last long frame when the other has just
/// ended, and have the machine to itself for it.
#[expect(
    clippy::disallowed_methods,
    reason = "measures workers, has no pipeline"
)]
fn run(workers: &mut [Worker], frame: &PlanarRgb, frames: usize) -> Result<Vec<f64>, Failure> {
    let barrier = Barrier::new(workers.len());
    let work = |worker: &mut Worker| -> Result<f64, Failure> {
        barrier.wait();
        let start = Instant::now();
        for _ in 0..frames {
            worker.upscaler.run(frame, &mut worker.output)?;
        }
        Ok(start.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| work(worker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no engine panics"))
            .collect()
    })
}

/// Shortest and longest of some times.
fn elapsed(times: &[f64]) -> (f64, f64) {
    let longest = times.iter().copied().fold(0.0, f64::max);
    (times.iter().copied().fold(longest, f64::min), longest)
}

/// Prints a line at once: the other side waits for it.
fn answer(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
