//! KEDA decided: what its operator asks of Azure DevOps, and what it scales when,
//! as pure state machines for every version from 2.9 to 2.21.
