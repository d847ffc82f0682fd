//! How objects are addressed: by small numbers, in the order of their creation.

/// A pod: `PodId(k)` is the k-th pod created in the namespace, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// A Job, counted from zero in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// A Deployment or a StatefulSet, counted from zero in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(pub u32);

/// A node, counted from zero in the order in which they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An object's UID. Its order is the order of the text, which is what controllers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub u128);

/// An object's resource version, as far as a writer's conflict needs it: it grows with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// The place of `id` in a vector that is indexed by it.
pub(crate) fn at(id: u32) -> usize {
    usize::try_from(id).expect("a pointer has at least 32 bits")
}

/// The id of the next object of a vector of this length.
pub(crate) fn next(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 objects are created")
}
