{{- /* Names and labels. Objects of a release begin with the release's name, so that two never meet in a namespace. */ -}}

{{- define "plinth.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "plinth.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (include "plinth.name" .)) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "plinth.namespace" -}}
{{- .Values.global.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- /* The start of the service's variables: kv → KV. */ -}}
{{- define "plinth.prefix" -}}
{{- .Chart.Name | replace "-" "_" | upper -}}
{{- end }}

{{- define "plinth.selector" -}}
app.kubernetes.io/name: {{ include "plinth.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "plinth.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/part-of" "plinth"
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version)
-}}
{{- toYaml (merge (include "plinth.selector" . | fromYaml) $labels (.Values.commonLabels | default dict)) -}}
{{- end }}

{{- /* The metadata of an object: (dict "root" . "name" "…" "annotations" (dict) "labels" (dict)). */ -}}
{{- define "plinth.metadata" -}}
name: {{ .name }}
namespace: {{ include "plinth.namespace" .root }}
labels:
  {{- toYaml (merge (include "plinth.labels" .root | fromYaml) (.labels | default dict)) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "plinth.serviceaccount.name" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "plinth.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end }}
{{- end }}

{{- /* True, or nothing: what a value left at null means depends on the profile. */ -}}
{{- define "plinth.or-ha" -}}
{{- if kindIs "invalid" .value -}}
{{- if eq .root.Values.global.profile "ha" }}true{{ end -}}
{{- else if .value -}}true
{{- end }}
{{- end }}
