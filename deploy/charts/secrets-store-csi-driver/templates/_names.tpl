{{- /* Names and labels. Those of objects that upstream's chart has too are the same as there. */ -}}

{{- define "driver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Of the DaemonSet: the release's name, with the chart's where that does not say it already. */ -}}
{{- define "driver.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* For commonLabels, minus what the chart itself says, so that no key is there twice and no selector goes astray. */ -}}
{{- define "driver.labels" -}}
{{- $own := dict
  "app" (include "driver.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/name" (include "driver.name" .)
  "app.kubernetes.io/version" .Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
-}}
{{- merge $own (.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{- /* An image by its digest, or else by its tag, which may be a digest or have one behind it. */ -}}
{{- define "driver.pinned" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else if hasPrefix "@" .tag -}}
{{ .repository }}{{ .tag }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}

{{- /*
True text where the values name the upstream driver's image, which does not know this driver's flags: by the last
elements of its path, since a mirror keeps those under any host, or joins them into one. So driver-crds is one too.
*/ -}}
{{- define "driver.isUpstreamImage" -}}
{{- $image := .Values.linux.image -}}
{{- if not $image.isThisDriver -}}
{{- if regexMatch "(^|[/_.-])(csi-)?secrets-store[/_.-]driver(-crds)?$" $image.repository -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{- /* True text where it is the upstream chart's own default, which says nothing about a registry of anybody's. */ -}}
{{- define "driver.isUpstreamDefault" -}}
{{- if include "driver.isUpstreamImage" . -}}
{{- if regexMatch "^(registry\\.k8s\\.io|k8s\\.gcr\\.io)/" .Values.linux.image.repository -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{- /* This driver's image where the values name none. */ -}}
{{- define "driver.ownImage" -}}
localhost/secrets-store-csi-driver:v{{ .Chart.AppVersion }}
{{- end -}}

{{- define "driver.image" -}}
{{- if include "driver.isUpstreamDefault" . -}}
{{- include "driver.ownImage" . -}}
{{- else -}}
{{- $image := .Values.linux.image -}}
{{- $tag := $image.tag | default (printf "v%s" .Chart.AppVersion) -}}
{{- include "driver.pinned" (dict "repository" $image.repository "digest" $image.digest "tag" $tag) -}}
{{- end -}}
{{- end -}}

{{- /* A map in JSON: each directory of provider sockets by the name of its volume. */ -}}
{{- define "driver.providerDirs" -}}
{{- $main := .Values.linux.providersDir -}}
{{- $dirs := dict "providers-dir" $main -}}
{{- range $index, $dir := .Values.linux.additionalProvidersDirs -}}
{{- if ne $dir $main -}}
{{- $_ := set $dirs (printf "providers-dir-%d" $index) $dir -}}
{{- end -}}
{{- end -}}
{{- toJson $dirs -}}
{{- end -}}

{{- /* Port of an address such as :8095; empty where there is no listener. */ -}}
{{- define "driver.metricsPort" -}}
{{- $port := .Values.linux.metricsAddr | toString | splitList ":" | last -}}
{{- if ne $port "0" -}}{{ $port }}{{- end -}}
{{- end -}}

{{- /* True text where the cluster has a definition of that name which is not this release's; of no cluster, none is. */ -}}
{{- define "driver.foreignDefinition" -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- if $found -}}
{{- $annotations := $found.metadata.annotations | default dict -}}
{{- $name := index $annotations "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" | default "" -}}
{{- if not (and (eq $name .release.Name) (eq $namespace .release.Namespace)) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
