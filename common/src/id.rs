//! Identifiers: one newtype per noun of the ladder job → stage → task → attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is known to be an identifier of this kind.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// One job. Derived from the digest of what was asked, so that the same request finds the
    /// same job again.
    JobId
}
text_id! {
    /// One try at a task by one worker; never reused.
    AttemptId
}
text_id! {
    /// One worker process, from its registration to its end.
    WorkerId
}
number_id! {
    /// A stage's place in the call order of its job's algorithm.
    StageId, u32
}
number_id! {
    /// A task's place within its stage.
    TaskIndex, u32
}
number_id! {
    /// A coordinator's term of office. Whoever meets a higher one stops.
    Epoch, u64
}

impl StageId {
    /// The stage that an algorithm asks for after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
