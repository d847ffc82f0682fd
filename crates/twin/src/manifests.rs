//! A scenario's manifests as the twin reads them: as they are, with everything
//! that it does not model named.

mod fields;
mod modelled;

pub use fields::not_modelled;
