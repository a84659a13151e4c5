{{- /*
Rules of a service, by the names of their files: a ConfigMap that is mounted as a folder. Pods are not restarted for a
change, since the service reads the folder again; so the folder is there before there is anything in it.
*/ -}}
{{- define "plinth.rules" -}}
{{- if hasKey .Values "rules" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.rules.name" .)) | nindent 2 }}
data:
  {{- toYaml .Values.rules | nindent 2 }}
{{- end }}
{{- end }}

{{- define "plinth.rules.name" -}}
{{ include "plinth.fullname" . }}-rules
{{- end }}

{{- define "plinth.rules.folder" -}}
/etc/plinth/rules
{{- end }}

{{- define "plinth.rules.volume" -}}
{{- if hasKey .Values "rules" }}
- name: rules
  configMap:
    name: {{ include "plinth.rules.name" . }}
{{- end }}
{{- end }}

{{- define "plinth.rules.mount" -}}
{{- if hasKey .Values "rules" }}
- name: rules
  mountPath: {{ include "plinth.rules.folder" . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "plinth.environment.rules" -}}
{{- if hasKey .Values "rules" }}
{{ include "plinth.prefix" . }}_RULES_DIR: {{ include "plinth.rules.folder" . }}
{{- end }}
{{- end }}
