{{- define "nats.networkpolicy" -}}
{{- $peers := list (dict "podSelector" (dict "matchLabels" (include "plinth.selector" . | fromYaml))) -}}
{{- $servers := dict "ports" (list (dict "port" 6222)) "from" $peers -}}
{{- $out := dict "ports" (list (dict "port" 6222)) "to" $peers -}}
{{- include "plinth.engine-policy" (dict "root" . "ports" (list "nats" "monitor") "ingress" (list $servers) "egress" (list $out)) }}
{{- end }}
