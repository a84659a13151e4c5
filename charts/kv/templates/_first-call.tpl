{{- /* What to try first, after `curl`. */ -}}
{{- define "kv.first-call" -}}
-X PUT %url%/v1/kv/hello/world -d 'it works'
{{- end }}
