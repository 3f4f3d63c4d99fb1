# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects that several scenarios need: a Gateway, and a Service with its endpoints."""

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {gatewayClassName: any, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: ns}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-1, namespace: ns, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{port: @origin_port@}]
endpoints: [{addresses: [127.0.0.1]}]
---"""

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules:
"""

# Of a name, and to a path.
NAMED_GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: @name@, namespace: default}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: http, protocol: HTTP, port: @port@}
"""
NAMED_REDIRECT = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: @name@, namespace: default}
spec:
  parentRefs: [{name: @name@}]
  rules:
  - filters:
    - {type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: @to@}}}
"""
