//! What goes wrong, when, and how often it did.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 500 instead of doing anything.
    InternalError,
    /// 503 instead of doing anything.
    SlowDown,
    /// 429 instead of doing anything.
    TooManyRequests,
    /// A conditional write is answered with 409, and nobody has won.
    Conflict,
    /// A write lands and is answered with 500.
    LandsAndFails,
    /// A write lands and the connection goes without an answer.
    LandsInSilence,
    /// A write lands and nothing is said until the client gives up.
    LandsAndHangs,
    /// The connection of a conditional write goes without an answer, and the write lands later.
    LandsLate,
    /// The connection goes while the request is under way; nothing is done.
    Reset,
    /// The answer's body breaks off in the middle.
    Truncated,
    /// The answer comes late.
    Latency,
}

impl Fault {
    /// Every fault that ends within moments.
    pub const QUICK: [Self; 10] = [
        Self::InternalError,
        Self::SlowDown,
        Self::TooManyRequests,
        Self::Conflict,
        Self::LandsAndFails,
        Self::LandsInSilence,
        Self::LandsLate,
        Self::Reset,
        Self::Truncated,
        Self::Latency,
    ];
}

/// What a request is, as far as faults care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Changes nothing, and its answer has a body.
    Read,
    /// Changes nothing, and its answer has none.
    Head,
    /// Changes something.
    Write,
    /// Creates an object if it is absent.
    Create,
}

/// The faults of one server. None until told otherwise.
#[derive(Default)]
pub struct Faults {
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    seed: u64,
    counter: u64,
    rates: Vec<(Fault, f64)>,
    script: VecDeque<Fault>,
    injected: BTreeMap<Fault, u64>,
}

impl Faults {
    /// From now on each request suffers each of `rates` with its probability, at most one.
    pub fn seeded(&self, seed: u64, rates: &[(Fault, f64)]) {
        let mut plan = self.plan();
        plan.seed = seed;
        plan.counter = 0;
        plan.rates = rates.to_vec();
    }

    /// The next requests that can suffer them suffer these, in order.
    pub fn script(&self, faults: &[Fault]) {
        self.plan().script.extend(faults);
    }

    /// Ends them; the counts stay.
    pub fn stop(&self) {
        let mut plan = self.plan();
        plan.rates.clear();
        plan.script.clear();
    }

    /// How often each has happened.
    pub fn injected(&self) -> BTreeMap<Fault, u64> {
        self.plan().injected.clone()
    }

    /// How many have happened.
    pub fn total(&self) -> u64 {
        self.plan().injected.values().sum()
    }

    pub(super) fn next(&self, request: Request) -> Option<Fault> {
        let mut plan = self.plan();
        let scripted = plan.script.front().copied();
        let fault = match scripted.filter(|fault| concerns(*fault, request)) {
            Some(fault) => {
                plan.script.pop_front();
                Some(fault)
            }
            None => plan.draw(request),
        }?;
        *plan.injected.entry(fault).or_default() += 1;
        Some(fault)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn draw(&mut self, request: Request) -> Option<Fault> {
        self.counter += 1;
        let mut chance = uniform(self.seed, self.counter);
        for (fault, rate) in &self.rates {
            if chance < *rate {
                return Some(*fault).filter(|fault| concerns(*fault, request));
            }
            chance -= rate;
        }
        None
    }
}

fn concerns(fault: Fault, request: Request) -> bool {
    match fault {
        Fault::InternalError
        | Fault::SlowDown
        | Fault::TooManyRequests
        | Fault::Reset
        | Fault::Latency => true,
        Fault::Conflict | Fault::LandsLate => request == Request::Create,
        Fault::LandsAndFails | Fault::LandsInSilence | Fault::LandsAndHangs => {
            matches!(request, Request::Write | Request::Create)
        }
        Fault::Truncated => request == Request::Read,
    }
}

/// SplitMix64 of a counter, as a number in [0, 1).
fn uniform(seed: u64, counter: u64) -> f64 {
    let mut z = seed.wrapping_add(counter.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}
