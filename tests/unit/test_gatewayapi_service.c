/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"

/* A Gateway that takes everything, and a route of namespace app to `refs`. */
#define BEGIN                                                                                                \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: app}, "    \
	"spec: {listeners: ["                                                                                \
	"{name: h, port: 80, protocol: HTTP}]}}\n---\n"
#define ROUTE_BEGIN                                                                                          \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: app}, "  \
	"spec: {parentRefs: ["                                                                               \
	"{name: g}], rules: [{backendRefs: ["
#define ROUTE_END "]}]}}\n---\n"
#define ROUTE(refs) ROUTE_BEGIN refs ROUTE_END
#define SERVICE(spec)                                                                                        \
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: app}, spec: {" spec "}}\n---\n"
#define SLICE(name, body)                                                                                    \
	"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " name                      \
	", namespace: app, labels: {"                                                                        \
	"kubernetes.io/service-name: s}}, addressType: IPv4, " body "}\n---\n"
#define ENDPOINTS(subsets)                                                                                   \
	"{apiVersion: v1, kind: Endpoints, metadata: {name: s, namespace: app}, subsets: [" subsets          \
	"]}\n---\n"

#define OTHER_SERVICE                                                                                        \
	"{apiVersion: v1, kind: Service, metadata: {name: t, namespace: app}, spec: {ports: [{port: 80}]}}\n"
#define FAR_SERVICE                                                                                          \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: far}, spec: {ports: "           \
	"[{port: 80}]}}\n"

#define GATEWAY "gateway.networking.k8s.io/v1"
#define NEAR(version, kind, name, spec)                                                                      \
	"{apiVersion: " version ", kind: " kind ", metadata: {" name                                         \
	", namespace: app, annotations: {headgate/splice: sameHost}}, spec: {" spec "}}\n---\n"

static const struct backend_ref *refs_of(const struct config_case *c)
{
	config_case_accepted(c);
	return c->snapshot->bind_list[0].listener_list[0].route_list[0].backend_list;
}

