/* SPDX-License-Identifier: Apache-2.0 */
/* `services`, `workloads` and `dynamic`: backends of standalone files that are more than one address. */
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

#define ROUTE(backend) "gateways: {default: {port: 80}}\nroutes: [{backends: [{" backend "}]}]\n"
#define SERVICE(more)                                                                                        \
	"services: [{namespace: ns, hostname: a.example, ports: {80: 8080, 81: 8081}" more "}]\n"
#define REF(port) ROUTE("service: {name: ns/a.example, port: " port "}")

static const struct backend *only_backend(const struct config_case *c)
{
	config_case_accepted(c);
	return c->snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].backend;
}

static void assert_endpoints(const char *yaml, const char *want)
{
	const struct backend *backend;
	struct config_case c;
	struct text found;

	config_case_text(&c, yaml);
	backend = only_backend(&c);
	assert_int_equal(backend->kind, BACKEND_SERVICE);
	assert_span_equal(backend->name, "ns/a.example");
	assert_span_equal(backend->namespace, "ns");
	text_init(&found);
	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		text_fmt(&found, "%s%.*s", i ? " " : "", SPAN_FMT(backend->endpoint_list[i].text));
	text_char(&found, '\0');
	assert_string_equal(found.data, want);
	text_done(&found);
	config_case_done(&c);
}

TEST(the_endpoints_of_a_service_are_its_healthy_workloads_with_their_own_ports)
{
	static const char workloads[] =
		"workloads:\n"
		"- {name: w1, workloadIps: [10.0.0.1, 10.0.0.9], services: {ns/a.example: {}}}\n"
		"- {workloadIps: ['fd00::1'], services: {ns/a.example: {80: 9080}}}\n"
		"- {hostname: Three.example, services: {ns/a.example: {81: 9081}}}\n"
		"- {workloadIps: [10.0.0.4], status: Unhealthy, services: {ns/a.example: {}}}\n"
		"- {workloadIps: [10.0.0.5], capacity: 0, services: {ns/a.example: {}}}\n"
		"- {workloadIps: [10.0.0.1], services: {ns/a.example: {}}}\n"
		"- {workloadIps: [10.0.0.6], services: {ns/b.example: {}}}\n";
	static const char other[] = "- {namespace: ns, hostname: b.example, ports: {80: 1}}\n";
	char yaml[2000];

	for (int port = 80; port <= 81; port++) {
		snprintf(yaml, sizeof(yaml),
			 "services:\n- {namespace: ns, hostname: a.example, ports: {80: 8080, 81: 8081}}\n"
			 "%s%s" ROUTE("service: {name: ns/a.example, port: %d}"),
			 other, workloads, port);
		assert_endpoints(yaml, port == 80 ? "10.0.0.1:8080 [fd00::1]:9080 three.example:8080"
						  : "10.0.0.1:8081 [fd00::1]:8081 three.example:9081");
	}
	/* A file without the list: the host name by DNS. */
	assert_endpoints(REF("80"), "a.example:80");
}

TEST(references_to_a_port_share_one_backend_and_the_dump_has_both_lists)
{
	struct config_case c;
	char *dump;

	config_case_text(&c, "services: [{name: a, namespace: ns, hostname: a.example, vips: [/10.9.9.9], "
			     "ports: {80: 8080}, appProtocols: {80: Http2}}]\n"
			     "workloads: [{workloadIps: [10.0.0.1], services: {ns/a.example: {80: 1}}}]\n"
			     "gateways: {default: {port: 80}}\n"
			     "routes: [{backends: [{service: &s {name: ns/a.example, port: 80}}]},\n"
			     "  {name: two, backends: [{service: *s}]}]\n");
	assert_int_equal(only_backend(&c)->http_version, BACKEND_HTTP2);
	assert_int_equal(c.snapshot->backend_count, 1);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "\"workloads\":[{\"workloadIps\":[\"10.0.0.1\"],\"services\":{\"ns/a.example\":"
			 "{\"80\":1}}}],\"services\":[{\"name\":\"a\",\"namespace\":\"ns\",");
	assert_has(dump, "\"service\":{\"name\":\"ns/a.example\",\"port\":80}");
	free(dump);
	config_case_done(&c);
}

