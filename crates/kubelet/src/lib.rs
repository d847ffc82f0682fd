//! A pod's life decided, as a pure state machine.
