//! The coordinators of a cluster as a caller sees them: one leads, the others refuse.
//!
//! A caller stays with the coordinator that it uses until a call there fails in a way that another
//! coordinator might not, and then turns to the next. Nobody has to know who leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::transport::Channel;

/// Channels to the coordinators of one cluster. Clones turn together.
#[derive(Clone, Debug)]
pub struct Coordinators {
    channels: Arc<[Channel]>,
    turns: Arc<AtomicUsize>,
}

/// Which coordinator a call went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried(usize);

impl Coordinators {
    /// Coordinators in order of preference.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn new(channels: Vec<Channel>) -> Self {
        assert!(!channels.is_empty(), "a cluster has a coordinator");
        Self {
            channels: channels.into(),
            turns: Arc::default(),
        }
    }

    /// The channel for the next call.
    pub fn current(&self) -> (Channel, Tried) {
        let turns = self.turns.load(Ordering::Relaxed);
        let channel = self.channels[turns % self.channels.len()].clone();
        (channel, Tried(turns))
    }

    /// Turns to the next coordinator, unless another caller has done so since `tried`.
    pub fn turn_from(&self, tried: Tried) {
        let next = tried.0.wrapping_add(1);
        // Failure means that another call on the same channel has failed and turned already.
        let _ = self
            .turns
            .compare_exchange(tried.0, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl From<Channel> for Coordinators {
    fn from(channel: Channel) -> Self {
        Self::new(vec![channel])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::transport::Endpoint;

    #[tokio::test]
    async fn calls_that_fail_together_turn_once() {
        let channels = ["http://a", "http://b"]
            .map(|url| Endpoint::from_static(url).connect_lazy())
            .to_vec();
        let coordinators = Coordinators::new(channels);
        let (_, first) = coordinators.current();
        coordinators.turn_from(first);
        coordinators.turn_from(first);
        let (_, second) = coordinators.current();
        assert_eq!(second, Tried(1));
        coordinators.turn_from(second);
        assert_eq!(coordinators.current().1, Tried(2));
    }
}
