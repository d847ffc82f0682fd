//! Azure DevOps served over HTTP.
