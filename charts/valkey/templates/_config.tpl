{{- define "valkey.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.fullname" .)) | nindent 2 }}
data:
  valkey.conf: |
    {{- include "valkey.conf" . | nindent 4 }}
{{- end }}

{{- /* Queues and limits are no cache: nothing is evicted, and what is acknowledged is in the append-only file. */ -}}
{{- define "valkey.conf" -}}
dir /data
port 6379
appendonly yes
appendfsync {{ .Values.appendfsync }}
# The append-only file holds everything already.
save ""
maxmemory {{ .Values.maxmemory }}
maxmemory-policy noeviction
{{- with .Values.extraConfig }}
{{ . }}
{{- end }}
{{- end }}

{{- define "valkey.auth.secret" -}}
{{ .Values.global.redis.existingSecret | default (printf "%s-valkey-auth" .Release.Name) }}
{{- end }}

{{- define "valkey.auth" -}}
{{- if not .Values.global.redis.existingSecret -}}
{{- $name := include "valkey.auth.secret" . -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $name) | nindent 2 }}
type: Opaque
data:
  password: {{ include "plinth.kept" (dict "root" . "secret" $name "key" "password" "new" (randAlphaNum 32)) }}
{{- end }}
{{- end }}
