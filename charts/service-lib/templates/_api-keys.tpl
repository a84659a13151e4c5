{{- /*
The Secret with the root key, made once: an upgrade finds it and keeps the key. `helm template` sees no cluster and makes
a new one each time; those who apply its output should bring a Secret of their own. Keys in `hashed` are a part of the
same Secret, also beside a root key from elsewhere.
*/ -}}
{{- define "plinth.api-keys" -}}
{{- $keys := .Values.global.apiKeys -}}
{{- if and $keys.enabled (or $keys.hashed (not $keys.existingSecret)) -}}
{{- $name := include "plinth.api-keys.own" . -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $name) | nindent 2 }}
type: Opaque
data:
  {{- if not $keys.existingSecret }}
  root-key: {{ include "plinth.kept" (dict "root" . "secret" $name "key" "root-key" "new" (include "plinth.new-key" .)) }}
  {{- end }}
  {{- with $keys.hashed }}
  keys: {{ printf "%s\n" (join "\n" .) | b64enc }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "plinth.api-keys.own" -}}
{{ .Release.Name }}-api-keys
{{- end }}

{{- /* The form that services make keys in: plk_ and 32 random bytes. */ -}}
{{- define "plinth.new-key" -}}
plk_{{ randBytes 32 | replace "+" "-" | replace "/" "_" | trimSuffix "=" }}
{{- end }}

{{- /* A volume with the files root-key and keys; Kubernetes replaces them when the Secrets change. */ -}}
{{- define "plinth.api-keys.volume" -}}
{{- $keys := .Values.global.apiKeys -}}
{{- if $keys.enabled }}
- name: api-keys
  projected:
    sources:
      - secret:
          name: {{ $keys.existingSecret | default (include "plinth.api-keys.own" .) }}
          items:
            - key: root-key
              path: root-key
      {{- if $keys.hashed }}
      - secret:
          name: {{ include "plinth.api-keys.own" . }}
          items:
            - key: keys
              path: keys
      {{- end }}
{{- end }}
{{- end }}

{{- define "plinth.api-keys.mount" -}}
{{- if .Values.global.apiKeys.enabled }}
- name: api-keys
  mountPath: /run/secrets/plinth
  readOnly: true
{{- end }}
{{- end }}
