{{- /*
Alerts: those of every service, here, and the chart's own in its alerts.yaml. There `%selector%` stands for this
release's series.
*/ -}}
{{- define "plinth.prometheusrule" -}}
{{- $selector := printf "namespace=%q,job=%q" (include "plinth.namespace" .) (include "plinth.fullname" .) -}}
{{- $prefix := printf "plinth_%s" (.Chart.Name | replace "-" "_") -}}
{{- with .Values.metrics.prometheusRule -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" (include "plinth.fullname" $) "labels" .labels) | nindent 2 }}
spec:
  groups:
    - name: {{ include "plinth.fullname" $ }}
      rules:
        - alert: PlinthDown
          expr: up{ {{- $selector -}} } == 0 or absent(up{ {{- $selector -}} })
          for: 2m
          labels: {severity: critical}
          annotations: {summary: "{{ $.Chart.Name }} answers no scrape"}
        - alert: PlinthErrors
          expr: >-
            sum(rate({{ $prefix }}_http_requests_total{ {{- $selector -}} ,status=~"5.."}[5m]))
            > 0.01 * sum(rate({{ $prefix }}_http_requests_total{ {{- $selector -}} }[5m]))
          for: 5m
          labels: {severity: warning}
          annotations: {summary: "More than 1 % of the requests to {{ $.Chart.Name }} fail"}
        - alert: PlinthEventLoopLate
          expr: nodejs_eventloop_lag_p99_seconds{ {{- $selector -}} } > 0.25
          for: 5m
          labels: {severity: warning}
          annotations: {summary: "{{ $.Chart.Name }} has more work than one core does: timers are 250 ms late"}
        {{- with $.Files.Get "alerts.yaml" }}
        {{- . | replace "%selector%" $selector | nindent 8 }}
        {{- end }}
        {{- with .extraRules }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
{{- end }}
{{- end }}