TEST(endpoints_come_from_slices_endpoints_external_names_or_dns)
{
	static const struct {
		const char *claim;
		const char *text;
		const char *endpoints; /* joined by blanks; names end with a question mark */
	} rows[] = {
		{ "a slice, ports tied by name",
		  SERVICE("ports: [{name: web, port: 80, targetPort: http}, {name: other, port: 81}]")
			  SLICE("s-1", "ports: [{name: other, port: 9}, {name: web, port: 8080}], endpoints: "
				       "[{addresses: [10.0.0.1]},"
				       "{addresses: ['10.0.0.2']}]"),
		  "10.0.0.1:8080 10.0.0.2:8080 " },
		{ "unnamed ports",
		  SERVICE("ports: [{port: 80}]")
			  SLICE("s-1", "ports: [{port: 8080}], endpoints: [{addresses: [10.0.0.1]}]"),
		  "10.0.0.1:8080 " },
		{ "ready endpoints only",
		  SERVICE("ports: [{port: 80}]")
			  SLICE("s-1", "ports: [{port: 1}], endpoints: [{addresses: [10.0.0.1], conditions: "
				       "{ready: false}},"
				       "{addresses: [10.0.0.2], conditions: {ready: true}}, {addresses: "
				       "[10.0.0.3], conditions: {}}]"),
		  "10.0.0.2:1 10.0.0.3:1 " },
		{ "several slices, each address once",
		  SERVICE("ports: [{port: 80}]")
			  SLICE("s-1", "ports: [{port: 1}], endpoints: [{addresses: [10.0.0.1]}]")
				  SLICE("s-2", "ports: [{port: 1}], endpoints: [{addresses: [10.0.0.1]}, "
					       "{addresses: ['fd00::1']}]"),
		  "10.0.0.1:1 [fd00::1]:1 " },
		{ "a slice of names",
		  SERVICE("ports: [{port: 80}]")
			  SLICE("s-1", "ports: [{port: 1}], endpoints: [{addresses: [A.example]}]"),
		  "a.example:1? " },
		{ "no endpoint is ready",
		  SERVICE("ports: [{port: 80}]") SLICE("s-1", "ports: [{port: 1}], endpoints: []"), "" },
		{ "no port of that name",
		  SERVICE("ports: [{name: a, port: 80}]")
			  SLICE("s-1", "ports: [{name: b, port: 1}], endpoints: [{addresses: [10.0.0.1]}]"),
		  "" },
		{ "Endpoints",
		  SERVICE("ports: [{name: a, port: 80}]")
			  ENDPOINTS("{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{name: a, port: "
				    "7}]}, {addresses: [{ip: 10.0.0.3}],"
				    "ports: [{name: a, port: 8}]}"),
		  "10.0.0.1:7 10.0.0.2:7 10.0.0.3:8 " },
		{ "slices win over Endpoints",
		  SERVICE("ports: [{port: 80}]")
			  ENDPOINTS("{addresses: [{ip: 10.0.0.1}], ports: [{port: 7}]}")
				  SLICE("s-1", "ports: [{port: 1}], endpoints: [{addresses: [10.0.0.9]}]"),
		  "10.0.0.9:1 " },
		{ "the TCP port of a number that UDP has too",
		  SERVICE("ports: [{name: u, protocol: UDP, port: 80}, {name: t, protocol: TCP, port: 80}]")
			  SLICE("s-1", "ports: [{name: u, port: 1}, {name: t, port: 2}], endpoints: "
				       "[{addresses: [10.0.0.1]}]"),
		  "10.0.0.1:2 " },
		{ "ExternalName", SERVICE("type: ExternalName, externalName: db.Example.com"),
		  "db.example.com:80? " },
		{ "DNS of the cluster",
		  SERVICE("ports: [{port: 80, targetPort: 8080}], clusterIP: 10.96.0.9"),
		  "s.app.svc.cluster.local:80? " },
		{ "DNS of a headless Service gives pods",
		  SERVICE("ports: [{port: 80, targetPort: 8080}], clusterIP: None"),
		  "s.app.svc.cluster.local:8080? " },
		{ "only its slice, ports by number",
		  SLICE("s-1", "ports: [{name: x, port: 79}, {name: y, port: 80}],"
			       "endpoints: [{addresses: [10.0.0.1]}]"),
		  "10.0.0.1:80 " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { BEGIN ROUTE("{name: s, port: 80}"), rows[i].text };
		const struct backend *backend;
		struct config_case c;
		struct text list;

		config_case_texts(&c, texts, 2);
		backend = refs_of(&c)->backend;
		assert_span_equal(backend->name, "app/s.app.svc.cluster.local");
		assert_span_equal(backend->target, "s.app.svc.cluster.local:80");
		assert_int_equal(backend->kind, BACKEND_SERVICE);
		text_init(&list);
		for (uint32_t k = 0; k < backend->endpoint_count; k++)
			text_fmt(&list, "%.*s%s ", SPAN_FMT(backend->endpoint_list[k].text),
				 backend->endpoint_list[k].is_resolved ? "" : "?");
		if (!span_eq(text_span(&list), span_str(rows[i].endpoints)))
			fail_msg("%s: %.*s", rows[i].claim, SPAN_FMT(text_span(&list)));
		text_done(&list);
		config_case_done(&c);
	}
}

TEST(references_share_the_backend_of_a_port)
{
	const struct backend_ref *refs;
	struct config_case c;

	config_case_text(
		&c,
		BEGIN ROUTE("{name: s, port: 80}, {name: s, port: 81}, {name: s, port: 80, weight: 0}")
			SERVICE("ports: [{port: 80}, {port: 81, appProtocol: kubernetes.io/h2c, name: x}]"));
	refs = refs_of(&c);
	assert_int_equal(c.snapshot->backend_count, 2);
	assert_ptr_equal(refs[0].backend, refs[2].backend);
	assert_ptr_not_equal(refs[0].backend, refs[1].backend);
	assert_int_equal(refs[0].backend->http_version, BACKEND_HTTP_AUTO);
	assert_int_equal(refs[1].backend->http_version, BACKEND_HTTP2);
	assert_int_equal(weights_of(&c.snapshot->bind_list[0].listener_list[0].route_list[0]), 2);
	config_case_done(&c);
}

TEST(what_cannot_be_used_answers_500_with_a_warning)
{
	static const struct {
		const char *ref;
		const char *more;
		const char *words; /* NULL: it can be used */
	} rows[] = {
		{ "{name: s, port: 82}", SERVICE("ports: [{port: 80}]"), "the Service has no such port" },
		{ "{name: s, port: 80}", "", "there is no such Service" },
		{ "{name: s, kind: AgentgatewayBackend, group: agentgateway.dev}", "",
		  "there is no such AgentgatewayBackend" },
		{ "{name: s, kind: TraefikService, group: traefik.io}", "",
		  "only backends of kind Service and AgentgatewayBackend" },
		{ "{name: s, namespace: far, port: 80}", "", "no ReferenceGrant there allows it" },
		{ "{name: s, namespace: far, port: 80}",
		  "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x, "
		  "namespace: far}, spec: {"
		  "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: "
		  "'', kind: Service}]}}\n" FAR_SERVICE,
		  NULL },
		{ "{name: s, namespace: far, port: 80}",
		  "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x, "
		  "namespace: far}, spec: {"
		  "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: "
		  "'', kind: Service, name: s}]}}\n" FAR_SERVICE,
		  NULL },
		{ "{name: s, namespace: far, port: 80}",
		  "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x, "
		  "namespace: far}, spec: {"
		  "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: "
		  "'', kind: Service, name: t}]}}\n",
		  "no ReferenceGrant" },
		{ "{name: s, namespace: far, port: 80}",
		  "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x, "
		  "namespace: far}, spec: {"
		  "from: [{group: gateway.networking.k8s.io, kind: TCPRoute, namespace: app}], to: [{group: "
		  "'', kind: Service}]}}\n",
		  "no ReferenceGrant" },
		{ "{name: s, namespace: far, port: 80}",
		  "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x, "
		  "namespace: other}, spec: {"
		  "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: "
		  "'', kind: Service}]}}\n",
		  "no ReferenceGrant" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_ref *ref;
		struct config_case c;
		char text[3000];

		snprintf(text, sizeof(text), "%s%s%s%s", BEGIN ROUTE_BEGIN, rows[i].ref, ROUTE_END,
			 rows[i].more);
		config_case_text(&c, text);
		ref = refs_of(&c);
		assert_int_equal(ref->is_invalid, rows[i].words != NULL);
		assert_non_null(ref->backend);
		assert_int_equal(ref->backend->kind, rows[i].words ? BACKEND_INVALID : BACKEND_SERVICE);
		if (rows[i].words) {
			config_case_says(&c, CONFIG_WARNING, "a.yaml:3:", rows[i].words);
			assert_true(ref->backend->invalid_reason.len > 0);
		}
		config_case_done(&c);
	}
}

TEST(wrong_services_and_slices_are_reported)
{
	struct config_case c;

	config_case_text(&c, SERVICE("ports: [{port: 99999}, {name: x}]"));
	assert_int_equal(c.report.count[CONFIG_ERROR], 2);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:92: Service app/s: spec.ports[0].port: ", "65535");
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:1:100: Service app/s: spec.ports[1]: ", "\"port\" is missing");
	config_case_done(&c);

	config_case_text(&c, "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}}\n");
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING,
			 "a.yaml:1:1: EndpointSlice default/x: ", "belongs to no Service");
	config_case_done(&c);

	config_case_text(&c, BEGIN ROUTE("{name: s}, {port: 80}") SERVICE("type: ExternalName"));
	assert_int_equal(c.report.count[CONFIG_ERROR], 2);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:3:", "\"port\" is missing; write the port of the Service");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:3:", "\"name\" is missing; write the name of the object");
	config_case_done(&c);
}

