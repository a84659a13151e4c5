{{- /*
In: whatever is in the namespace, and who else is named. Out: names, the engines, the collector, and what is added. An
engine outside the cluster is let through by its port, since a policy knows no host names.
*/ -}}
{{- define "plinth.networkpolicy" -}}
{{- $root := .root -}}
{{- $policy := $root.Values.networkPolicy -}}
{{- $global := $root.Values.global -}}
{{- if include "plinth.or-ha" (dict "root" $root "value" $policy.enabled) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "plinth.metadata" (dict "root" $root "name" (include "plinth.fullname" $root)) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "plinth.selector" $root | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - port: http
        {{- range $name := include "plinth.ports.open" $root | fromYaml | keys | sortAlpha }}
        - port: {{ $name }}
        {{- end }}
      from:
        - podSelector: {}
        {{- with $policy.from }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  egress:
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
    {{- include "plinth.egress" (dict "root" $root "engine" "nats" "isBundled" $global.nats.bundled "url" $global.nats.url "port" 4222) | nindent 4 }}
    {{- if has "redis" (.engines | default list) }}
    {{- include "plinth.egress" (dict "root" $root "engine" "valkey" "isBundled" $global.redis.bundled "url" $global.redis.url "port" 6379) | nindent 4 }}
    {{- end }}
    {{- include "plinth.egress" (dict "root" $root "engine" "jaeger" "isBundled" (and $global.jaeger.bundled (not $global.otel.endpoint)) "url" $global.otel.endpoint "port" 4318) | nindent 4 }}
    {{- with .egress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "plinth.egress" -}}
{{- if .isBundled }}
- to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ .engine }}
          app.kubernetes.io/instance: {{ .root.Release.Name }}
  ports:
    - port: {{ .port }}
{{- else if .url }}
- ports:
    {{- range splitList "," .url | uniq }}
    - port: {{ regexFind ":[0-9]+" . | trimPrefix ":" | default ($.port | toString) }}
    {{- end }}
{{- end }}
{{- end }}
