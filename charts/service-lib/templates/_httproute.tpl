{{- define "plinth.httproute" -}}
{{- with .Values.httpRoute -}}
{{- if .enabled -}}
{{- if not .parentRefs }}
{{- fail (printf "%s: httpRoute.enabled is true, but httpRoute.parentRefs is empty; name at least one Gateway" $.Chart.Name) }}
{{- end -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" (include "plinth.fullname" $) "annotations" .annotations) | nindent 2 }}
spec:
  parentRefs:
    {{- toYaml .parentRefs | nindent 4 }}
  {{- with .hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: {{ .path }}
      {{- with .timeouts }}
      timeouts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      backendRefs:
        - name: {{ include "plinth.fullname" $ }}
          port: {{ $.Values.service.port }}
{{- end }}
{{- end }}
{{- end }}
