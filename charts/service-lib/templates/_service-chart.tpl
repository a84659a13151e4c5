{{- /*
A whole service: every resource its values ask for, checks first. A service's chart is this one line,
    {{ include "plinth.service-chart" (dict "root" . "kind" "StatefulSet") }}
"kind" is StatefulSet for a service that keeps data, else Deployment. "engines" names what it needs besides the bus:
    (dict "root" . "kind" "Deployment" "engines" (list "redis"))
"environment" are variables that the chart decides itself, and `settings` may decide otherwise. "egress" are rules for the
network policy besides those of every service.
What a chart's values leave out (autoscaling of a store that runs once, say) is not rendered.
*/ -}}
{{- define "plinth.service-chart" -}}
{{- $root := .root -}}
{{- include "plinth.checks" . -}}
{{- $documents := list
  (include "plinth.serviceaccount" $root)
  (ternary (include "plinth.api-keys" $root) "" $root.Chart.IsRoot)
  (include "plinth.rules" $root)
  (include "plinth.service" $root)
  (include (ternary "plinth.statefulset" "plinth.deployment" (eq .kind "StatefulSet")) .)
  (include "plinth.pdb" $root)
  (include "plinth.hpa" .)
  (include "plinth.scaledobject" .)
  (include "plinth.networkpolicy" .)
  (include "plinth.ingress" $root)
  (include "plinth.httproute" $root)
  (include "plinth.servicemonitor" $root)
  (include "plinth.prometheusrule" $root)
  (include "plinth.dashboards" $root)
  (include "plinth.test" $root)
  (include "plinth.extra-objects" $root)
-}}
{{- range $documents }}
{{- with trim . }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end }}
