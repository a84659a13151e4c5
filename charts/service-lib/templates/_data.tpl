{{- /* The volume at /data. A StatefulSet claims one for each replica; without persistence data ends with the pod. */ -}}

{{- define "plinth.data.volume" -}}
{{- with .Values.persistence }}
{{- if not .enabled }}
- name: data
  emptyDir: {}
{{- else if .existingClaim }}
- name: data
  persistentVolumeClaim:
    claimName: {{ .existingClaim }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Members of a StatefulSet's spec. Labels of a claim's template never change, so a version has no place there. */ -}}
{{- define "plinth.data.claims" -}}
{{- $persistence := .Values.persistence -}}
{{- if and $persistence.enabled (not $persistence.existingClaim) }}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ $persistence.retention.whenDeleted }}
  whenScaled: {{ $persistence.retention.whenScaled }}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
      labels:
        {{- include "plinth.selector" . | nindent 8 }}
      {{- with $persistence.annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      accessModes:
        {{- toYaml $persistence.accessModes | nindent 8 }}
      {{- with include "plinth.storage-class" . }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ $persistence.size }}
{{- end }}
{{- end }}
