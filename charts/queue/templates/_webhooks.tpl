{{- /*
Where webhooks and callbacks may go, as a part of the policy. Private networks, which the service itself refuses, are left
out here too, unless it is told to allow them.
*/ -}}
{{- define "queue.webhooks.egress" -}}
{{- if .Values.networkPolicy.webhooks }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        {{- if not .Values.settings.allowPrivateTargets }}
        except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
        {{- end }}
    - ipBlock:
        cidr: ::/0
        {{- if not .Values.settings.allowPrivateTargets }}
        except: ["::1/128", "fc00::/7", "fe80::/10"]
        {{- end }}
{{- else }}
[]
{{- end }}
{{- end }}
