{{- /*
Doors besides HTTP, each by its name in `ports`: {port, appProtocol, nodePort}. Without a port a door stays closed: the
service then listens for it on loopback alone.
*/ -}}
{{- define "plinth.ports.open" -}}
{{- $open := dict -}}
{{- range $name, $door := .Values.ports }}
{{- if $door.port }}
{{- $_ := set $open $name $door }}
{{- end }}
{{- end }}
{{- toYaml $open }}
{{- end }}

{{- /* Of a container. */ -}}
{{- define "plinth.ports.container" -}}
{{- range $name, $door := include "plinth.ports.open" . | fromYaml }}
- name: {{ $name }}
  containerPort: {{ $door.port }}
{{- end }}
{{- end }}

{{- /* Of a Service. */ -}}
{{- define "plinth.ports.service" -}}
{{- range $name, $door := include "plinth.ports.open" . | fromYaml }}
- name: {{ $name }}
  port: {{ $door.port }}
  targetPort: {{ $name }}
  {{- with $door.appProtocol }}
  appProtocol: {{ . }}
  {{- end }}
  {{- with $door.nodePort }}
  nodePort: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* RATELIMIT_RLS_HOST and RATELIMIT_RLS_PORT of the door `rls`. */ -}}
{{- define "plinth.environment.ports" -}}
{{- range $name, $door := include "plinth.ports.open" . | fromYaml }}
{{ include "plinth.prefix" $ }}_{{ upper $name }}_HOST: 0.0.0.0
{{ include "plinth.prefix" $ }}_{{ upper $name }}_PORT: {{ $door.port }}
{{- end }}
{{- end }}
