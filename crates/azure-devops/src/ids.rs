//! The ids that the service hands out, one type each, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sequence::Numbered;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Numbered for $name {
            fn number(self) -> u64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// An agent pool's id.
    PoolId,
    /// An agent's id. No two agents of an organisation share one, whatever their pools.
    AgentId,
    /// A message's id; later messages have higher ones.
    MessageId,
    /// A job request's id.
    RequestId,
    /// A build's id.
    BuildId,
    /// A definition's id.
    DefinitionId,
    /// A queue's id.
    QueueId,
    /// A long poll that waits for its answer.
    WaiterId,
}
