//! The emulated agent on real sockets, and the package that start scripts download.
