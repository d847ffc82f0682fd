//! A pod template made ready: what all of its pods share is worked out once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubelet::Template;
use kubelet::template::environment::Referred;

/// A pod template with the Secrets and ConfigMaps that it refers to.
#[derive(Debug)]
pub struct PodTemplate {
    template: Template,
    namespace: Arc<str>,
    referred: Referred,
    agent_capabilities: BTreeMap<String, String>,
}

impl PodTemplate {
    /// Of a template in a namespace, with the objects that it may refer to and what the scenario's agents can do beside
    /// their container's environment.
    #[must_use]
    pub fn new(
        template: Template,
        namespace: &str,
        referred: Referred,
        agent_capabilities: BTreeMap<String, String>,
    ) -> Self {
        Self { template, namespace: namespace.into(), referred, agent_capabilities }
    }

    /// The template itself.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }
}
