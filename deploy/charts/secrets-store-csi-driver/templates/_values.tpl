{{- /*
Values as their writers mean them. Every template begins with this, and then reads .Values as it is used to.

A values file that exists was written for the upstream chart, by hand, by Terraform or by a parent chart. So there are
sections with nothing below them, booleans and numbers in quotes; and `helm upgrade --reuse-values` from a release of
the upstream chart leaves this chart without all values that it alone has. What is missing gets its default here, and
what is there gets the type of its default. Settling what is settled changes nothing.
*/ -}}
{{- define "driver.settle" -}}
{{- $values := .Values | toJson | fromJson -}}
{{- include "driver.fill" (dict "values" $values "defaults" (.Files.Get "files/values.yaml" | fromYaml)) -}}
{{- range $values.tokenRequests -}}
{{- if kindIs "string" .expirationSeconds -}}
{{- $_ := set . "expirationSeconds" (int64 .expirationSeconds) -}}
{{- end -}}
{{- end -}}
{{- $_ := set . "Values" $values -}}
{{- end -}}

{{- /* Changes the values of a section, and of those in it, by their defaults. */ -}}
{{- define "driver.fill" -}}
{{- $values := .values -}}
{{- /* Of these, nothing is a choice too, and what is in them is Kubernetes' matter. */ -}}
{{- $free := list
  "additionalProvidersDirs" "affinity" "labels" "maxCallRecvMsgSize" "providerHealthCheckInterval" "resources"
  "tolerations"
-}}
{{- range $name, $default := .defaults -}}
{{- $value := index $values $name -}}
{{- if kindIs "invalid" $value -}}
{{- if not (has $name $free) -}}{{- $_ := set $values $name $default -}}{{- end -}}
{{- else if and (kindIs "map" $default) (kindIs "map" $value) (not (has $name $free)) -}}
{{- include "driver.fill" (dict "values" $value "defaults" $default) -}}
{{- else if and (kindIs "bool" $default) (kindIs "string" $value) -}}
{{- $_ := set $values $name (has (lower $value) (list "true" "yes" "on" "1")) -}}
{{- else if and (kindIs "float64" $default) (kindIs "string" $value) (regexMatch "^[0-9]+$" $value) -}}
{{- $_ := set $values $name (int64 $value) -}}
{{- else if and (kindIs "string" $default) (kindIs "float64" $value) -}}
{{- $_ := set $values $name (int64 $value | toString) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A map in JSON: what becomes of each value that this chart has no name for, "misspelt" or "condition". */ -}}
{{- define "driver.foreignValues" -}}
{{- $known := concat
  (.Files.Get "files/values.yaml" | fromYaml | keys)
  (list "global" "filteredWatchSecret" "grpcSupportedProviders" "minimumProviderVersions")
-}}
{{- $words := printf "(?i)%s" (join "|" (list
  "account" "check" "crd" "dashboard" "format" "grafana" "health" "image" "interval" "json" "label" "linux" "log" "mount"
  "monitor" "network" "policy" "poll" "probe" "prometheus" "provider" "rbac" "rotat" "rule" "secret" "service" "sidecar"
  "sync" "token" "verbos" "windows"
)) -}}
{{- $found := dict -}}
{{- range $name, $value := .Values -}}
{{- if not (or (has $name $known) (regexMatch "^(x-|[._])" $name)) -}}
{{- /* The driver's own name is in many a name of a condition, and in none of a value. */ -}}
{{- $rest := regexReplaceAll "(?i)secrets?[-_]?store" $name "" -}}
{{- $isSwitch := or (kindIs "bool" $value) (has (toString $value | lower) (list "true" "false")) -}}
{{- $_ := set $found $name (ternary "condition" "misspelt" (and $isSwitch (not (regexMatch $words $rest)))) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
