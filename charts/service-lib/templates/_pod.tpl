{{- /* The pod of a service, for StatefulSet and Deployment alike; takes what `plinth.service-chart` takes. */ -}}
{{- define "plinth.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
metadata:
  labels:
    {{- toYaml (merge (include "plinth.labels" $root | fromYaml) $values.podLabels) | nindent 4 }}
  {{- with merge (dict) $values.podAnnotations ($values.commonAnnotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "plinth.serviceaccount.name" $root }}
  automountServiceAccountToken: {{ $values.serviceAccount.automountToken }}
  enableServiceLinks: false
  {{- include "plinth.pull-secrets" $root | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- include "plinth.scheduling" $root | nindent 2 }}
  {{- with $values.initContainers }}
  initContainers:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $root.Chart.Name }}
      image: {{ include "plinth.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      workingDir: /app/services/{{ $root.Chart.Name }}
      command:
        {{- toYaml $values.command | nindent 8 }}
      env:
        {{- include "plinth.environment" . | trim | nindent 8 }}
      {{- with $values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ $values.service.port }}
        {{- include "plinth.ports.container" $root | nindent 8 }}
      startupProbe:
        {{- include "plinth.probe" (dict "path" "/healthz" "probe" $values.probes.startup) | nindent 8 }}
      readinessProbe:
        {{- include "plinth.probe" (dict "path" "/readyz" "probe" $values.probes.readiness) | nindent 8 }}
      livenessProbe:
        {{- include "plinth.probe" (dict "path" "/healthz" "probe" $values.probes.liveness) | nindent 8 }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $values.preStopSeconds }}
      {{- end }}
      # The last lines of a process that died stand in `kubectl describe pod`.
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $values.persistence }}
        - name: data
          mountPath: /data
        {{- end }}
        {{- include "plinth.api-keys.mount" $root | nindent 8 }}
        {{- include "plinth.rules.mount" $root | nindent 8 }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.extraContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- include "plinth.data.volume" $root | nindent 4 }}
    {{- include "plinth.api-keys.volume" $root | nindent 4 }}
    {{- include "plinth.rules.volume" $root | nindent 4 }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "plinth.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml .probe }}
{{- end }}

{{- /* Where pods go. Left empty, replicas spread over zones and nodes as far as they can. */ -}}
{{- define "plinth.scheduling" -}}
{{- $values := .Values -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- with $values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "plinth.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
