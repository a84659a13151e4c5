{{- /* What NOTES.txt says of a service; first the three commands that show it at work: (dict "root" . "call" "<arguments of curl>"). */ -}}
{{- define "plinth.first-steps" -}}
{{- $root := .root -}}
{{- $namespace := include "plinth.namespace" $root -}}
{{- $keys := $root.Values.global.apiKeys -}}
{{- $port := $root.Values.service.port -}}
kubectl -n {{ $namespace }} port-forward svc/{{ include "plinth.fullname" $root }} {{ $port }}:{{ $port }} &
{{- if $keys.enabled }}
KEY=$(kubectl -n {{ $namespace }} get secret {{ $keys.existingSecret | default (include "plinth.api-keys.own" $root) }} -o jsonpath='{.data.root-key}' | base64 -d)
curl -H "Authorization: Bearer $KEY" {{ .call | replace "%url%" (printf "http://127.0.0.1:%v" $port) }}
{{- else }}
curl {{ .call | replace "%url%" (printf "http://127.0.0.1:%v" $port) }}
{{- end }}
{{- end }}

{{- define "plinth.addresses" -}}
- {{ .Chart.Name }} in the cluster: http://{{ include "plinth.fullname" . }}.{{ include "plinth.namespace" . }}:{{ .Values.service.port }}
{{- range $name, $door := include "plinth.ports.open" . | fromYaml }}
- {{ $.Chart.Name }}, {{ $name }}: {{ include "plinth.fullname" $ }}.{{ include "plinth.namespace" $ }}:{{ $door.port }}
{{- end }}
{{- if .Values.ingress.enabled }}{{ range .Values.ingress.hosts }}
- {{ $.Chart.Name }} outside: http{{ empty $.Values.ingress.tls | ternary "" "s" }}://{{ . }}{{ $.Values.ingress.path }}
{{- end }}{{ end }}
{{- if .Values.httpRoute.enabled }}{{ range .Values.httpRoute.hostnames }}
- {{ $.Chart.Name }} outside: {{ . }}{{ $.Values.httpRoute.path }}, by the gateway
{{- end }}{{ end }}
{{- end }}

{{- /* One line a danger. */ -}}
{{- define "plinth.warnings" -}}
{{- $name := .Chart.Name -}}
{{- if not .Values.global.apiKeys.enabled }}
WARNING {{ $name }}: global.apiKeys.enabled=false, so whoever reaches it may read and delete everything.
{{- end }}
{{- with .Values.persistence }}{{ if not .enabled }}
WARNING {{ $name }}: persistence.enabled=false, so data ends with the pod.
{{- end }}{{ end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.tls) }}
WARNING {{ $name }}: ingress.tls is empty, so keys travel in plain text unless TLS ends before the Ingress.
{{- end }}
{{- if and (ne .Values.service.type "ClusterIP") .Values.global.apiKeys.enabled }}
WARNING {{ $name }}: service.type={{ .Values.service.type }} leaves the cluster without TLS, so keys travel in plain text.
{{- end }}
{{- if ne .Values.service.type "ClusterIP" }}{{ range $door := include "plinth.ports.open" . | fromYaml | keys | sortAlpha }}
WARNING {{ $name }}: service.type={{ $.Values.service.type }} leaves the cluster with the port {{ $door }}, where callers are asked for no key.
{{- end }}{{ end }}
{{- if not .Values.securityContext.readOnlyRootFilesystem }}
WARNING {{ $name }}: securityContext.readOnlyRootFilesystem=false, so whoever gets in may change the program.
{{- end }}
{{- end }}
