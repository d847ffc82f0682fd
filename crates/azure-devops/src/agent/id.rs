//! What the service calls its things, kept by an agent without a copy a call.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// An id of the service, as it wrote it. Nearly all are GUIDs.
#[derive(Clone, PartialEq, Eq)]
pub enum Id {
    /// A GUID in its usual form.
    Guid(Uuid),
    /// Anything else.
    Text(Arc<str>),
}

impl Id {
    /// The GUID that it is.
    #[must_use]
    pub fn guid(&self) -> Option<Uuid> {
        match self {
            Self::Guid(guid) => Some(*guid),
            Self::Text(text) => Uuid::parse_str(text).ok(),
        }
    }

    /// Whether it is that one, whatever the case.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Guid(one), Self::Guid(other)) => one == other,
            _ => self.to_string().eq_ignore_ascii_case(&other.to_string()),
        }
    }
}

impl From<&str> for Id {
    /// Only a text that is written again as it was read is taken for a GUID.
    fn from(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(guid) if guid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text => {
                Self::Guid(guid)
            }
            _ => Self::Text(text.into()),
        }
    }
}

impl From<Uuid> for Id {
    fn from(guid: Uuid) -> Self {
        Self::Guid(guid)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guid(guid) => guid.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_was_read() {
        for text in ["s1", "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"]
        {
            assert_eq!(Id::from(text).to_string(), text);
        }
    }

    #[test]
    fn a_guid_is_the_same_in_any_case() {
        let guid = Id::from("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        assert!(guid.is(&Id::from("6BA7B810-9DAD-11D1-80B4-00C04FD430C8")));
        assert!(!guid.is(&Id::from("s1")));
    }
}
