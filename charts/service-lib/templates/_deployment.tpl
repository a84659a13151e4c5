{{- define "plinth.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "plinth.metadata" (dict "root" $root "name" (include "plinth.fullname" $root)) | nindent 2 }}
spec:
  {{- include "plinth.replicas" $root | nindent 2 }}
  revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- include "plinth.selector" $root | nindent 6 }}
  # A new pod is ready before an old one goes.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    {{- include "plinth.pod" . | nindent 4 }}
{{- end }}
