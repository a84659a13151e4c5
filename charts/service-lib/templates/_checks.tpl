{{- /* What no schema can say, because it takes two values or a cluster. Each fault names the numbers and the way out. */ -}}
{{- define "plinth.checks" -}}
{{- include "plinth.checks.stop" .root -}}
{{- include "plinth.checks.secrets" . -}}
{{- end }}

{{- /* A duration in milliseconds: 25000, "25s". */ -}}
{{- define "plinth.milliseconds" -}}
{{- $text := include "plinth.text" . -}}
{{- $unit := regexFind "[a-z]*$" $text | default "ms" -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) $unit) -}}
{{- end }}

{{- /* The kubelet kills what is not gone after the grace period, which begins with preStop. */ -}}
{{- define "plinth.checks.stop" -}}
{{- $delay := include "plinth.milliseconds" .Values.settings.shutdownDelayMs | int64 -}}
{{- $timeout := include "plinth.milliseconds" .Values.settings.shutdownTimeoutMs | int64 -}}
{{- $preStop := .Values.preStopSeconds | int64 -}}
{{- $grace := .Values.terminationGracePeriodSeconds | int64 -}}
{{- $stop := add (mul $preStop 1000) $timeout -}}
{{- if le $timeout $delay -}}
{{- fail (printf "%s: settings.shutdownDelayMs is %d ms and not below settings.shutdownTimeoutMs, %d ms: the stop would be over before it began" .Chart.Name $delay $timeout) -}}
{{- end -}}
{{- if le (mul $grace 1000) $stop -}}
{{- fail (printf "%s: terminationGracePeriodSeconds is %d s, but preStopSeconds (%d s) and settings.shutdownTimeoutMs (%d ms) together take up to %d ms: the kubelet would kill the service while it stops. Set terminationGracePeriodSeconds to %d or more, or shorten the stop" .Chart.Name $grace $preStop $timeout $stop (add (div $stop 1000) 5)) -}}
{{- end -}}
{{- end }}

{{- define "plinth.checks.secrets" -}}
{{- $root := .root -}}
{{- $global := $root.Values.global -}}
{{- if $global.apiKeys.enabled -}}
{{- include "plinth.require-secret" (dict "root" $root "setting" "global.apiKeys.existingSecret" "name" $global.apiKeys.existingSecret "keys" (list "root-key")) -}}
{{- end -}}
{{- include "plinth.require-secret" (dict "root" $root "setting" "global.nats.existingSecret" "name" $global.nats.existingSecret "keys" (list (printf "%s-password" $root.Chart.Name))) -}}
{{- if has "redis" (.engines | default list) -}}
{{- include "plinth.require-secret" (dict "root" $root "setting" "global.redis.existingSecret" "name" $global.redis.existingSecret "keys" (list "password")) -}}
{{- end -}}
{{- end }}
