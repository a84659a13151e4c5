{{- /* What the charts of the bundled engines share besides what services have. */ -}}

{{- /* A map as the `env` of a container. */ -}}
{{- define "plinth.env-list" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ include "plinth.text" $value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* In to named ports from the namespace; out to names only: (dict "root" . "ports" (list …) "ingress" (list) "egress" (list)). */ -}}
{{- define "plinth.engine-policy" -}}
{{- $root := .root -}}
{{- if include "plinth.or-ha" (dict "root" $root "value" $root.Values.networkPolicy.enabled) -}}
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
        {{- range .ports }}
        - port: {{ . }}
        {{- end }}
      from:
        - podSelector: {}
        {{- with $root.Values.networkPolicy.from }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .ingress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
    {{- with .egress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}
