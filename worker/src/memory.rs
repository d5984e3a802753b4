//! The worker's memory: a budget in bytes that every task takes its declaration from.
//!
//! Not an allocator and not a measurement: it keeps *declared* bytes below the budget. First come,
//! first served, so a large task is never overtaken forever by small ones.

use std::sync::Arc;

use rankmill_common::{ByteSize, Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in these units: a semaphore counts to 2³² only.
const UNIT: u64 = 1 << 20;

/// Bytes that running tasks may declare together.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget {
    total: ByteSize,
    units: u32,
    free: Arc<Semaphore>,
}

/// Memory that a task holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of `total` bytes, of which nothing is taken.
    pub(crate) fn new(total: ByteSize) -> Self {
        let units = u32::try_from(total.0 / UNIT).unwrap_or(u32::MAX).max(1);
        // A semaphore of a 32-bit platform counts less far than its permits are wide.
        let units = units.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            total,
            units,
            free: Arc::new(Semaphore::new(units as usize)),
        }
    }

    /// Waits until `bytes` are free and takes them. A task that needs the whole budget runs alone.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` at once if the whole budget is smaller.
    pub(crate) async fn admit(&self, what: &str, bytes: u64) -> Result<Admission> {
        if bytes > self.total.0 {
            return Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!(
                    "{what} needs {} ({bytes} bytes), this worker has {} ({} bytes); \
                     start it with --memory {}MiB or more",
                    ByteSize(bytes),
                    self.total,
                    self.total.0,
                    bytes.div_ceil(UNIT),
                ),
            ));
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.free)
            .acquire_many_owned(units.min(self.units))
            .await
            .map_err(|_| Error::internal("the memory budget was closed"))?;
        Ok(Admission { permit })
    }

    /// All bytes of the budget.
    pub(crate) fn total(&self) -> u64 {
        self.total.0
    }

    /// Makes `held` as large as `bytes` need, if there is so much, without waiting.
    pub(crate) fn try_resize(&self, held: &mut Option<Admission>, bytes: u64) -> bool {
        let wanted = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let has = held.as_ref().map_or(0, |held| held.permit.num_permits());
        if wanted > has {
            let Ok(more) = u32::try_from(wanted - has) else {
                return false;
            };
            let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(more) else {
                return false;
            };
            match held {
                Some(held) => held.permit.merge(permit),
                None => *held = Some(Admission { permit }),
            }
        } else if let Some(held) = held {
            drop(held.permit.split(has - wanted));
        }
        true
    }

    /// Bytes that nobody has taken.
    pub(crate) fn free(&self) -> u64 {
        self.free_with(0)
    }

    /// Bytes that nobody has taken, or that make part of the `lent` ones, whole admissions.
    pub(crate) fn free_with(&self, lent: u64) -> u64 {
        let free = self.free.available_permits() as u64 + lent / UNIT;
        if free >= u64::from(self.units) {
            self.total.0
        } else {
            free * UNIT
        }
    }
}

impl Admission {
    /// Bytes that it keeps from others.
    pub(crate) fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_task_waits_until_its_memory_is_free() {
        let budget = MemoryBudget::new(ByteSize(10 * UNIT));
        let first = budget.admit("first", 6 * UNIT).await.expect("it fits");
        assert_eq!(budget.free(), 4 * UNIT);
        let mut second = Box::pin(budget.admit("second", 5 * UNIT));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().expect("it is its turn").is_ok());
        assert_eq!(budget.free(), 10 * UNIT);
    }

    #[tokio::test]
    async fn a_task_as_large_as_the_budget_runs_alone() {
        let total = 3 * UNIT + 5;
        let budget = MemoryBudget::new(ByteSize(total));
        let whole = budget.admit("whole", total).await.expect("it fits");
        assert_eq!(budget.free(), 0);
        assert!(budget.admit("next", 1).now_or_never().is_none());
        drop(whole);
        assert_eq!(budget.free(), total);
    }

    #[tokio::test]
    async fn a_task_larger_than_the_budget_is_refused_with_the_numbers() {
        let budget = MemoryBudget::new(ByteSize(64 * UNIT));
        let error = budget
            .admit("gram", 100 * UNIT)
            .await
            .expect_err("it is too large");
        assert_eq!(error.kind, ErrorKind::ResourceExhausted);
        for part in ["gram", "104857600", "67108864", "--memory 100MiB"] {
            assert!(error.message.contains(part), "{part} in {error}");
        }
    }

    #[tokio::test]
    async fn small_tasks_do_not_overtake_a_large_one() {
        let budget = MemoryBudget::new(ByteSize(4 * UNIT));
        let running = budget.admit("running", 2 * UNIT).await.expect("it fits");
        let mut large = Box::pin(budget.admit("large", 4 * UNIT));
        assert!((&mut large).now_or_never().is_none());
        assert!(budget.admit("small", UNIT).now_or_never().is_none());
        drop(running);
        assert!(large.now_or_never().is_some());
    }
}
