{{- define "nats.services" -}}
{{- $fullname := include "plinth.fullname" . -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $fullname "annotations" .Values.service.annotations) | nindent 2 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    {{- include "plinth.selector" . | nindent 4 }}
  ports:
    - name: nats
      port: 4222
      targetPort: nats
      appProtocol: nats
      {{- with .Values.service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
---
# Servers find each other here before they are ready; the monitor stays inside.
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
    - name: nats
      port: 4222
      targetPort: nats
    - name: monitor
      port: 8222
      targetPort: monitor
    {{- if gt (include "plinth.replica-count" . | int) 1 }}
    - name: cluster
      port: 6222
      targetPort: cluster
    {{- end }}
{{- end }}
