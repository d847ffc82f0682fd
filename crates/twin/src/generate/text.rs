//! A recipe as the text of a scenario and its manifest.

use std::fmt::Write as _;

use super::{Burst, MANIFEST, Recipe, Scaler, Selection, Written};

impl Recipe {
    /// The recipe as files.
    #[must_use]
    pub fn written(&self) -> Written {
        Written { scenario: self.scenario(), manifest: self.manifest() }
    }

    fn scenario(&self) -> String {
        let mut text = format!(
            "\
name: random-{}
about: A random scenario.
organization:
  assign_delay: {}
  pools: [{{ name: keda-pool, id: 18, agents: [{{ name: template, capabilities: {{ java: \"1\", docker: \"1\" }} }}] }}]
manifests: [{MANIFEST}]
substitute:
  https://dev.azure.com/your-organization: organization_url
  personal access token, base64: personal_access_token_base64
cluster: {{ nodes: {}, pods_per_node: {}, image_pull: {}, container_start: 2s }}
agents: {{ start_up: {} }}
load:
",
            self.seed, self.assign_delay, self.nodes, self.pods_per_node, self.image_pull, self.start_up
        );
        for Burst { at, builds, jobs, duration, demands } in &self.bursts {
            let demands = demands.join(", ");
            let _ = writeln!(
                text,
                "  - {{ at: {at}, builds: {builds}, jobs: {jobs}, duration: {duration}, demands: [{demands}] }}"
            );
        }
        if !self.faults.is_empty() {
            text.push_str("faults:\n");
        }
        for fault in &self.faults {
            let _ = writeln!(text, "  - {fault}");
        }
        let _ = write!(text, "until: {}\nat_most: {}\n", self.length, self.length);
        text
    }

    fn manifest(&self) -> String {
        let mut text = String::from(
            "\
apiVersion: v1
kind: Secret
metadata: { name: azdevops }
data: { AZP_TOKEN: \"personal access token, base64\" }
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: { name: pipelines }
spec:
  secretTargetRef: [{ parameter: personalAccessToken, name: azdevops, key: AZP_TOKEN }]
---
",
        );
        match &self.scaler {
            Scaler::Object { .. } => self.object(&mut text),
            Scaler::Job { strategy, history, backoff_limit } => {
                self.job(&mut text, strategy, *history, *backoff_limit);
            }
        }
        text
    }

    fn object(&self, text: &mut String) {
        let Scaler::Object { stateful, long_lived, cooldown, window, cached, fallback } = &self.scaler else {
            return;
        };
        let kind = if *stateful { "StatefulSet" } else { "Deployment" };
        let service = if *stateful { "  serviceName: agents\n" } else { "" };
        let script = if *long_lived { "run" } else { "run-docker" };
        let _ = write!(
            text,
            "\
apiVersion: apps/v1
kind: {kind}
metadata: {{ name: agents }}
spec:
  replicas: {}
{service}  selector: {{ matchLabels: {{ app: agents }} }}
  template:
    metadata:
      labels: {{ app: agents }}
      annotations: {{ poolproof/start-script: {script} }}
    spec:
{}---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{ name: agents }}
spec:
  scaleTargetRef: {{ name: agents, kind: {kind} }}
  cooldownPeriod: {cooldown}
",
            self.min,
            self.pod("      ", "")
        );
        self.limits(text);
        if let Some(window) = window {
            let _ = write!(
                text,
                "  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior: {{ scaleDown: {{ stabilizationWindowSeconds: {window} }} }}\n"
            );
        }
        if let Some((threshold, replicas)) = fallback {
            let _ = writeln!(text, "  fallback: {{ failureThreshold: {threshold}, replicas: {replicas} }}");
        }
        self.triggers(text, *cached);
    }

    fn job(&self, text: &mut String, strategy: &str, history: u32, backoff_limit: u32) {
        let _ = write!(
            text,
            "\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{ name: agents }}
spec:
  scalingStrategy: {{ strategy: {strategy} }}
  successfulJobsHistoryLimit: {history}
  failedJobsHistoryLimit: {history}
  jobTargetRef:
    backoffLimit: {backoff_limit}
    template:
      metadata: {{ labels: {{ app: agents }} }}
      spec:
        restartPolicy: Never
{}",
            self.pod("        ", "\n            args: [\"--once\"]")
        );
        self.limits(text);
        self.triggers(text, false);
    }

    fn limits(&self, text: &mut String) {
        let Self { min, max, polling_interval, .. } = self;
        let _ = write!(
            text,
            "  pollingInterval: {polling_interval}\n  minReplicaCount: {min}\n  maxReplicaCount: {max}\n"
        );
    }

    /// The pods' spec below its line, indented.
    fn pod(&self, indent: &str, more: &str) -> String {
        let more = more.replace("            ", &format!("{indent}    "));
        let capabilities = "{ name: java, value: \"1\" }, { name: docker, value: \"1\" }";
        format!(
            "\
{indent}terminationGracePeriodSeconds: {}
{indent}containers:
{indent}  - name: agent
{indent}    image: agent{more}
{indent}    env:
{indent}      - {{ name: AZP_URL, value: \"https://dev.azure.com/your-organization\" }}
{indent}      - {{ name: AZP_POOL, value: keda-pool }}
{indent}      - {{ name: AZP_TOKEN, valueFrom: {{ secretKeyRef: {{ name: azdevops, key: AZP_TOKEN }} }} }}
{}",
            self.grace,
            capabilities
                .split("}, ")
                .map(|one| format!("{indent}      - {}{}\n", one, if one.ends_with('}') { "" } else { "}" }))
                .collect::<String>()
        )
    }

    fn triggers(&self, text: &mut String, cached: bool) {
        text.push_str("  triggers:\n    - type: azure-pipelines\n");
        if cached {
            text.push_str("      useCachedMetrics: true\n");
        }
        text.push_str("      metadata:\n        organizationURLFromEnv: AZP_URL\n");
        let mut setting = |name: &str, value: &str| {
            let _ = writeln!(text, "        {name}: \"{value}\"");
        };
        if self.pool_by_name {
            setting("poolName", "keda-pool");
        } else {
            setting("poolID", "18");
        }
        setting("targetPipelinesQueueLength", &self.target.to_string());
        setting("activationTargetPipelinesQueueLength", &self.activation.to_string());
        match self.selection {
            Selection::All => {}
            Selection::Demands { all } => {
                setting("demands", "java");
                setting("requireAllDemands", &all.to_string());
            }
            Selection::Parent => setting("parent", "template"),
        }
        if let Some(scale) = self.scale_on_in_flight {
            setting("scaleOnInFlight", &scale.to_string());
        }
        if self.unfinished_only {
            setting("fetchUnfinishedJobsOnly", "true");
        }
        text.push_str("      authenticationRef: { name: pipelines }\n");
    }
}
