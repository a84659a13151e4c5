{{- /* The services meet on the bus: a suite without one would look well and do half its work. */ -}}
{{- define "plinth.check-engines" -}}
{{- $nats := .Values.global.nats -}}
{{- if and $nats.bundled $nats.url }}
{{- fail (printf "global.nats.bundled is true and global.nats.url is %q; set one of them" $nats.url) }}
{{- end }}
{{- if not (or $nats.bundled $nats.url) }}
{{- fail "the services need NATS: set global.nats.bundled=true, or global.nats.url to yours (nats://host:4222)" }}
{{- end }}
{{- $redis := .Values.global.redis -}}
{{- if and $redis.bundled $redis.url }}
{{- fail (printf "global.redis.bundled is true and global.redis.url is %q; set one of them" $redis.url) }}
{{- end }}
{{- include "plinth.require-secret" (dict "root" . "setting" "global.apiKeys.existingSecret" "name" .Values.global.apiKeys.existingSecret "keys" (list "root-key")) }}
{{- end }}
