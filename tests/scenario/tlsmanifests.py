# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects about TLS, all of namespace ns: each function gives one; text() makes a file of them."""
import base64
import json

API = "gateway.networking.k8s.io/v1"


def text(*objects):
    made = "\n---\n".join(json.dumps(each) for each in objects)
    for quoted in ('"@port@"', '"@other@"', '"@third@"'):
        made = made.replace(quoted, quoted.strip('"'))
    return made


def manifest(api, kind, name, spec, **metadata):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "ns", **metadata},
            "spec": spec}


def gateway(*listeners, **spec):
    return manifest(API, "Gateway", "gw", {
        "gatewayClassName": "headgate", "listeners": list(listeners), **spec})


def https(name, *secrets, hostname=None, port="@port@", **tls):
    made = {"name": name, "port": port, "protocol": "HTTPS",
            "tls": {"certificateRefs": [{"name": secret} for secret in secrets], **tls}}
    return {**made, "hostname": hostname} if hostname else made


def tls(name, hostname, *secrets, port="@port@"):
    """Passed through without a Secret."""
    mode = {"mode": "Passthrough"}
    if secrets:
        mode = {"mode": "Terminate", "certificateRefs": [{"name": secret} for secret in secrets]}
    return {"name": name, "hostname": hostname, "port": port, "protocol": "TLS", "tls": mode}


def http(port="@port@"):
    return {"name": "http", "port": port, "protocol": "HTTP"}


def secret(name, identity, key=None):
    def encoded(data):
        return base64.b64encode(data).decode()
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": "ns"},
            "data": {"tls.crt": encoded(identity.pem), "tls.key": encoded((key or identity).key_pem)}}


def config_map(name, authority):
    data = {"ca.crt": authority.pem.decode()} if authority else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"},
            "data": data}


def refs(*names, kind="ConfigMap"):
    return [{"group": "", "kind": kind, "name": name} for name in names]


def route(name, *rules, kind="HTTPRoute", hostnames=None, section=None):
    """Rules are (path, service) or (path, service, port); of TLSRoutes and TCPRoutes a service alone."""
    parent = {"name": "gw", "sectionName": section} if section else {"name": "gw"}
    made = []
    for rule in rules:
        path, service, port = (None, rule, 80) if isinstance(rule, str) else (*rule, 80)[:3]
        made.append({"backendRefs": [{"name": service, "port": port}]})
        if path:
            made[-1]["matches"] = [{"path": {"type": "PathPrefix", "value": path}}]
    spec = {"parentRefs": [parent], "rules": made}
    return manifest(API if kind != "TCPRoute" else API + "alpha2", kind, name,
                    {**spec, "hostnames": hostnames} if hostnames else spec)


def service(name, backend, **more):
    """Ports 80 (web) and 81 (alt), both the backend's."""
    ports = [{"name": "web", "port": 80, **more}, {"name": "alt", "port": 81, **more}]
    endpoints = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                 "metadata": {"name": name, "namespace": "ns",
                              "labels": {"kubernetes.io/service-name": name}},
                 "ports": [{"name": port, "port": backend.port} for port in ("web", "alt")],
                 "endpoints": [{"addresses": ["127.0.0.1"]}]}
    return manifest("v1", "Service", name, {"ports": ports}), endpoints


def backend_tls(name, service_name, hostname, authorities=("ca",), section=None, created=None, names=None):
    target = {"group": "", "kind": "Service", "name": service_name}
    validation = {"hostname": hostname, "caCertificateRefs": refs(*authorities)}
    if section:
        target["sectionName"] = section
    if names:
        validation["subjectAltNames"] = names
    metadata = {"creationTimestamp": created} if created else {}
    return manifest(API, "BackendTLSPolicy", name, {
        "targetRefs": [target], "validation": validation}, **metadata)


def warnings(running):
    return str(running.admin_json("/config_status")["warnings"])
