{{/* Values that make no sense together are refused here, with a sentence; values.schema.json judges each alone. */}}
{{- define "brinery.checks" -}}
{{- $v := .Values -}}
{{- $jwks := toString ($v.settings.JWT_JWKS | default "") -}}
{{- $fetched := or (and $v.bundle.url (not (hasPrefix "file:" $v.bundle.url))) $v.bundle.urlSecret.name (hasPrefix "https://" $jwks) -}}
{{- /* What of the address is in everybody's sight: $(NAME) is not, it comes from env. */ -}}
{{- $shown := regexReplaceAll "\\$\\([A-Za-z_][A-Za-z0-9_]*\\)" $v.bundle.url "" -}}
{{- $trusted := 0 -}}
{{- range (list $v.bundle.trustedKeys.pem $v.bundle.trustedKeys.existingConfigMap $v.bundle.trustedKeys.existingSecret) }}{{ if . }}{{ $trusted = add1 $trusted }}{{ end }}{{ end -}}
{{- $startSeconds := mul $v.probes.startup.periodSeconds $v.probes.startup.failureThreshold -}}
{{- if and (or $v.bundle.url $v.bundle.urlSecret.name) $v.bundle.volume -}}
{{- fail "bundle.volume is set, and so is bundle.url or bundle.urlSecret, but a bundle is either fetched or mounted; leave one of them empty." -}}
{{- end -}}
{{- if and $v.bundle.url $v.bundle.urlSecret.name -}}
{{- fail "bundle.url and bundle.urlSecret.name are both set; keep the address in one of them." -}}
{{- end -}}
{{- if or (regexMatch "^(https?://[^:/?#]+|[a-z0-9]+://[^/?#]*:[^/?#]+)@" $shown) (regexMatch "(?i)[?&](sig|[^=&]*(signature|token|secret|password|key))=[^&]" $shown) -}}
{{- fail "bundle.url holds a password or a signature, which everybody could read who may see the Deployment; put the address into a Secret, and name it in bundle.urlSecret." -}}
{{- end -}}
{{- if and (ne (toString $v.bundle.subPath) "") (not $v.bundle.volume) -}}
{{- fail "bundle.subPath is a folder of bundle.volume, which is empty; set the volume, or bundle.path for a folder of the image." -}}
{{- end -}}
{{- if gt $trusted 1 -}}
{{- fail "bundle.trustedKeys has more than one source of keys; give one of pem, existingConfigMap and existingSecret." -}}
{{- end -}}
{{- if and (eq (toString $v.settings.MANIFEST) "signed") (not $trusted) -}}
{{- fail "settings.MANIFEST is signed, but nothing says whose signature counts; give bundle.trustedKeys." -}}
{{- end -}}
{{- if and $v.grpc.enabled (or (eq (int $v.grpc.containerPort) (int $v.containerPort)) (eq (int $v.grpc.port) (int $v.service.port))) -}}
{{- fail "grpc has the port of the HTTP API; give grpc.containerPort and grpc.port others than containerPort and service.port." -}}
{{- end -}}
{{- if and $v.auth.apiKeys $v.auth.existingSecret -}}
{{- fail "auth.apiKeys and auth.existingSecret are both set; keep the keys in one of them." -}}
{{- end -}}
{{- $keys := or $v.auth.apiKeys $v.auth.existingSecret -}}
{{- if and $v.auth.scopes (not $keys) (not $jwks) -}}
{{- fail "auth.scopes asks for credentials, but nobody has any; give auth.apiKeys, auth.existingSecret or settings.JWT_JWKS." -}}
{{- end -}}
{{- if and (or $keys $jwks) (not $v.auth.scopes) -}}
{{- fail "There are API keys or tokens, but auth.scopes names nothing that they protect; set it, to [predict, info] say." -}}
{{- end -}}
{{- if and $v.tls.clientCA (not $v.tls.secretName) -}}
{{- fail "tls.clientCA needs a certificate of the server's own; set tls.secretName." -}}
{{- end -}}
{{- if ge $startSeconds (int64 $v.rollout.progressDeadlineSeconds) -}}
{{- fail (printf "rollout.progressDeadlineSeconds is %d, but a start may take %d seconds by probes.startup; set it to more than that." (int64 $v.rollout.progressDeadlineSeconds) $startSeconds) -}}
{{- end -}}
{{- if $v.autoscaling.enabled -}}
{{- if gt (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d, more than autoscaling.maxReplicas, which is %d; raise the one or lower the other." (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if not (or $v.autoscaling.cpu $v.autoscaling.pods) -}}
{{- fail "autoscaling.enabled has nothing to scale by; set autoscaling.cpu or autoscaling.pods." -}}
{{- end -}}
{{- end -}}
{{- range $v.env -}}
{{- if hasPrefix "BRINERY_" .name -}}
{{- fail (printf "env sets %s, but Brinery's settings are made by the values, most of them by settings; set it there." .name) -}}
{{- end -}}
{{- end -}}
{{- if $v.podDisruptionBudget.enabled -}}
{{- if eq (eq (toString $v.podDisruptionBudget.minAvailable) "") (eq (toString $v.podDisruptionBudget.maxUnavailable) "") -}}
{{- fail "podDisruptionBudget takes either minAvailable or maxUnavailable; set one, and the other to \"\"." -}}
{{- end -}}
{{- $pods := int64 (ternary $v.autoscaling.minReplicas $v.replicaCount $v.autoscaling.enabled) -}}
{{- if and (not (kindIs "string" $v.podDisruptionBudget.minAvailable)) $pods (ge (int64 $v.podDisruptionBudget.minAvailable) $pods) -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %d, but the number of pods may be %d, so that no node could be emptied; lower the one or raise the other." (int64 $v.podDisruptionBudget.minAvailable) $pods) -}}
{{- end -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs a Gateway; name it in httpRoute.parentRefs." -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled $fetched (not $v.networkPolicy.egress) -}}
{{- fail "The network policy would keep the server from fetching its bundle or the keys of tokens; say in networkPolicy.egress where they are, or set networkPolicy.enabled to false." -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled (has "metrics" $v.auth.scopes) (not $v.metrics.serviceMonitor.keySecret.name) -}}
{{- fail "auth.scopes protects the metrics, so Prometheus needs a key; name its secret in metrics.serviceMonitor.keySecret." -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.tls.secretName (not $v.metrics.serviceMonitor.tlsConfig) -}}
{{- fail "tls.secretName makes the pods speak TLS, and their certificate does not hold the addresses that Prometheus asks; say in metrics.serviceMonitor.tlsConfig whose name and authority it has, as serverName and ca." -}}
{{- end -}}
{{- end -}}
