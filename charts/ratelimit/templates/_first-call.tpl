{{- /* What to try first, after `curl`: the fourth within a minute is denied. */ -}}
{{- define "ratelimit.first-call" -}}
%url%/v1/limits/check -d '{"key":"ann","limit":{"limit":3,"windowMs":60000}}'
{{- end }}
