{{- define "plinth.service" -}}
{{- $service := .Values.service -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- $scrape := dict "prometheus.io/scrape" "true" "prometheus.io/path" "/metrics" "prometheus.io/port" ($service.port | toString) -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $fullname "annotations" (merge (deepCopy $service.annotations) (ternary $scrape dict .Values.metrics.scrapeAnnotations))) | nindent 2 }}
spec:
  type: {{ $service.type }}
  {{- with $service.trafficDistribution }}
  trafficDistribution: {{ . }}
  {{- end }}
  selector:
    {{- include "plinth.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ $service.port }}
      targetPort: http
      appProtocol: http
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
    {{- include "plinth.ports.service" . | nindent 4 }}
{{- if .Values.persistence }}
---
# Gives each pod a name of its own, also before it is ready.
apiVersion: v1
kind: Service
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (printf "%s-headless" $fullname) "labels" (dict "app.kubernetes.io/component" "headless")) | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "plinth.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ $service.port }}
      targetPort: http
{{- end }}
{{- end }}
