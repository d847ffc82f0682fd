//! A pod on a table: the tests say what happens to it and read what it wants and publishes.

mod life;
mod properties;
