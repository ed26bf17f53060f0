{{/*
The name of every object: the release's own, so that two releases never share one. A release may be called what a
Service may not (dots, a digit first) or may be too long for what is appended: then it ends in a hash of the release's name.
*/}}
{{- define "brinery.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" .Release.Name "-" -}}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "m-%s" $name }}{{ end -}}
{{- if or (ne $name .Release.Name) (gt (len $name) 50) -}}
{{- $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (sha256sum .Release.Name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* Any text or number as text: a large number comes out of YAML as a float, which would be written as 1e+06. */}}
{{- define "brinery.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ . | int64 }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Any text as the value of a label. */}}
{{- define "brinery.label" -}}
{{- regexReplaceAll "^[^A-Za-z0-9]+|[^A-Za-z0-9]+$" (regexReplaceAll "[^A-Za-z0-9_.-]" (include "brinery.text" .) "-" | trunc 63) "" | quote -}}
{{- end -}}

{{- define "brinery.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end -}}

{{/* What is the same on every object and on every pod of the release. */}}
{{- define "brinery.releaseLabels" -}}
app.kubernetes.io/name: {{ include "brinery.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* The labels by which Service, Deployment and policies know the pods that serve: they never change. */}}
{{- define "brinery.selectorLabels" -}}
{{ include "brinery.releaseLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{/* Labels that follow the release of the software and the model: new ones make new pods. */}}
{{- define "brinery.modelLabels" -}}
app.kubernetes.io/version: {{ include "brinery.label" .Chart.AppVersion }}
{{- if ne (toString .Values.model.name) "" }}
brinery/model-name: {{ include "brinery.label" .Values.model.name }}
{{- end }}
{{- if ne (toString .Values.model.version) "" }}
brinery/model-version: {{ include "brinery.label" .Values.model.version }}
{{- end }}
{{- end -}}

{{- define "brinery.labels" -}}
{{ include "brinery.releaseLabels" . }}
{{ include "brinery.modelLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ include "brinery.label" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- end -}}

{{- define "brinery.image" -}}
{{- .Values.image.repository }}:{{ include "brinery.text" .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "brinery.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "brinery.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end -}}

{{- define "brinery.keysSecret" -}}
{{- if .Values.auth.existingSecret }}{{ .Values.auth.existingSecret }}{{ else if .Values.auth.apiKeys }}{{ include "brinery.fullname" . }}-keys{{ end -}}
{{- end -}}

{{/* http or https: what the container speaks. */}}
{{- define "brinery.scheme" -}}
{{ ternary "https" "http" (ne .Values.tls.secretName "") }}
{{- end -}}

{{- define "brinery.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.user }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
{{- /* A volume of many files is not gone through at each start. */}}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "brinery.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/*
One probe: (dict "root" $ "route" "/api/..." "times" .Values.probes.x). Where only clients with a certificate may
connect, kubelet cannot ask; the server listens only when it can predict, so a connection says nearly as much.
*/}}
{{- define "brinery.probe" -}}
{{- if .root.Values.tls.clientCA -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ .route }}
  port: http
  scheme: {{ include "brinery.scheme" .root | upper }}
{{- end }}
{{ toYaml .times }}
{{- end -}}

{{/*
What is published below a path: (dict "root" $ "prefix" "/crime-65"). The page, where it is not everything, is exactly
its path, with a slash at the end and without; `target` is what the server calls it.
*/}}
{{- define "brinery.published" -}}
{{- range .root.Values.publish }}
{{- $exact := and (eq . "/") (gt (len $.root.Values.publish) 1) }}
{{- if and $exact $.prefix }}
- {path: {{ $.prefix | quote }}, exact: true, target: "/"}
{{- end }}
- {path: {{ printf "%s%s" $.prefix . | quote }}, exact: {{ $exact }}, target: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* Whether the cluster has a kind: (dict "root" $ "api" "group/version" "kind" "Kind"); empty if not. */}}
{{- define "brinery.has" -}}
{{- if or (.root.Capabilities.APIVersions.Has .api) (.root.Capabilities.APIVersions.Has (printf "%s/%s" .api .kind)) }}yes{{ end -}}
{{- end -}}

{{- define "brinery.gatewayApi" -}}
{{- if include "brinery.has" (dict "root" . "api" "gateway.networking.k8s.io/v1" "kind" "HTTPRoute") -}}
gateway.networking.k8s.io/v1
{{- else if include "brinery.has" (dict "root" . "api" "gateway.networking.k8s.io/v1beta1" "kind" "HTTPRoute") -}}
gateway.networking.k8s.io/v1beta1
{{- end -}}
{{- end -}}

{{/* The label matchers of this release's series. */}}
{{- define "brinery.series" -}}
{{ .Values.metrics.series | default (printf "namespace=%q, service=%q" .Release.Namespace (include "brinery.fullname" .)) }}
{{- end -}}
