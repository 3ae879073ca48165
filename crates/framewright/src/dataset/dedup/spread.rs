//! One function on many things by several threads, results in order.

use framewright_pipeline::{Control, Ending, Failure, run};

/// `f` of each of `items`, by up to `workers` threads of the pipeline; by this one for a single worker or item. None when
/// `control` has ended it before its end.
///
/// # Errors
/// A thread that cannot be started, or a panic of `f`.
pub(super) fn spread<T: Sync, U: Send + 'static>(
    items: &[T],
    workers: usize,
    control: &Control,
    f: impl Fn(&T) -> U + Send + Sync,
) -> Result<Option<Vec<U>>, Failure> {
    let mut results = Vec::with_capacity(items.len());
    let workers = workers.min(items.len());
    if workers <= 1 {
        for item in items {
            if control.is_stopped() {
                return Ok(None);
            }
            results.push(f(item));
        }
        return Ok(Some(results));
    }
    let (mut next, f) = (0..items.len(), &f);
    let collected = &mut results;
    let run = run(control, |p| {
        let numbers = p.source("pieces", workers, move || Ok(next.next()));
        let found = p.par_map(
            "compare",
            2 * workers,
            numbers,
            vec![(); workers],
            move |(), n| Ok(f(&items[n])),
        );
        p.sink("collect", found, move |rx| {
            while let Some(result) = rx.recv()? {
                collected.push(result);
            }
            Ok(())
        });
    })?;
    Ok((run.ending == Ending::Completed).then_some(results))
}
