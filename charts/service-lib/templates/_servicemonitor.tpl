{{- define "plinth.servicemonitor" -}}
{{- with .Values.metrics.serviceMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" (include "plinth.fullname" $) "labels" .labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "plinth.selector" $ | nindent 6 }}
    # Else the headless Service would have every pod scraped twice.
    matchExpressions:
      - key: app.kubernetes.io/component
        operator: NotIn
        values: [headless]
  endpoints:
    - port: http
      path: /metrics
      interval: {{ .interval }}
{{- end }}
{{- end }}
{{- end }}
