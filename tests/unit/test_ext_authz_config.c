/* SPDX-License-Identifier: Apache-2.0 */
/* extAuthz in both forms of files, what is refused, and the dump. */
#include "admin/dump/config_dump_policy.h"
#include "config/snapshot.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

#define BEGIN                                                                                                \
	"policies: [{name: {name: p}, target: {gateway: {gatewayName: default}}, policy: {extAuthz: {host: " \
	"'a:1', "
#define END "}}}]\n"
#define MANIFEST                                                                                             \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, namespace: "   \
	"d}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], traffic: {"    \
	"extAuth: {url: 'http://a:1', "
#define MANIFEST_END "}}}\n"

TEST(metadata_that_can_be_no_map_is_refused_with_what_to_write)
{
	static const struct config_refusal rows[] = {
		{ BEGIN "protocol: {grpc: {metadata: {a: request.path}}}" END,
		  "a.yaml:1:", "write a map, such as jwt" },
		{ BEGIN "protocol: {grpc: {metadata: {a: request.path ==}}}" END, "a.yaml:1:", "metadata.a" },
		{ BEGIN "protocol: {grpc: {metadata: {a: response.code}}}" END,
		  "a.yaml:1:", "response.code" },
		{ MANIFEST "grpc: {requestMetadata: {a: request.path}}" MANIFEST_END,
		  "a.yaml:4:", "write a map, such as jwt" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

#define OF_BACKEND                                                                                           \
	"backends: [{name: b, host: 'b:1'}]\npolicies: [{name: {name: p}, target: {backend: {backend: "      \
	"{name: b}}}, policy: {extAuthz: {host: 'a:1'}}}]\n"
#define MANIFEST_OF_SERVICE                                                                                  \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, namespace: "   \
	"d}\nspec: {targetRefs: [{group: '', kind: Service, name: s}], backend: {extAuth: {url: "            \
	"'http://a:1', grpc: {}}}}\n"

TEST(a_service_of_a_backend_is_a_policy_of_backends_in_both_forms)
{
	static const char *const texts[] = { OF_BACKEND, MANIFEST_OF_SERVICE };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config_case c;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->policy_count, 1);
		assert_int_equal(c.snapshot->policy_list[0].value.kind, POLICY_BACKEND_EXT_AUTHZ);
		assert_int_equal(c.snapshot->callout_count, 1);
		config_case_done(&c);
	}
}

/* Every policy of the text, as the dump shows it. */
static char *dumped(const char *text)
{
	struct config_case c;
	struct json_writer w;
	struct text out;
	char *have;

	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 1);
	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	dump_policy_value(&w, &c.snapshot->policy_list[0].value);
	json_close(&w);
	have = compact(text_span(&out));
	text_done(&out);
	config_case_done(&c);
	return have;
}

TEST(both_forms_and_the_dump_agree)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ BEGIN "protocol: {grpc: {context: {k: v}, metadata: {a: jwt}}}" END,
		  "\"grpc\":{\"context\":{\"k\":\"v\"},\"metadata\":{\"a\":\"jwt\"}}" },
		{ MANIFEST "grpc: {contextExtensions: {k: v}, requestMetadata: {a: jwt}}" MANIFEST_END,
		  "\"grpc\":{\"context\":{\"k\":\"v\"},\"metadata\":{\"a\":\"jwt\"}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *have = dumped(rows[i].text);

		if (!strstr(have, rows[i].want))
			fail_msg("%s: %s", rows[i].text, have);
		free(have);
	}
}

#define ON_ROUTE(policy, rest)                                                                               \
	"binds: [{port: 3000, listeners: [{routes: [{policies: {" policy                                     \
	"}, backends: [{host: 'b:1'}]}]}]}]\n" rest
#define SERVICE(policies) "backends: [{name: s, host: 'a:1', policies: {" policies "}}]\n"
#define LIMIT "remoteRateLimit: {domain: d, descriptors: [{entries: [{key: a, value: '\"a\"'}]}], backend: s}"
#define OVER_HTTP "extAuthz: {backend: s, protocol: {http: {}}}"
#define IN_QUERY "location: {queryParameter: {name: q}}"
#define KEY_IN_QUERY "backendAuth: {key: {value: k, " IN_QUERY "}}"

TEST(policies_that_no_call_of_the_service_can_obey_are_refused_with_what_to_write)
{
	static const struct {
		const char *text, *words; /* NULL: accepted */
	} rows[] = {
		{ ON_ROUTE("extAuthz: {host: 'a:1', policies: {" KEY_IN_QUERY "}}", ""),
		  "cannot put a query parameter into a call of gRPC; write location: {header" },
		{ ON_ROUTE("extAuthz: {backend: s}",
			   SERVICE("backendAuth: {credentials: [{key: k, " IN_QUERY "}]}")),
		  "cannot put a query parameter into a call of gRPC" },
		{ ON_ROUTE(LIMIT, SERVICE("backendAuth: {passthrough: {" IN_QUERY "}}")),
		  "cannot put a query parameter into a call of gRPC" },
		{ ON_ROUTE("", "frontendPolicies: {tracing: {host: 'a:1', policies: {" KEY_IN_QUERY "}}}\n"),
		  "cannot put a query parameter into a call of gRPC" },
		{ ON_ROUTE(OVER_HTTP, SERVICE(KEY_IN_QUERY)), NULL },
		{ ON_ROUTE("extAuthz: {backend: s}", SERVICE("backendAuth: {key: k}")), NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_compiles(rows[i].text, rows[i].words);
}

#define READS_BODY "only in transformations of requests that routes and listeners have"

TEST(a_transformation_of_a_service_cannot_read_a_body)
{
	static const struct config_refusal rows[] = {
		{ ON_ROUTE("extAuthz: {host: 'a:1', policies: {transformations: {request: {set: {a: "
			   "request.body}}}}}",
			   ""),
		  "a.yaml:1:", READS_BODY },
		{ ON_ROUTE(OVER_HTTP, SERVICE("transformations: {request: {replace: 'json(request.body)'}}")),
		  "a.yaml:2:", READS_BODY },
		{ ON_ROUTE(LIMIT,
			   SERVICE("transformations: {request: {metadata: {a: 'has(request.body)'}}}")),
		  "a.yaml:2:", READS_BODY },
		{ ON_ROUTE(OVER_HTTP, SERVICE("transformations: {request: {body: request.path}}")),
		  "a.yaml:2:", "body" },
		{ "apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: s, "
		  "namespace: d}\nspec: {static: {host: a, port: 1}, policies: {transformation: {request: "
		  "{set: [{name: a, value: request.body}]}}}}\n",
		  "a.yaml:4:", READS_BODY },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
