{{- /* `helm test`: the service's own smoke test, real writes and reads through its Service. Kept when it fails. */ -}}
{{- define "plinth.test" -}}
{{- if .Values.helmTest.enabled -}}
{{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
apiVersion: v1
kind: Pod
metadata:
  {{- /* Other labels than the service's pods: its Service would send requests here. */ -}}
  {{- $labels := dict "app.kubernetes.io/name" (printf "%s-test" (include "plinth.name" .)) }}
  name: {{ include "plinth.fullname" . }}-test
  namespace: {{ include "plinth.namespace" . }}
  labels:
    {{- toYaml (merge $labels (include "plinth.labels" . | fromYaml)) | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "plinth.serviceaccount.name" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- include "plinth.pull-secrets" . | nindent 2 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: smoke
      image: {{ include "plinth.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      workingDir: /app/services/{{ .Chart.Name }}
      command: [node, smoke/main.ts]
      env:
        {{- if .Values.global.apiKeys.enabled }}
        - name: API_ROOT_KEY_FILE
          value: /run/secrets/plinth/root-key
        {{- end }}
        - name: {{ include "plinth.prefix" . }}_URL
          value: http://{{ include "plinth.fullname" . }}:{{ .Values.service.port }}
        {{- range $name, $door := include "plinth.ports.open" . | fromYaml }}
        - name: {{ include "plinth.prefix" $ }}_{{ upper $name }}_ADDRESS
          value: {{ include "plinth.fullname" $ }}:{{ $door.port }}
        {{- end }}
      resources:
        {{- toYaml .Values.helmTest.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- include "plinth.api-keys.mount" . | nindent 8 }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- include "plinth.api-keys.volume" . | nindent 4 }}
{{- end }}
{{- end }}
