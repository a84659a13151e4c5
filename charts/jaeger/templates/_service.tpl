{{- define "jaeger.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.fullname" .) "annotations" .Values.service.annotations) | nindent 2 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    {{- include "plinth.selector" . | nindent 4 }}
  ports:
    - name: query
      port: 16686
      targetPort: query
      appProtocol: http
      {{- with .Values.service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
    - name: otlp-http
      port: 4318
      targetPort: otlp-http
      appProtocol: http
    - name: otlp-grpc
      port: 4317
      targetPort: otlp-grpc
      appProtocol: grpc
{{- end }}

{{- define "jaeger.networkpolicy" -}}
{{- include "plinth.engine-policy" (dict "root" . "ports" (list "query" "otlp-http" "otlp-grpc")) }}
{{- end }}
