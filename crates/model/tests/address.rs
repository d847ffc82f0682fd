//! KEDA and the agents are led to the fake and to nobody else, wherever a manifest says where to go.

use std::fmt::Write as _;

use model::load;
use model::manifest;

const SCENARIO: &str = "\
name: example
about: Two jobs.
organization:
  pools: [{ name: linux, id: 18 }]
manifests: [agents.yml]
substitute:
  https://dev.azure.com/mine: organization_url
load:
  - { at: 1m, duration: 5m }
at_most: 25m
";

/// Manifests in which nothing says where the organisation is.
const AGENTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: agents }
spec:
  template:
    spec:
      containers:
        - name: agent
          env:
            - { name: AZP_POOL, value: linux }
            - MORE_VARIABLES
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: { name: login }
spec: { AUTHENTICATION }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: agents }
spec:
  scaleTargetRef: { name: agents }
  triggers:
    - type: azure-pipelines
      metadata: { poolName: linux, SETTING }
      authenticationRef: { name: login }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: note }
data: { note: 'https://dev.azure.com/mine' }
";

const OURS: &str = "https://dev.azure.com/mine";
const THEIRS: &str = "https://dev.azure.com/acme";

#[derive(Default)]
struct Parts<'p> {
    variables: &'p str,
    setting: &'p str,
    authentication: &'p str,
    more: &'p str,
}

impl Parts<'_> {
    /// What is told of the manifests with these parts, in which URL stands for this address.
    fn told(&self, url: &str) -> String {
        let variables = if self.variables.is_empty() { "{ name: OTHER, value: x }" } else { self.variables };
        let text = AGENTS
            .replace("MORE_VARIABLES", variables)
            .replace("SETTING", self.setting)
            .replace("AUTHENTICATION", self.authentication);
        told(&format!("{text}{}", self.more).replace("URL!", url))
    }

    /// Our own address is fine, another one is told in these words.
    fn holds_or(&self, expected: &str) {
        assert_eq!(self.told(OURS), "");
        let told = self.told(THEIRS);
        assert!(told.contains(expected), "{told}");
        assert_eq!(told.matches("would call it").count(), 1, "{told}");
    }
}

fn told(text: &str) -> String {
    let loaded = load::scenario_with_places("example.yaml", SCENARIO).expect("a good scenario");
    let documents = manifest::load("agents.yml", text).expect("good manifests");
    let problems = manifest::check(&loaded.scenario, &loaded.places, &documents).err().unwrap_or_default();
    problems.iter().fold(String::new(), |mut told, problem| {
        writeln!(told, "{problem}").expect("writing to a string");
        told
    })
}

#[test]
fn a_variable_of_the_agents() {
    Parts { variables: "{ name: AZP_URL, value: 'URL!' }", ..Parts::default() }.holds_or(
        "agents.yml:11:39: `AZP_URL` is `https://dev.azure.com/acme`, and nothing replaces it: KEDA and agents would \
         call it\n  hint: substitute it: `https://dev.azure.com/acme: organization_url` under `substitute`, or \
         --substitute 'https://dev.azure.com/acme=organization_url'\n",
    );
}

#[test]
fn what_is_replaced_must_stand_at_the_beginning() {
    let parts = Parts { variables: "{ name: AZP_URL, value: 'URL!' }", ..Parts::default() };
    assert_eq!(parts.told("  https://dev.azure.com/mine"), "");
    let proxied = parts.told("https://proxy/https://dev.azure.com/mine");
    assert!(
        proxied.contains("and nothing replaces its beginning: KEDA and agents would call it"),
        "{proxied}"
    );
    assert_eq!(parts.told(" "), "", "nobody is called");
}

#[test]
fn a_variable_that_refers_to_others() {
    let variables = "{ name: BASE, value: 'URL!' }\n            - { name: AZP_URL, value: $(BASE)/x }";
    Parts { variables, ..Parts::default() }.holds_or("`AZP_URL` is `$(BASE)/x`, and nothing replaces it");
    let circle = "{ name: AZP_URL, value: $(AZP_URL) }";
    assert!(Parts { variables: circle, ..Parts::default() }.told(OURS).contains("`AZP_URL` is `$(AZP_URL)`"));
}

#[test]
fn a_variable_that_only_the_cluster_knows() {
    let from = "{ name: AZP_URL, valueFrom: { fieldRef: { fieldPath: \"metadata.annotations['url']\" } } }";
    let told = Parts { variables: from, ..Parts::default() }.told(OURS);
    assert!(
        told.contains("the manifests do not tell `AZP_URL`: KEDA and agents might call anyone"),
        "{told}"
    );
    let other = from.replace("AZP_URL", "AZP_HOME");
    assert_eq!(Parts { variables: &other, ..Parts::default() }.told(OURS), "");
}

#[test]
fn a_variable_from_a_config_map() {
    let more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: there }\ndata: { url: 'URL!' }\n";
    let variables = "{ name: AZP_URL, valueFrom: { configMapKeyRef: { name: there, key: url } } }";
    Parts { variables, more, ..Parts::default() }
        .holds_or("agents.yml:36:14: `AZP_URL` is `https://dev.azure.com/acme`, and nothing replaces it");
}

