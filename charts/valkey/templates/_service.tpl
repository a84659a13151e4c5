{{- define "valkey.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.fullname" .) "annotations" .Values.service.annotations) | nindent 2 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    {{- include "plinth.selector" . | nindent 4 }}
  ports:
    - name: redis
      port: 6379
      targetPort: redis
      appProtocol: redis
      {{- with .Values.service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end }}

{{- define "valkey.networkpolicy" -}}
{{- include "plinth.engine-policy" (dict "root" . "ports" (list "redis")) }}
{{- end }}
