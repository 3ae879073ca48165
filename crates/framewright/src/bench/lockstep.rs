//! Computes every frame in full and with reuse, and compares the results, frame by frame.
//!
//! ```text
//! decode ─▶ compare by every rule ─▶ upscale: in full, and what each rule asks for ─▶ compose each ─▶ measure
//! ```
//! No result is kept longer than its neighbours need it, and none is written: memory is bounded, and no disk is filled.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use framewright_infer::Canceller;
use framewright_media::{Decoder, Frame};
use framewright_pipeline::{BoxError, Failure, Gauges, Run, Rx, Tx, run as run_stages};

use super::quality::{Difference, Sums, difference};
use crate::upscale::compare::{Compare, Rule};
use crate::upscale::compose::Results;
use crate::upscale::plan::Plan;
use crate::upscale::stages::{Answer, Ask, Item, PACKETS_BYTES, Shot, Tally, ask, result_of};
use crate::upscale::worker::Worker;
use crate::upscale::{QUEUE, reader};

/// A frame, and what each rule has it computed by.
type Asked = (Frame, Vec<(Shot, Ask)>);
/// The result in full, and what was computed for each rule.
type Answered = (Frame, Vec<(Shot, Answer)>);
/// The result in full, and that of each rule.
type Compared = (Frame, Vec<Frame>);

/// For each rule, how far its results are from those in full.
///
/// # Errors
/// Whatever a stage fails of.
pub fn lockstep(
    plan: &Plan,
    rules: &[Rule],
    decoder: &mut Decoder,
    workers: &mut [Worker],
    control: &framewright_pipeline::Control,
    tally: &Tally,
    gauges: &OnceLock<Gauges>,
) -> Result<(Run, Vec<Sums>), Failure> {
    let cancellers: Vec<Canceller> = workers.iter().map(Worker::canceller).collect();
    let _cancel = control.on_stop(move || cancellers.iter().for_each(Canceller::cancel));
    let mut sums = vec![Sums::default(); rules.len()];
    let all_sums = &mut sums;
    let measurers = vec![(); workers.len()];
    let workers: Vec<&mut Worker> = workers.iter_mut().collect();
    // A frame takes room for one result more with each rule, so it needs more memory to keep as many in flight: there is
    // what the encoder takes in a run.
    let n_results = 1 + rules.len() as u64;
    let budget_bytes = plan.memory_budget_bytes + plan.memory.encoder_bytes;
    let budget_bytes = budget_bytes.min(n_results * plan.memory_budget_bytes);
    let ended = run_stages(control, |p| {
        let budgets = [budget_bytes, PACKETS_BYTES].map(|bytes| p.budget(bytes));
        let mut reader = reader(plan, decoder, tally, budgets);
        reader.frame_bytes *= n_results;
        let decoded = p.source("decode", QUEUE, move || reader.next());
        let compared = p.stage("compare", QUEUE, decoded, |rx, tx| compare(&rx, &tx, rules));
        let upscaled = p.par_map("upscale", plan.window, compared, workers, |worker, item| {
            item.try_map(|asked| upscale(worker, asked))
        });
        let composed = p.stage("compose", QUEUE, upscaled, |rx, tx| {
            compose(&rx, &tx, rules)
        });
        let measured = p.par_map("measure", plan.window, composed, measurers, |(), item| {
            item.try_map(|results| Ok::<_, BoxError>(measure(&results)))
        });
        p.sink("sum", measured, move |rx| sum(&rx, all_sums, tally));
        // The progress display may look from now on.
        let _ = gauges.set(p.gauges());
    })?;
    Ok((ended, sums))
}

fn compare(rx: &Rx<Item<Frame>>, tx: &Tx<Item<Asked>>, rules: &[Rule]) -> Result<(), BoxError> {
    let compares = rules.iter().map(|&rule| Compare::new(Some(rule)));
    let mut compares: Vec<Compare> = compares.collect();
    let mut index = 0;
    while let Some(item) = rx.recv()? {
        tx.send(item.try_map(|frame| {
            let asks = compares.iter_mut().map(|compare| {
                let judgement = compare.judge(index, &frame, frame.is_corrupt())?;
                Ok(ask(index, frame.share(), judgement, None))
            });
            let asks = asks.collect::<Result<Vec<_>, BoxError>>()?;
            index += 1;
            Ok::<_, BoxError>((frame, asks))
        })?)?;
    }
    Ok(())
}

fn upscale(worker: &mut Worker, (frame, asks): Asked) -> Result<Answered, BoxError> {
    let full = worker.result(&frame)?;
    let answers = asks.into_iter().map(|(mut shot, ask)| {
        let answer = match ask {
            // That is the frame itself, which was just computed.
            Ask::Whole { kept, .. } => Answer::Whole {
                result: full.share(),
                kept,
            },
            ask => worker.answer(ask, &mut shot)?,
        };
        Ok((shot, answer))
    });
    let answers = answers.collect::<Result<Vec<_>, BoxError>>()?;
    Ok((full, answers))
}

fn compose(
    rx: &Rx<Item<Answered>>,
    tx: &Tx<Item<Compared>>,
    rules: &[Rule],
) -> Result<(), BoxError> {
    let mut kept: Vec<Results> = rules.iter().map(|_| Results::default()).collect();
    while let Some(item) = rx.recv()? {
        tx.send(item.try_map(|(full, answers)| {
            let results = answers.iter().zip(&mut kept);
            let results = results.map(|((shot, answer), kept)| result_of(shot, answer, kept));
            let results = results.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, BoxError>((full, results))
        })?)?;
    }
    Ok(())
}

fn measure((full, results): &Compared) -> Vec<Difference> {
    let differences = results.iter().map(|result| difference(result, full));
    differences.collect()
}

fn sum(rx: &Rx<Item<Vec<Difference>>>, sums: &mut [Sums], tally: &Tally) -> Result<(), BoxError> {
    while let Some(item) = rx.recv()? {
        item.try_map(|differences| {
            for (sums, difference) in sums.iter_mut().zip(&differences) {
                sums.add(difference);
            }
            tally.frames_out.fetch_add(1, Relaxed);
            Ok::<_, BoxError>(())
        })?;
    }
    Ok(())
}
