{{- define "plinth.ingress" -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- with .Values.ingress -}}
{{- if .enabled -}}
{{- if not .hosts }}
{{- fail (printf "%s: ingress.enabled is true, but ingress.hosts is empty; name at least one host" $.Chart.Name) }}
{{- end -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" $fullname "annotations" .annotations) | nindent 2 }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range .hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: {{ $.Values.ingress.path }}
            pathType: Prefix
            backend:
              service:
                name: {{ $fullname }}
                port:
                  name: http
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
