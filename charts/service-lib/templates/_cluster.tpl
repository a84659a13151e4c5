{{- /*
What is there already. Helm answers nothing at all when it has no cluster (`helm template`, a dry run on the client), and
then nothing is found wrong. Secrets of the namespace are what every installer may read, since Helm keeps its own there.
*/ -}}

{{- define "plinth.reachable" -}}
{{- if lookup "v1" "Secret" (include "plinth.namespace" .) "" }}true{{ end -}}
{{- end }}

{{- /* A value of a Secret in base64, as it is in the cluster, or a new one: (dict "root" . "secret" "…" "key" "…" "new" "…"). */ -}}
{{- define "plinth.kept" -}}
{{- $there := lookup "v1" "Secret" (include "plinth.namespace" .root) .secret -}}
{{- get ($there.data | default dict) .key | default (b64enc .new) -}}
{{- end }}

{{- /* Fails when a Secret that somebody named is not there: (dict "root" . "setting" "…" "name" "…" "keys" (list …)). */ -}}
{{- define "plinth.require-secret" -}}
{{- if and .name (include "plinth.reachable" .root) -}}
{{- $namespace := include "plinth.namespace" .root -}}
{{- $secret := lookup "v1" "Secret" $namespace .name -}}
{{- if not $secret -}}
{{- fail (printf "%s is %q, but namespace %s has no Secret of that name; it must hold: %s" .setting .name $namespace (join ", " .keys)) -}}
{{- end -}}
{{- range $key := .keys -}}
{{- if not (hasKey ($secret.data | default dict) $key) -}}
{{- fail (printf "%s is %q, but that Secret has no key %s; it has: %s" $.setting $.name $key (keys ($secret.data | default dict) | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /*
The storage class of a claim. One that is named is looked for, since a claim of a class that is not there waits for ever
and says so only to those who ask.
*/ -}}
{{- define "plinth.storage-class" -}}
{{- $own := .Values.persistence.storageClass -}}
{{- $class := $own | default .Values.global.storageClass -}}
{{- if and $class (include "plinth.reachable" .) (not (lookup "storage.k8s.io/v1" "StorageClass" "" $class)) -}}
{{- $setting := empty $own | ternary "global.storageClass" (printf "%s: persistence.storageClass" .Chart.Name) -}}
{{- fail (printf "%s is %q, and the cluster has no such StorageClass; it has: %s" $setting $class (include "plinth.storage-classes" .)) -}}
{{- end -}}
{{- $class -}}
{{- end }}

{{- define "plinth.storage-classes" -}}
{{- $names := list -}}
{{- range (lookup "storage.k8s.io/v1" "StorageClass" "" "").items -}}
{{- $names = append $names .metadata.name -}}
{{- end -}}
{{- join ", " $names | default "none" -}}
{{- end }}
