{{- /*
Who may do what on the bus. Each user has a password of its own, made once and kept over upgrades, and an inbox of its
own, `_INBOX_<user>`, so that nobody reads another's answers.
*/ -}}
{{- define "nats.auth" -}}
{{- if not .Values.global.nats.existingSecret -}}
{{- $name := include "nats.auth.secret" . -}}
{{- $passwords := dict -}}
{{- range $user := concat (list "admin" "route") (keys .Values.global.bus | sortAlpha) }}
{{- /* A password that began with a digit would be read as a number in nats.conf. */ -}}
{{- $kept := include "plinth.kept" (dict "root" $ "secret" $name "key" (printf "%s-password" $user) "new" (printf "p%s" (randAlphaNum 31))) }}
{{- $_ := set $passwords $user $kept }}
{{- end -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $name) | nindent 2 }}
type: Opaque
data:
  {{- range $user, $password := $passwords }}
  {{ $user }}-password: {{ $password }}
  {{- end }}
  auth.conf: {{ include "nats.auth.conf" (dict "users" .Values.global.bus "passwords" $passwords) | b64enc }}
{{- end }}
{{- end }}

{{- define "nats.auth.secret" -}}
{{ .Values.global.nats.existingSecret | default (printf "%s-nats-auth" .Release.Name) }}
{{- end }}

{{- define "nats.auth.conf" -}}
{{- $passwords := .passwords -}}
authorization {
  users: [
    { user: admin, password: {{ get $passwords "admin" | b64dec | quote }} }
    {{- range $user, $may := .users }}
    {
      user: {{ $user }}, password: {{ get $passwords $user | b64dec | quote }}
      permissions: {
        publish: { allow: {{ concat (list (printf "plinth.%s.v1.events.>" $user)) ($may.publish | default list) | toRawJson }} }
        subscribe: { allow: {{ concat (list (printf "plinth.%s.v1.>" $user) "$SRV.>" (printf "_INBOX_%s.>" $user)) ($may.subscribe | default list) | toRawJson }} }
        allow_responses: true
      }
    }
    {{- end }}
  ]
}
{{- end }}
