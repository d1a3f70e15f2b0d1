{{/* Names: <release> if it contains the chart's name, else <release>-tradewind. */}}
{{- define "tradewind.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tradewind.fullname" -}}
{{- $name := include "tradewind.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-scoped objects carry the namespace too, so that releases with the same name do not collide. */}}
{{- define "tradewind.clusterName" -}}
{{- printf "%s.%s" (include "tradewind.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "tradewind.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tradewind.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tradewind.leaseName" -}}{{ include "tradewind.fullname" . }}-controller{{- end -}}
{{- define "tradewind.hookName" -}}{{ include "tradewind.fullname" . }}-uninstall{{- end -}}
{{- define "tradewind.webhookName" -}}{{ include "tradewind.fullname" . }}-webhook{{- end -}}

{{- define "tradewind.webhookSecretName" -}}
{{- if eq .Values.webhook.certificates "provided" -}}
{{- .Values.webhook.provided.secretName -}}
{{- else -}}
{{- include "tradewind.webhookName" . }}-tls
{{- end -}}
{{- end -}}

{{- define "tradewind.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tradewind.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* With --reuse-values, from a release without shards, there is no such value. */}}
{{- define "tradewind.shards" -}}{{ default 1 .Values.shards | int }}{{- end -}}

{{/* Name and selector of one shard of the controller, given (list root shard): without a number if there is only one. */}}
{{- define "tradewind.shardName" -}}
{{- $root := first . -}}
{{- include "tradewind.fullname" $root }}{{ if gt (include "tradewind.shards" $root | int) 1 }}-{{ last . }}{{ end -}}
{{- end -}}

{{- define "tradewind.shardSelectorLabels" -}}
{{- $root := first . -}}
{{- include "tradewind.selectorLabels" $root }}
{{- if gt (include "tradewind.shards" $root | int) 1 }}
tradewind.dev/shard: {{ last . | quote }}
{{- end }}
{{- end -}}

{{/* The Leases by which controllers elect their leaders: with several shards also the Lease of a single controller. */}}
{{- define "tradewind.leaseNames" -}}
{{- $names := list (include "tradewind.leaseName" .) -}}
{{- $shards := include "tradewind.shards" . | int -}}
{{- if gt $shards 1 -}}
{{- range $shard := until $shards -}}
{{- $names = append $names (printf "%s-%d-of-%d" (include "tradewind.leaseName" $) $shard $shards) -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Labels for all but selectors. The selector's own labels take precedence over commonLabels. */}}
{{- define "tradewind.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "tradewind.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "tradewind"
  "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_"))
-}}
{{- mergeOverwrite (deepCopy .Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{- define "tradewind.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" or "". */}}
{{- define "tradewind.webhookEnabled" -}}
{{- $auto := or (eq .Values.scope "cluster") (ne .Values.webhook.certificates "self") -}}
{{- if eq (toString .Values.webhook.enabled) "auto" | ternary $auto (eq (toString .Values.webhook.enabled) "true") -}}
true
{{- end -}}
{{- end -}}

{{/* "true" or "": whether the webhook checks that a user who writes a Dag may create Pods. */}}
{{- define "tradewind.authorizes" -}}
{{- if and (include "tradewind.webhookEnabled" .) .Values.webhook.authorize -}}
true
{{- end -}}
{{- end -}}

{{- define "tradewind.serviceMonitorEnabled" -}}
{{- $auto := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/ServiceMonitor" -}}
{{- if eq (toString .Values.metrics.serviceMonitor.enabled) "auto" | ternary $auto (eq (toString .Values.metrics.serviceMonitor.enabled) "true") -}}
true
{{- end -}}
{{- end -}}

{{/* The env variable that lists the namespaces, for the controller and for the uninstall hook. */}}
{{- define "tradewind.scopeEnv" -}}
- name: TRADEWIND_NAMESPACES
  value: {{ eq .Values.scope "namespaces" | ternary (join "," .Values.namespaces) "" | quote }}
- name: TRADEWIND_POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: TRADEWIND_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: TRADEWIND_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: TRADEWIND_LEASE_NAME
  value: {{ include "tradewind.leaseName" . }}
- name: TRADEWIND_SHARDS
  value: {{ include "tradewind.shards" . | quote }}
{{- end -}}

{{/* The controller's rights in each namespace that it watches. docs/installing.md gives the reasons. */}}
{{- define "tradewind.workRules" -}}
- apiGroups: [tradewind.dev]
  resources: [pools]
  verbs: [list, watch]
- apiGroups: [tradewind.dev]
  resources: [dags]
  verbs: [get, list, watch, patch]
- apiGroups: [tradewind.dev]
  resources: [backfills]
  # delete: if permissions on owner references are enforced, changing an object's owner requires the right to delete it.
  verbs: [get, list, watch, patch, delete]
- apiGroups: [tradewind.dev]
  resources: [dagruns]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [tradewind.dev]
  resources: [dags/status, dagruns/status, pools/status, backfills/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete, deletecollection]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if include "tradewind.authorizes" . }}
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]
{{- end }}
{{- range .Values.waitFor.resources }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{/* The uninstall hook's rights in each of those namespaces. */}}
{{- define "tradewind.hookRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
{{- end -}}

{{/* Other releases that share namespaces with this one. Only with `scope: cluster`, whose installation creates ClusterRoles
and may list Deployments. Empty without a cluster, as with `helm template`. */}}
{{- define "tradewind.overlaps" -}}
{{- $found := list -}}
{{- if eq .Values.scope "cluster" -}}
{{- range (lookup "apps/v1" "Deployment" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $release := printf "%s in namespace %s" (index $labels "app.kubernetes.io/instance") .metadata.namespace -}}
{{- $isController := and (eq (index $labels "app.kubernetes.io/part-of" | default "") "tradewind") (eq (index $labels "app.kubernetes.io/component" | default "") "controller") -}}
{{- if and $isController (ne $release (printf "%s in namespace %s" $.Release.Name $.Release.Namespace)) -}}
{{- $found = append $found $release -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | join ", " -}}
{{- end -}}

{{/* Values that contradict each other, each with the fix. */}}
{{- define "tradewind.validate" -}}
{{- $errors := list -}}
{{- if and (eq .Values.scope "namespaces") (not .Values.namespaces) -}}
{{- $errors = append $errors "scope: namespaces needs at least one entry in namespaces." -}}
{{- end -}}
{{- if and (eq .Values.scope "cluster") .Values.namespaces -}}
{{- $errors = append $errors "namespaces is only used with scope: namespaces. Set that scope, or leave namespaces empty." -}}
{{- end -}}
{{- if and (include "tradewind.webhookEnabled" .) (eq .Values.scope "namespaces") (eq .Values.webhook.certificates "self") -}}
{{- $errors = append $errors "webhook.enabled: true with webhook.certificates: self needs a ClusterRole (the controller writes its CA into the ValidatingWebhookConfiguration), which scope: namespaces does not create. Set webhook.certificates to certManager or provided, or webhook.enabled to false." -}}
{{- end -}}
{{- if and (include "tradewind.webhookEnabled" .) (eq .Values.webhook.certificates "provided") (not .Values.webhook.provided.secretName) -}}
{{- $errors = append $errors "webhook.certificates: provided needs webhook.provided.secretName, a Secret with tls.crt and tls.key." -}}
{{- end -}}
{{- if and .Values.webhook.certManager.issuerRef (not .Values.webhook.certManager.issuerRef.name) -}}
{{- $errors = append $errors "webhook.certManager.issuerRef needs a name." -}}
{{- end -}}
{{- if $errors -}}
{{- fail (printf "\n\nThe values contradict each other:\n  - %s\n" (join "\n  - " $errors)) -}}
{{- end -}}
{{- end -}}