TEST(an_annotation_keeps_the_kernel_lanes_away)
{
	const struct backend_ref *refs;
	struct config_case c;

	/* clang-format off */
	config_case_text(&c,
		BEGIN ROUTE("{name: s, port: 80}, {name: t, port: 80}")
		"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: app, annotations: "
		"{headgate/splice: off}},spec: {ports: [{port: 80}]}}\n---\n" OTHER_SERVICE);
	/* clang-format on */
	refs = refs_of(&c);
	assert_true(refs[0].backend->splice_off);
	assert_false(refs[1].backend->splice_off);
	config_case_done(&c);
}

TEST(an_annotation_pairs_processes_of_this_host)
{
	const struct backend_ref *refs;
	struct config_case c;

	config_case_text(&c, BEGIN ROUTE("{name: s, port: 80}, {name: t, port: 80}")
				     NEAR("v1", "Service", "name: s", "ports: [{port: 80}]")
					     NEAR(GATEWAY, "Gateway", "name: near",
						  "listeners: [{name: h, port: 81, protocol: HTTP}]")
						     OTHER_SERVICE);
	refs = refs_of(&c);
	assert_true(refs[0].backend->is_same_host);
	assert_false(refs[0].backend->splice_off || refs[1].backend->is_same_host);
	assert_false(c.snapshot->bind_list[0].listener_list[0].is_same_host);
	assert_true(c.snapshot->bind_list[1].listener_list[0].is_same_host);
	config_case_done(&c);

	config_case_text(&c, BEGIN NEAR(GATEWAY, "HTTPRoute", "name: r", "parentRefs: [{name: g}]"));
	config_case_says(&c, CONFIG_ERROR, "a.yaml:3:", "a route has none; write it on the listener");
	config_case_done(&c);
}
