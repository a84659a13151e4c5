{{- /*
Workers scaled by KEDA: it asks the service itself for `load` of a queue, the jobs that a worker could have or has now. So a
Deployment is not scaled to none while one of its jobs runs, and a queue that is paused has no load but those. The answer
has all its numbers also for a queue that nobody has used yet.
*/ -}}
{{- define "queue.scaledobjects" -}}
{{- range $scaled := .Values.keda.scaledObjects }}
---
{{ include "queue.scaledobject" (dict "root" $ "scaled" $scaled) }}
{{- end }}
{{- if and .Values.keda.scaledObjects .Values.global.apiKeys.enabled }}
---
{{ include "queue.scaledobjects.authentication" . }}
{{- end }}
{{- end }}

{{- define "queue.scaledobject" -}}
{{- $root := .root -}}
{{- $scaled := .scaled -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "plinth.metadata" (dict "root" $root "name" (printf "%s-%s" (include "plinth.fullname" $root) $scaled.name) "annotations" $scaled.annotations) | nindent 2 }}
spec:
  scaleTargetRef:
    {{- toYaml $scaled.scaleTargetRef | nindent 4 }}
  minReplicaCount: {{ include "plinth.text" ($scaled.minReplicaCount | default 0) }}
  maxReplicaCount: {{ include "plinth.text" ($scaled.maxReplicaCount | default 10) }}
  pollingInterval: {{ include "plinth.text" ($scaled.pollingInterval | default 5) }}
  {{- range $member := list "cooldownPeriod" "initialCooldownPeriod" "idleReplicaCount" }}
  {{- if hasKey $scaled $member }}
  {{ $member }}: {{ include "plinth.text" (get $scaled $member) }}
  {{- end }}
  {{- end }}
  {{- range $member := list "fallback" "advanced" }}
  {{- with get $scaled $member }}
  {{ $member }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  triggers:
    {{- $load := dict "valueLocation" "load" "targetValue" ($scaled.targetDepth | default 10) "activationTargetValue" ($scaled.activationDepth | default 0) }}
    {{- include "queue.scaledobject.trigger" (dict "root" $root "queue" $scaled.queue "name" "load" "metricType" "AverageValue" "metadata" $load) | nindent 4 }}
    {{- with $scaled.oldestWaitingMs }}
    {{- /* Ten years: age multiplies pods, and wakes none. The jobs of a paused queue grow old too. */ -}}
    {{- $age := dict "valueLocation" "oldestWaitingMs" "targetValue" . "activationTargetValue" 315360000000 }}
    {{- include "queue.scaledobject.trigger" (dict "root" $root "queue" $scaled.queue "name" "oldest-waiting" "metricType" "Value" "metadata" $age) | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* One figure of the stats. All members of `metadata` are texts. */ -}}
{{- define "queue.scaledobject.trigger" -}}
{{- $root := .root -}}
- type: metrics-api
  name: {{ .name }}
  metricType: {{ .metricType }}
  metadata:
    url: http://{{ include "plinth.fullname" $root }}.{{ include "plinth.namespace" $root }}.svc:{{ $root.Values.service.port }}/v1/queues/{{ .queue }}/stats
    {{- range $member, $value := .metadata }}
    {{ $member }}: {{ include "plinth.text" $value | quote }}
    {{- end }}
    {{- if $root.Values.global.apiKeys.enabled }}
    authMode: apiKey
    method: header
    keyParamName: Api-Key
    {{- end }}
  {{- if $root.Values.global.apiKeys.enabled }}
  authenticationRef:
    name: {{ include "queue.scaledobjects.authentication.name" $root }}
  {{- end }}
{{- end }}

{{- define "queue.scaledobjects.authentication" -}}
{{- $key := .Values.keda.apiKey -}}
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "queue.scaledobjects.authentication.name" .)) | nindent 2 }}
spec:
  secretTargetRef:
    - parameter: apiKey
      name: {{ $key.secret | default .Values.global.apiKeys.existingSecret | default (include "plinth.api-keys.own" .) }}
      key: {{ $key.key }}
{{- end }}

{{- define "queue.scaledobjects.authentication.name" -}}
{{ include "plinth.fullname" . }}-stats
{{- end }}
