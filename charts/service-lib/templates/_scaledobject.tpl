{{- define "plinth.scaledobject" -}}
{{- $root := .root -}}
{{- $kind := .kind -}}
{{- with $root.Values.keda -}}
{{- if .enabled -}}
{{- if not .triggers }}
{{- fail (printf "%s: keda.enabled is true, but keda.triggers is empty; name at least one trigger" $root.Chart.Name) }}
{{- end }}
{{- if $root.Values.autoscaling.enabled }}
{{- fail (printf "%s: autoscaling.enabled and keda.enabled are both true, but one workload has one autoscaler; set one of them to false" $root.Chart.Name) }}
{{- end -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "plinth.metadata" (dict "root" $root "name" (include "plinth.fullname" $root)) | nindent 2 }}
spec:
  scaleTargetRef:
    kind: {{ $kind }}
    name: {{ include "plinth.fullname" $root }}
  minReplicaCount: {{ .minReplicas }}
  maxReplicaCount: {{ .maxReplicas }}
  triggers:
    {{- tpl (toYaml .triggers) $root | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