TEST(a_port_of_the_protocol_tls_needs_a_policy)
{
	struct config_case c;

	config_case_text(&c, SERVICE(", appProtocols: {80: Tls}") REF("80"));
	assert_true(only_backend(&c)->needs_tls);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:3:", "no healthy workload is in the service");
	config_case_done(&c);
}

TEST(wrong_services_and_workloads_are_refused)
{
	static const struct config_refusal rows[] = {
		{ SERVICE("") ROUTE("service: {name: ns/b.example, port: 80}"),
		  "a.yaml:3:", "there is no service \"ns/b.example\"; add it to `services`" },
		{ SERVICE("") REF("82"), "a.yaml:3:", "has no port 82; add it to its `ports`" },
		{ "services: [{namespace: ns, hostname: a.example}]\n" REF("80"), "a.yaml:1:", "ports" },
		{ SERVICE(", appProtocols: {82: Tcp}"), "a.yaml:1:", "is not one of `ports`" },
		{ SERVICE(", appProtocols: {80: Http3}"), "a.yaml:1:", "Http3" },
		{ "services: [{namespace: ns, hostname: a.example, ports: {0: 80}}]\n",
		  "a.yaml:1:", "is not a port; write ports as in 80: 8080" },
		{ "services: [{namespace: ns, hostname: a.example, ports: {80: 0}}]\n", "a.yaml:1:", "" },
		{ "services: [{namespace: n, hostname: a, ports: {80: 1}}, "
		  "{namespace: n, hostname: a, ports: {80: 1}}]\n",
		  "a.yaml:1:", "there is another service \"n/a\"" },
		{ SERVICE(", waypoint: {}"), "a.yaml:1:", "is not supported yet" },
		{ "workloads: [{services: {}}]\n", "a.yaml:1:", "has no address; write workloadIps" },
		{ "workloads: [{workloadIps: [a.example]}]\n", "a.yaml:1:", "is not an IP address" },
		{ "workloads: [{hostname: 'a b'}]\n", "a.yaml:1:", "is not a host name" },
		{ "workloads: [{workloadIps: [10.0.0.1], capacity: 1000001}]\n", "a.yaml:1:", "1000000" },
		{ "workloads: [{workloadIps: [10.0.0.1], protocol: HBONE}]\n",
		  "a.yaml:1:", "protocol HBONE" },
		{ "workloads: [{workloadIps: [10.0.0.1], authorizationPolicies: [a]}]\n",
		  "a.yaml:1:", "every request reaches the workload" },
		{ "workloads: [{workloadIps: [10.0.0.1], status: Ill}]\n", "a.yaml:1:", "Ill" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

#define TCP_ROUTE(backend)                                                                                   \
	"gateways: {default: {port: 80, protocol: TCP}}\ntcpRoutes: [{backends: [{" backend "}]}]\n"

TEST(dynamic_is_a_backend_of_http_routes)
{
	static const struct config_refusal rows[] = {
		{ ROUTE("dynamic: {target: 'request.host'}"),
		  "a.yaml:2:", "the host is the one that the request" },
		{ ROUTE("dynamic: {allowedAddresses: [10.0.0.0/99]}"), "a.yaml:2:", "10.0.0.0/99" },
		{ ROUTE("dynamic: yes"), "a.yaml:2:", "" },
		{ ROUTE("dynamic: {}, host: 'a:1'"), "a.yaml:2:", "exclude each other" },
		{ TCP_ROUTE("dynamic: {}"), "a.yaml:2:", "dynamic needs the host of a request" },
		{ "backends: [{name: b, dynamic: {}}]\n", "a.yaml:1:", "belongs to the backends of a route" },
	};
	struct config_case c;
	uint64_t key;

	config_case_text(&c, ROUTE("dynamic: {}"));
	assert_int_equal(only_backend(&c)->kind, BACKEND_DYNAMIC);
	key = only_backend(&c)->forward_key;
	config_case_done(&c);
	config_case_text(&c, ROUTE("dynamic: {allowedAddresses: [127.0.0.0/8]}"));
	assert_int_equal(only_backend(&c)->allowed_count, 1);
	/* Connections of other rules are not reused. */
	assert_true(key && only_backend(&c)->forward_key && key != only_backend(&c)->forward_key);
	config_case_done(&c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
