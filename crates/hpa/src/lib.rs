//! The HorizontalPodAutoscaler controller decided, as a pure state machine.