#[test]
fn a_variable_from_a_whole_config_map() {
    let more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: there }\ndata: { URL: 'URL!' }\n";
    let variables =
        "{ name: OTHER, value: x }\n          envFrom: [{ prefix: AZP_, configMapRef: { name: there } }]";
    Parts { variables, more, ..Parts::default() }
        .holds_or("agents.yml:37:14: `AZP_URL` is `https://dev.azure.com/acme`, and nothing replaces it");
}

#[test]
fn a_variable_from_a_secret_is_not_quoted() {
    let more = "---\napiVersion: v1\nkind: Secret\nmetadata: { name: there }\nstringData: { url: 'URL!' }\n";
    let variables = "{ name: AZP_URL, valueFrom: { secretKeyRef: { name: there, key: url } } }";
    let parts = Parts { variables, more, ..Parts::default() };
    parts.holds_or("agents.yml:36:20: `AZP_URL` is an address, and nothing replaces it");
    assert!(!parts.told(THEIRS).contains("acme"));
}

#[test]
fn base64_cannot_be_replaced_by_an_address() {
    let variables = "{ name: AZP_URL, valueFrom: { secretKeyRef: { name: there, key: url } } }";
    let data = |data: &str| {
        let more = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: there }}\ndata: {{ url: '{data}' }}\n"
        );
        Parts { variables, more: &more, ..Parts::default() }.told(OURS)
    };
    let encoded = data(&manifest::base64(OURS));
    assert!(encoded.contains("`AZP_URL` is base64, in which nothing is replaced"), "{encoded}");
    assert!(encoded.contains("put the address under `stringData`"), "{encoded}");
    let plain = data(OURS);
    assert!(plain.contains("`url` must be base64, and `organization_url` would stand in it"), "{plain}");
    assert!(plain.contains("hint: put the value under `stringData`"), "{plain}");
    assert_eq!(data(""), "");
}

#[test]
fn a_pod_of_any_kind() {
    let more = "---\napiVersion: batch/v1\nkind: Job\nmetadata: { name: template }\nspec:\n  template:\n    spec:\n      \
                initContainers: [{ name: agent, env: [{ name: AZP_URL, value: 'URL!' }], envFrom: null }]\n";
    Parts { more, ..Parts::default() }
        .holds_or("agents.yml:39:69: `AZP_URL` is `https://dev.azure.com/acme`, and nothing replaces it");
}

#[test]
fn a_setting_of_the_trigger() {
    Parts { setting: "organizationURL: 'URL!'", ..Parts::default() }
        .holds_or("`organizationURL` is `https://dev.azure.com/acme`, and nothing replaces it");
}

#[test]
fn a_variable_that_the_trigger_names() {
    let variables = "{ name: THERE, value: 'URL!' }";
    Parts { variables, setting: "organizationURLFromEnv: THERE", ..Parts::default() }
        .holds_or("`THERE` is `https://dev.azure.com/acme`, and nothing replaces it");
    // Of no other container, and nobody else reads it.
    assert_eq!(Parts { variables, ..Parts::default() }.told(THEIRS), "");
}

#[test]
fn a_variable_of_a_scaled_job() {
    let job = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: { name: agents }
spec:
  envSourceContainerName: second
  jobTargetRef:
    template:
      spec:
        containers:
          - { name: first, env: [{ name: THERE, value: 'https://dev.azure.com/first' }] }
          - { name: second, env: [{ name: THERE, value: 'URL!' }, { name: NOTE, value: 'https://dev.azure.com/mine' }] }
  triggers:
    - type: azure-pipelines
      metadata: { poolName: linux, organizationURLFromEnv: THERE }
";
    assert_eq!(told(&job.replace("URL!", OURS)), "");
    let broken = told(&job.replace("URL!", THEIRS));
    assert!(broken.contains("agents.yml:11:57: `THERE` is `https://dev.azure.com/acme`"), "{broken}");
    let first = told(&job.replace("URL!", OURS).replace("  envSourceContainerName: second\n", ""));
    assert!(first.contains("agents.yml:9:56: `THERE` is `https://dev.azure.com/first`"), "{first}");
}

#[test]
fn a_parameter_of_a_trigger_authentication() {
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: { name: there }\nstringData: { url: 'URL!' }\n";
    let parameter = "[{ parameter: organizationURL, name: there, key: url }]";
    let authentication = format!("secretTargetRef: {parameter}");
    Parts { authentication: &authentication, more: secret, ..Parts::default() }
        .holds_or("`organizationURL` is an address, and nothing replaces it");

    let map = secret.replace("kind: Secret", "kind: ConfigMap").replace("stringData", "data");
    let authentication = format!("configMapTargetRef: {parameter}");
    Parts { authentication: &authentication, more: &map, ..Parts::default() }
        .holds_or("`organizationURL` is `https://dev.azure.com/acme`, and nothing replaces it");

    let authentication = "env: [{ parameter: organizationURL, name: THERE }]";
    Parts { authentication, variables: "{ name: THERE, value: 'URL!' }", ..Parts::default() }
        .holds_or("`THERE` is `https://dev.azure.com/acme`, and nothing replaces it");
}

#[test]
fn an_address_with_a_password_is_not_quoted() {
    let parts = Parts { variables: "{ name: AZP_URL, value: 'URL!' }", ..Parts::default() };
    let told = parts.told("https://me:hidden@dev.azure.com/acme");
    assert!(told.contains("`AZP_URL` is an address, and nothing replaces it"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
}
