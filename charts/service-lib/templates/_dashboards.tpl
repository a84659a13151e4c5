{{- /* The chart's dashboards/*.json, where Grafana's sidecar finds them. */ -}}
{{- define "plinth.dashboards" -}}
{{- with .Values.metrics.dashboard -}}
{{- if .enabled -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" (printf "%s-dashboards" (include "plinth.fullname" $)) "labels" .labels) | nindent 2 }}
data:
  {{- ($.Files.Glob "dashboards/*.json").AsConfig | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
