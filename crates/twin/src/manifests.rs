//! A scenario's manifests as the twin reads them: as they are, with everything
//! that it does not model named.

mod fields;
mod modelled;
pub(crate) mod objects;
pub(crate) mod surroundings;

pub use fields::not_modelled;
pub(crate) use fields::paths_not_modelled;
