"""Values as operators have them: each case is rendered, and what comes out is judged by Kubernetes' own schemas."""

from collections.abc import Mapping
from typing import Any, Final

KEY: Final = "app-2026 sha256:" + "ab" * 32 + " predict,info"
PEM: Final = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n"
)
EGRESS: Final = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
GATEWAY: Final = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}
MONITORED: Final = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
}

CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "defaults": {},
    "one-pod": {"replicaCount": 1, "podDisruptionBudget": {"enabled": False}},
    "no-pods": {"replicaCount": 0},
    "a-model": {"model": {"name": "crime (UK), 2026", "version": "65 β"}, "image": {"digest": "sha256:" + "0" * 64}},
    "numbers-as-texts": {
        "image": {"tag": 20260101},
        "model": {"version": 20260101, "name": "65"},
        "bundle": {"volume": {"persistentVolumeClaim": {"claimName": "models"}}, "subPath": 20260101},
        "podAnnotations": {"a/b": "true"},
    },
    "settings": {"settings": {"MAX_BODY_BYTES": 268435456, "LOG_LEVEL": "debug", "ACCESS_LOG": False, "DEADLINE": 2.5}},
    "a-fetched-bundle": {
        "bundle": {"url": "s3://models/crime-65.tar.gz", "digest": "sha256:" + "1" * 64},
        "env": [{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "store", "key": "secret"}}}],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "networkPolicy": {"egress": EGRESS},
        "serviceAccount": {"annotations": {"example.com/role": "reader"}},
        "tmp": {"sizeLimit": "8Gi", "medium": "Memory"},
    },
    "a-bundle-at-a-secret-address": {
        "bundle": {"urlSecret": {"name": "store", "key": "address"}},
        "networkPolicy": {"egress": EGRESS},
    },
    "a-mounted-bundle": {
        "bundle": {
            "volume": {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
            "subPath": "crime/65",
        }
    },
    "a-bundle-on-a-disk": {
        "bundle": {"url": "file:///models/crime-65.tar.gz"},
        "extraVolumes": [{"name": "models", "emptyDir": {"sizeLimit": "1Gi"}}],
        "extraVolumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
    },
    "grpc": {"grpc": {"enabled": True, "containerPort": 8081, "port": 81}},
    "signed": {"bundle": {"trustedKeys": {"pem": PEM}}},
    "signed-by-a-secret": {
        "bundle": {"trustedKeys": {"existingSecret": "signers", "key": "pub"}},
        "settings": {"MANIFEST": "required"},
    },
    "keys": {
        "auth": {"scopes": ["predict", "info"], "apiKeys": [KEY, "grafana sha256:" + "cd" * 32]},
        "settings": {"RATE_LIMIT": "100/s"},
        "test": {"keySecret": {"name": "caller"}},
    },
    "keys-of-ones-own": {"auth": {"scopes": ["predict"], "existingSecret": "keys", "existingSecretKey": "file"}},
    "tokens": {
        "auth": {"scopes": ["predict", "info", "metrics"]},
        "settings": {
            "JWT_JWKS": "https://id.example.com/jwks.json",
            "JWT_ISSUER": "https://id.example.com/",
            "JWT_AUDIENCE": "brinery",
        },
        "networkPolicy": {"egress": EGRESS},
        "metrics": {"serviceMonitor": {"enabled": True, "keySecret": {"name": "scraper"}}},
    },
    "tls": {"tls": {"secretName": "crime-tls"}, "service": {"port": 443}},
    "tls-for-clients-with-certificates": {"tls": {"secretName": "crime-tls", "clientCA": True}},
    "ingress": {
        "rootPath": "/crime-65",
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["models.example.com", "*.models.example.com"],
            "tls": [{"secretName": "models-tls", "hosts": ["models.example.com"]}],
        },
    },
    "ingress-of-everything": {"ingress": {"enabled": True, "annotations": {"a": "b"}}, "publish": ["/"]},
    "canary": {
        "rootPath": "/crime-65",
        "httpRoute": {**GATEWAY, "path": "/crime", "weight": 95, "backends": [{"service": "crime-66", "weight": 5}]},
    },
    "shadow": {"httpRoute": {**GATEWAY, "mirror": {"service": "crime-66", "percent": 10}, "hostnames": ["a.example"]}},
    "scaled-by-cpu": {"autoscaling": {"enabled": True}},
    "scaled-by-the-queue": {
        "autoscaling": {
            "enabled": True,
            "cpu": 0,
            "pods": [{"metric": "brinery_queue_requests", "averageValue": 4}],
            "maxReplicas": 40,
        }
    },
    "closed": {
        "networkPolicy": {
            "from": [{"namespaceSelector": {"matchLabels": {"name": "gateways"}}}, {"podSelector": {}}],
        }
    },
    "monitored": {"metrics": MONITORED},
    "placed": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "topologySpreadConstraints": [],
        "podLabels": {"team": "crime"},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "any-user": {"user": None, "serviceAccount": {"create": False}},
    "volumes": {
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
        "podDisruptionBudget": {"maxUnavailable": "", "minAvailable": "50%"},
        "rollout": {"maxSurge": "25%"},
        "test": {"enabled": False},
    },
}
