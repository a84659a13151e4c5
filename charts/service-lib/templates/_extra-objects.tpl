{{- /* Objects that a user adds, templates allowed. */ -}}
{{- define "plinth.extra-objects" -}}
{{- range $at, $object := .Values.extraObjects }}
{{- if $at }}
---
{{- end }}
{{ tpl (toYaml $object) $ }}
{{- end }}
{{- end }}
