{{- /*
The servers' nats.conf. One server keeps its streams in another folder than a cluster does: a cluster would take streams
that it has not assigned for orphans, and delete them.
*/ -}}
{{- define "nats.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.fullname" .)) | nindent 2 }}
data:
  nats.conf: |
    {{- include "nats.conf" . | nindent 4 }}
{{- end }}

{{- define "nats.conf" -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- $servers := include "plinth.replica-count" . | int -}}
server_name: $POD_NAME
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
pid_file: /tmp/nats.pid
max_payload: {{ .Values.maxPayload }}
{{- if gt $servers 1 }}
lame_duck_duration: 30s
lame_duck_grace_period: 5s
{{- end }}
jetstream {
  store_dir: /data/{{ gt $servers 1 | ternary "cluster" "single" }}
  max_file_store: {{ .Values.jetstream.maxFileStore }}
  max_memory_store: {{ .Values.jetstream.maxMemoryStore }}
  sync_interval: {{ .Values.jetstream.syncInterval }}
}
{{- if gt $servers 1 }}
cluster {
  name: {{ $fullname }}
  listen: "0.0.0.0:6222"
  authorization { user: route, password: $ROUTE_PASSWORD }
  routes: [
    {{- range $at := until $servers }}
    $ROUTE_{{ $at }}
    {{- end }}
  ]
}
{{- end }}
include auth.conf
{{- with .Values.extraConfig }}
{{ . }}
{{- end }}
{{- end }}

{{- /* The address of another server, as a variable, since a configuration has no variables inside of texts. */ -}}
{{- define "nats.route" -}}
{{- $fullname := include "plinth.fullname" .root -}}
nats://route:$(ROUTE_PASSWORD)@{{ $fullname }}-{{ .at }}.{{ $fullname }}-headless:6222
{{- end }}

{{- /* Going from one server to three begins empty, so it has to be meant: by removing the StatefulSet of the one. */ -}}
{{- define "nats.check-servers" -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- $wanted := include "plinth.replica-count" . | int -}}
{{- if not (has $wanted (list 1 3)) }}
{{- fail (printf "nats: replicas is %d; it must be 1 or 3" $wanted) }}
{{- end }}
{{- with lookup "apps/v1" "StatefulSet" (include "plinth.namespace" .) $fullname }}
{{- if and (gt (int .spec.replicas) 0) (ne (gt (int .spec.replicas) 1) (gt $wanted 1)) }}
{{- fail (printf "nats: there is %d server and replicas is %d now, but JetStream keeps streams of one server and of three apart, so they would be missing. Save them (nats account backup), run kubectl -n %s delete statefulset %s, upgrade again, and bring them back (nats account restore)" (int .spec.replicas) $wanted (include "plinth.namespace" $) $fullname) }}
{{- end }}
{{- end }}
{{- end }}
