{{- /* Where states live. Left empty: with the replicas themselves, which need a bus to find each other, else with the one. */ -}}
{{- define "ratelimit.backend" -}}
{{- .Values.settings.backend | default (empty (include "ratelimit.bus" .) | ternary "memory" "owners") -}}
{{- end }}

{{- /* True, or nothing. */ -}}
{{- define "ratelimit.bus" -}}
{{- with .Values.global.nats }}{{ if or .bundled .url }}true{{ end }}{{ end -}}
{{- end }}

{{- define "ratelimit.checks" -}}
{{- $backend := include "ratelimit.backend" . -}}
{{- $isScaled := .Values.autoscaling.enabled -}}
{{- if and (eq $backend "memory") (or $isScaled (gt (int .Values.replicas) 1)) -}}
{{- $wish := $isScaled | ternary "autoscaling.enabled is true" (printf "replicas is %d" (int .Values.replicas)) -}}
{{- fail (printf "ratelimit: %s, but with the backend `memory` every pod would count for itself and let through what all of them may. Give it a bus (global.nats.bundled or global.nats.url) and leave settings.backend empty, or set settings.backend=redis, or run one replica" $wish) -}}
{{- end -}}
{{- if and (eq $backend "owners") (not (include "ratelimit.bus" .)) -}}
{{- fail "ratelimit: settings.backend is owners, and owners find each other over the bus: set global.nats.bundled=true, or global.nats.url to yours (nats://host:4222)" -}}
{{- end -}}
{{- end }}
