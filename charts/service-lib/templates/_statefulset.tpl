{{- define "plinth.statefulset" -}}
{{- $root := .root -}}
{{- $fullname := include "plinth.fullname" $root -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "plinth.metadata" (dict "root" $root "name" $fullname) | nindent 2 }}
spec:
  {{- include "plinth.replicas" $root | nindent 2 }}
  serviceName: {{ $fullname }}-headless
  revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- include "plinth.selector" $root | nindent 6 }}
  {{- include "plinth.data.claims" $root | nindent 2 }}
  template:
    {{- include "plinth.pod" . | nindent 4 }}
{{- end }}

{{- /* Left out where an autoscaler owns the number: two owners of one field are a conflict under server-side apply. */ -}}
{{- define "plinth.replicas" -}}
{{- if not (or (dig "autoscaling" "enabled" false .Values.AsMap) (dig "keda" "enabled" false .Values.AsMap)) -}}
replicas: {{ .Values.replicas }}
{{- end }}
{{- end }}
