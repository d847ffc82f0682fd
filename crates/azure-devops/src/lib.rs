//! Azure DevOps decided: the service and the agent as pure state machines, and the wire format.
