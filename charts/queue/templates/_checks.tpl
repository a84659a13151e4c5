{{- /* What no schema can say, because it takes two values. */ -}}
{{- define "queue.checks" -}}
{{- $names := dict -}}
{{- $targets := dict -}}
{{- range $scaled := .Values.keda.scaledObjects -}}
{{- if hasKey $names $scaled.name -}}
{{- fail (printf "queue: keda.scaledObjects has two of the name %s" $scaled.name) -}}
{{- end -}}
{{- $_ := set $names $scaled.name true -}}
{{- $target := printf "%s %s" ($scaled.scaleTargetRef.kind | default "Deployment") $scaled.scaleTargetRef.name -}}
{{- if hasKey $targets $target -}}
{{- fail (printf "queue: keda.scaledObjects %s and %s both scale %s, but one workload has one autoscaler. Give each queue workers of its own" (get $targets $target) $scaled.name $target) -}}
{{- end -}}
{{- $_ := set $targets $target $scaled.name -}}
{{- $least := $scaled.minReplicaCount | default 0 | int -}}
{{- $most := $scaled.maxReplicaCount | default 10 | int -}}
{{- if gt $least $most -}}
{{- fail (printf "queue: keda.scaledObjects %s: minReplicaCount is %d and above maxReplicaCount, %d" $scaled.name $least $most) -}}
{{- end -}}
{{- end -}}
{{- if .Values.keda.scaledObjects -}}
{{- include "plinth.require-secret" (dict "root" . "setting" "keda.apiKey.secret" "name" .Values.keda.apiKey.secret "keys" (list .Values.keda.apiKey.key)) -}}
{{- end -}}
{{- end }}
