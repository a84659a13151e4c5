{{- /*
The environment of a service. It is gathered in one map, so that no name comes twice (the API server refuses that under
server-side apply), and written in order of name. Later ones win: what the chart knows, then `settings`, then `env`. An
empty setting says nothing: the chart, or the service, decides.
*/ -}}

{{- /* shutdownDelayMs → KV_SHUTDOWN_DELAY_MS: (dict "root" . "property" "shutdownDelayMs"). */ -}}
{{- define "plinth.variable" -}}
{{- include "plinth.prefix" .root }}_{{ regexReplaceAll "([A-Z])" .property "_${1}" | upper -}}
{{- end }}

{{- /* A value as text. Numbers of a values file are floats, and would come out as 6.7108864e+07. */ -}}
{{- define "plinth.text" -}}
{{- if kindIs "string" . -}}{{ . }}
{{- else if kindIs "slice" . -}}{{ join "," . }}
{{- else -}}{{ toJson . }}
{{- end }}
{{- end }}

{{- define "plinth.environment" -}}
{{- $root := .root -}}
{{- $env := dict
  (printf "%s_HOST" (include "plinth.prefix" $root)) "0.0.0.0"
  (printf "%s_PORT" (include "plinth.prefix" $root)) $root.Values.service.port
-}}
{{- if $root.Values.persistence }}
{{- $_ := set $env (printf "%s_DATA_DIR" (include "plinth.prefix" $root)) "/data" }}
{{- end }}
{{- $env = merge $env (.environment | default dict) }}
{{- range $part := list "bus" "tracing" "keys" "ports" "rules" }}
{{- $env = merge $env (include (printf "plinth.environment.%s" $part) $root | fromYaml) }}
{{- end }}
{{- if has "redis" (.engines | default list) }}
{{- $env = merge $env (include "plinth.environment.redis" $root | fromYaml) }}
{{- end }}
{{- range $property, $value := $root.Values.settings }}
{{- if ne (include "plinth.text" $value) "" }}
{{- $_ := set $env (include "plinth.variable" (dict "root" $root "property" $property)) $value }}
{{- end }}
{{- end }}
{{- include "plinth.env-list" (mergeOverwrite $env (deepCopy $root.Values.env)) }}
{{- end }}

{{- define "plinth.environment.bus" -}}
{{- $nats := .Values.global.nats -}}
{{- if $nats.bundled }}
NATS_URL: nats://{{ .Release.Name }}-nats:4222
{{- else if $nats.url }}
NATS_URL: {{ $nats.url }}
{{- end }}
{{- with $nats.existingSecret | default (ternary (printf "%s-nats-auth" .Release.Name) "" $nats.bundled) }}
NATS_USER: {{ $.Chart.Name }}
NATS_PASSWORD:
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Chart.Name }}-password
{{- end }}
{{- end }}

{{- define "plinth.environment.redis" -}}
{{- $redis := .Values.global.redis -}}
{{- if not (or $redis.bundled $redis.url) }}
{{- fail (printf "%s needs Redis: set %sglobal.redis.url to yours (redis://host:6379)" .Chart.Name (ternary "" "global.redis.bundled=true, or " .Chart.IsRoot)) }}
{{- end }}
REDIS_URL: {{ $redis.bundled | ternary (printf "redis://%s-valkey:6379" .Release.Name) $redis.url }}
{{- with $redis.existingSecret | default (ternary (printf "%s-valkey-auth" .Release.Name) "" $redis.bundled) }}
REDIS_PASSWORD:
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: password
{{- end }}
{{- end }}

{{- /* K8S_… come first by name, as $(…) asks for. */ -}}
{{- define "plinth.environment.tracing" -}}
{{- with .Values.global.otel.endpoint | default (ternary (printf "http://%s-jaeger:4318" .Release.Name) "" .Values.global.jaeger.bundled) }}
K8S_NODE_NAME:
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
K8S_POD_NAME:
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . }}
OTEL_RESOURCE_ATTRIBUTES: k8s.namespace.name={{ include "plinth.namespace" $ }},k8s.pod.name=$(K8S_POD_NAME),k8s.node.name=$(K8S_NODE_NAME)
OTEL_TRACES_SAMPLER: parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG: {{ include "plinth.text" $.Values.global.otel.sampleRatio | quote }}
{{- end }}
{{- end }}

{{- define "plinth.environment.keys" -}}
{{- if .Values.global.apiKeys.enabled }}
API_ROOT_KEY_FILE: /run/secrets/plinth/root-key
{{- if .Values.global.apiKeys.hashed }}
API_KEYS_FILE: /run/secrets/plinth/keys
{{- end }}
{{- end }}
{{- end }}
