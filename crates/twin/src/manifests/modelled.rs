//! What of a manifest the twin models, and what has no effect on what it shows.
//!
//! Everything else is refused by its name: a field that was passed over in
//! silence would make the twin's answer one to another question. A step `*` is
//! any one key or index, a last step `**` everything below.

/// Fields of every object's metadata. Labels and annotations that change behaviour (KEDA's
/// `autoscaling.keda.sh/...`, `controller.kubernetes.io/pod-deletion-cost`, `poolproof/start-script`) are read.
pub(super) const METADATA: &[&str] =
    &["apiVersion", "kind", "metadata.name", "metadata.labels.**", "metadata.annotations.**"];

/// Deployment. Rolling updates go by the default percentages. `revisionHistoryLimit` and `progressDeadlineSeconds` change no pod.
pub(super) const DEPLOYMENT: &[&str] = &[
    "spec.replicas",
    "spec.selector.**",
    "spec.revisionHistoryLimit",
    "spec.progressDeadlineSeconds",
    "spec.strategy.type",
];

/// StatefulSet. The governing Service and the history change no pod.
pub(super) const STATEFUL_SET: &[&str] = &[
    "spec.replicas",
    "spec.selector.**",
    "spec.serviceName",
    "spec.revisionHistoryLimit",
    "spec.podManagementPolicy",
];

/// A pod template. Resource requests are not weighed: the scenario says how many pods a node takes.
pub(super) const TEMPLATE: &[&str] = &[
    "metadata.name",
    "metadata.labels.**",
    "metadata.annotations.**",
    "metadata.creationTimestamp",
    "spec.restartPolicy",
    "spec.terminationGracePeriodSeconds",
    "spec.shareProcessNamespace",
    "spec.serviceAccountName",
    "spec.serviceAccount",
    "spec.automountServiceAccountToken",
    "spec.enableServiceLinks",
    "spec.imagePullSecrets.**",
    "spec.securityContext.**",
    "spec.dnsPolicy",
    "spec.dnsConfig.**",
    "spec.hostname",
    "spec.hostAliases.**",
    "spec.runtimeClassName",
    "spec.volumes.*.name",
    "spec.volumes.*.emptyDir.**",
    "spec.initContainers.*.restartPolicy",
];

/// A container, of either list.
pub(super) const CONTAINER: &[&str] = &[
    "name",
    "image",
    "imagePullPolicy",
    "command.**",
    "args.**",
    "workingDir",
    "env.*.name",
    "env.*.value",
    "env.*.valueFrom.secretKeyRef.**",
    "env.*.valueFrom.configMapKeyRef.**",
    "env.*.valueFrom.fieldRef.**",
    "env.*.valueFrom.resourceFieldRef.**",
    "envFrom.**",
    "resources.limits.**",
    "resources.requests.**",
    "ports.**",
    "volumeMounts.**",
    "securityContext.**",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
    "lifecycle.preStop.sleep.seconds",
    "lifecycle.preStop.exec.command.**",
    "readinessProbe.exec.command.**",
    "readinessProbe.tcpSocket.**",
    "readinessProbe.httpGet.**",
    "readinessProbe.initialDelaySeconds",
    "readinessProbe.periodSeconds",
    "readinessProbe.timeoutSeconds",
    "readinessProbe.successThreshold",
    "readinessProbe.failureThreshold",
];

/// A Job's spec.
pub(super) const JOB: &[&str] = &[
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "podReplacementPolicy",
];

/// A trigger of KEDA.
pub(super) const TRIGGER: &[&str] = &[
    "type",
    "name",
    "metadata.**",
    "metricType",
    "useCachedMetrics",
    "authenticationRef.name",
    "authenticationRef.kind",
];

/// ScaledObject.
pub(super) const SCALED_OBJECT: &[&str] = &[
    "spec.scaleTargetRef.name",
    "spec.scaleTargetRef.kind",
    "spec.scaleTargetRef.apiVersion",
    "spec.scaleTargetRef.envSourceContainerName",
    "spec.pollingInterval",
    "spec.cooldownPeriod",
    "spec.initialCooldownPeriod",
    "spec.idleReplicaCount",
    "spec.minReplicaCount",
    "spec.maxReplicaCount",
    "spec.fallback.failureThreshold",
    "spec.fallback.replicas",
    "spec.fallback.behavior",
    "spec.advanced.restoreToOriginalReplicaCount",
    "spec.advanced.horizontalPodAutoscalerConfig.name",
    "spec.advanced.horizontalPodAutoscalerConfig.behavior.**",
];

/// ScaledJob.
pub(super) const SCALED_JOB: &[&str] = &[
    "spec.pollingInterval",
    "spec.successfulJobsHistoryLimit",
    "spec.failedJobsHistoryLimit",
    "spec.minReplicaCount",
    "spec.maxReplicaCount",
    "spec.envSourceContainerName",
    "spec.rolloutStrategy",
    "spec.rollout.strategy",
    "spec.rollout.propagationPolicy",
    "spec.scalingStrategy.**",
];

/// TriggerAuthentication.
pub(super) const TRIGGER_AUTHENTICATION: &[&str] =
    &["spec.secretTargetRef.**", "spec.configMapTargetRef.**", "spec.env.**"];

/// Secret and ConfigMap.
pub(super) const VALUES: &[&str] = &["data.**", "stringData.**", "type", "immutable"];

/// Kinds that change nothing that the twin shows: who may do what, and what pods are called by.
pub(super) const WITHOUT_EFFECT: &[&str] = &[
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
];
