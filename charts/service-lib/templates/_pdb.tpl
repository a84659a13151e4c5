{{- /* Only where there is more than one replica: of a single one, a budget would stop every drain of its node. */ -}}
{{- define "plinth.pdb" -}}
{{- with .Values.pdb -}}
{{- $scaled := or (dig "autoscaling" "enabled" false $.Values.AsMap) (dig "keda" "enabled" false $.Values.AsMap) -}}
{{- if and (include "plinth.or-ha" (dict "root" $ "value" .enabled)) (or $scaled (gt (int (include "plinth.replica-count" $)) 1)) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "plinth.metadata" (dict "root" $ "name" (include "plinth.fullname" $)) | nindent 2 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  # A pod that is broken anyway does not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "plinth.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The replicas asked for; left at null, as many as the profile wants: one, or three in `ha`. */ -}}
{{- define "plinth.replica-count" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{- ternary 3 1 (eq .Values.global.profile "ha") -}}
{{- else -}}
{{- .Values.replicas -}}
{{- end -}}
{{- end }}
