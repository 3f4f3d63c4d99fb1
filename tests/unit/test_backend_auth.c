/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for backends: what is accepted, where they go, and where they never appear. */
#include "policy/guard/backend_auth.h"

#include "admin/dump/config_dump_policy.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"
#include "tests/unit/policy_model.h"

TEST_ARENA(arena, 16 * 1024);

#define BEGIN "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1', policies: {\n"
#define END "}}]}]}]}]\n"
#define AUTH " binds[0].listeners[0].routes[0].backends[0].policies.backendAuth"

/* ---- what is accepted */

TEST(what_no_request_could_carry_is_refused)
{
	static const struct config_refusal rows[] = {
		{ BEGIN "backendAuth: {}" END, "a.yaml:2:14:" AUTH ": ", "sets nothing" },
		{ BEGIN "backendAuth: {key: ''}" END, "a.yaml:2:20:" AUTH ".key: ", "is empty" },
		{ BEGIN "backendAuth: {key: \" \\n\"}" END, "a.yaml:2:20:" AUTH ".key: ", "is empty" },
		{ BEGIN "backendAuth: {key: \"s3cr\\r\\net\"}" END,
		  "a.yaml:2:20:" AUTH ".key: ", "has a control character" },
		{ BEGIN "backendAuth: {key: {file: /nowhere}}" END,
		  "a.yaml:2:27:" AUTH ".key.file: ", "cannot be read" },
		{ BEGIN "backendAuth: {key: {location: {header: {name: a}}}}" END,
		  "a.yaml:2:20:" AUTH ".key: ", "\"value\" is missing" },
		{ BEGIN "backendAuth: {key: {value: s, location: {header: {name: content-length}}}}" END,
		  "a.yaml:2:51:" AUTH ".key.location.header.name: ", "" },
		{ BEGIN "backendAuth: {key: {value: s, location: {expression: request.path}}}" END,
		  "a.yaml:2:28:" AUTH ".key.value: ", "has an expression as its location" },
		{ BEGIN "backendAuth: {key: {value: 'a b', location: {cookie: {name: k}}}}" END,
		  "a.yaml:2:28:" AUTH ".key.value: ", "no cookie may have" },
		{ BEGIN "backendAuth: {key: {value: 'a', location: {cookie: {name: 'k;'}}}}" END,
		  "a.yaml:2:28:" AUTH ".key.value: ", "not the name of a cookie" },
		{ BEGIN "backendAuth: {key: a, passthrough: {}}" END, "a.yaml:2:14:" AUTH ": ",
		  "has several of key" },
		{ BEGIN "backendAuth: {key: a, credentials: [{location: {header: {name: Authorization}}, "
			"key: b}]}" END,
		  "a.yaml:2:14:" AUTH ": ", "two credentials into \"authorization\"" },
		/* The second one would remove the first. */
		{ BEGIN "backendAuth: {credentials: [{location: {header: {name: x-key}}, key: a}, "
			"{location: {header: {name: x_key}}, key: b}]}" END,
		  "a.yaml:2:14:" AUTH ": ", "two credentials into \"x_key\"" },
		{ BEGIN "backendAuth: {credentials: [{key: b}]}" END,
		  "a.yaml:2:29:" AUTH ".credentials[0]: ", "\"location\" is missing" },
		{ BEGIN "backendAuth: {aws: {}}" END, "a.yaml:2:15:" AUTH ".aws: ", "not supported yet" },
		{ BEGIN "backendAuth: {gcp: {}}" END, "a.yaml:2:15:" AUTH ".gcp: ", "not supported yet" },
		{ BEGIN "backendAuth: {azure: {}}" END, "a.yaml:2:15:" AUTH ".azure: ", "not supported yet" },
		{ BEGIN "backendAuth: {jwtSign: {}}" END,
		  "a.yaml:2:15:" AUTH ".jwtSign: ", "not supported yet" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(no_message_contains_the_key)
{
	static const char *const texts[] = {
		BEGIN "backendAuth: {key: \"s3cr3t\\nx\"}" END,
		BEGIN "backendAuth: {key: [s3cr3t]}" END,
		BEGIN "backendAuth: {key: {value: 's3cr3t ;', location: {cookie: {name: k}}}}" END,
		BEGIN "backendAuth: {key: s3cr3t, credentials: [{location: {header: {name: "
		      "authorization}}, key: s3cr3t}]}" END,
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		config_keeps_secret(texts[i], "s3cr3t");
}

/* ---- what a backend gets */

static const char *text_of(const struct request_head *head)
{
	struct span copy;
	struct text text;

	text_init(&text);
	if (head->has_query)
		text_fmt(&text, "?%.*s\n", SPAN_FMT(head->query));
	for (uint32_t i = 0; i < head->fields.count; i++)
		text_fmt(&text, "%.*s: %.*s\n", SPAN_FMT(head->fields.list[i].name),
			 SPAN_FMT(head->fields.list[i].value));
	copy = arena_copy(&arena, text_span(&text));
	text_done(&text);
	return copy.data;
}

static const struct backend_auth_policy *policy_of(const struct config_case *c)
{
	return c->snapshot->bind_list[0]
		.listener_list[0]
		.route_list[0]
		.backend_list[0]
		.inline_policies.value_list[0]
		.object;
}

TEST(the_backend_gets_the_credential_in_place_of_what_the_client_sent)
{
	static const struct {
		const char *policy;
		const char *token; /* NULL: none */
		const char *query;
		const char *fields;
		const char *want;
	} rows[] = {
		{ "key: k1", NULL, NULL, "a: b\nAuthorization: Bearer x",
		  "a: b\nauthorization: Bearer k1\n" },
		{ "key: \" k1\\n\"", NULL, NULL, "", "authorization: Bearer k1\n" },
		{ "key: {value: k1, location: {header: {name: X-Api-Key}}}", NULL, NULL,
		  "x_api_key: a\nX-Api-Key: b\nauthorization: c", "authorization: c\nx-api-key: k1\n" },
		{ "key: {value: 'a:b', location: {header: {name: authorization, prefix: 'Basic '}}}", NULL,
		  NULL, "", "authorization: Basic a:b\n" },
		{ "key: {value: 'a b&c', location: {queryParameter: {name: 'k y'}}}", NULL, "x=1&k+y=2", "",
		  "?x=1&k%20y=a%20b%26c\n" },
		{ "key: {value: k1, location: {queryParameter: {name: key}}}", NULL, NULL, "", "?key=k1\n" },
		{ "key: {value: k1, location: {cookie: {name: s}}}", NULL, NULL, "cookie: a=b; s=c\nx: y",
		  "cookie: a=b; s=k1\nx: y\n" },
		{ "key: {value: k1, location: {cookie: {name: s}}}", NULL, NULL, "cookie: s=c",
		  "cookie: s=k1\n" },
		{ "passthrough: {}", "t.o.k", NULL, "authorization: Basic y",
		  "authorization: Bearer t.o.k\n" },
		{ "passthrough: {}", NULL, NULL, "authorization: Basic y", "authorization: Basic y\n" },
		{ "passthrough: {location: {header: {name: x-token}}}", "t.o.k", NULL, "X-Token: forged",
		  "x-token: t.o.k\n" },
		{ "passthrough: {location: {header: {name: x-token}}}", NULL, NULL, "X-Token: forged\na: b",
		  "a: b\n" },
		{ "passthrough: {location: {queryParameter: {name: t}}}", "t.o.k", "a&t=forged", "",
		  "?a&t=t.o.k\n" },
		{ "credentials: [{location: {header: {name: a}}, key: k1}, {location: {cookie: {name: a}}, "
		  "key: k2}]",
		  NULL, NULL, "A: x", "a: k1\ncookie: a=k2\n" },
		{ "key: k0, credentials: [{location: {header: {name: x-mail}}, key: 'a@b'}]", NULL, NULL, "",
		  "authorization: Bearer k0\nx-mail: a@b\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_with(&arena, rows[i].query, rows[i].fields);
		struct config_case c;
		struct text text;

		text_init(&text);
		text_fmt(&text, BEGIN "backendAuth: {%s}" END, rows[i].policy);
		config_case_text(&c, text.data);
		config_case_accepted(&c);
		assert_int_equal(backend_auth_apply(policy_of(&c), span_str(rows[i].token), &head, &arena),
				 0);
		if (strcmp(text_of(&head), rows[i].want) != 0)
			fail_msg("row %zu: %s", i, text_of(&head));
		config_case_done(&c);
		text_done(&text);
	}
}

/* ---- what is shown */

TEST(the_dump_shows_places_and_no_keys)
{
	static const struct {
		const char *policy;
		const char *want;
	} rows[] = {
		{ "key: s3cr3t", "{\"backendAuth\":{\"key\":{\"value\":\"<redacted>\"}}}" },
		{ "key: {value: s3cr3t, location: {header: {name: a, prefix: 'b '}}}",
		  "{\"backendAuth\":{\"key\":{\"value\":\"<redacted>\",\"location\":{\"header\":{\"name\":"
		  "\"a\",\"prefix\":\"b \"}}}}}" },
		{ "passthrough: {}", "{\"backendAuth\":{\"passthrough\":{}}}" },
		{ "credentials: [{location: {cookie: {name: a}}, key: s3cr3t}]",
		  "{\"backendAuth\":{\"credentials\":[{\"location\":{\"cookie\":{\"name\":\"a\"}},\"key\":"
		  "\"<redacted>\"}]}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text text;

		text_init(&text);
		text_fmt(&text, BEGIN "backendAuth: {%s}" END, rows[i].policy);
		config_case_text(&c, text.data);
		config_case_accepted(&c);
		assert_dumped(POLICY_BACKEND_AUTH, policy_of(&c), rows[i].want);
		config_case_done(&c);
		text_done(&text);
	}
}

/* ---- where it cannot work */

TEST(a_key_is_not_sent_to_whom_a_client_names_nor_where_nothing_could_be_added)
{
	config_compiles("binds: [{port: 3000, listeners: [{routes: [{backends: [{dynamic: {}, policies: "
			"{backendAuth: {key: a}}}]}]}]}]\n",
			"any host that a client names");
	config_compiles("binds: [{port: 3000, listeners: [{routes: [{backends: [{dynamic: {}, policies: "
			"{backendAuth: {passthrough: {}}}}]}]}]}]\n",
			NULL);
	config_compiles(
		"binds: [{port: 3000, listeners: [{routes: [{policies: {backendAuth: {key: {value: a, "
		"location: {queryParameter: {name: k}}}}}, backends: [{mcp: {targets: [{name: t, mcp: {host: "
		"'http://a:1/mcp'}}]}}]}]}]}]\n",
		"cannot put a query parameter");
	config_compiles(
		"binds: [{port: 3000, listeners: [{routes: [{backends: [{mcp: {targets: [{name: t, mcp: "
		"{host: 'http://a:1/mcp'}, policies: {backendAuth: {passthrough: {}}}}]}}]}]}]}]\n",
		"can only be a key in a header");
}

TEST(the_key_of_an_mcp_target_wins_over_its_header_modifier)
{
	const struct header_modifier *modifier;
	struct config_case c;

	config_case_text(&c,
			 "binds: [{port: 3000, listeners: [{routes: [{backends: [{mcp: {targets: [{name: t, "
			 "mcp: {host: 'http://a:1/mcp'}, policies: {requestHeaderModifier: {set: {a: b}}, "
			 "backendAuth: {key: k1}}}]}}]}]}]}]\n");
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	for (uint32_t i = 0; i < c.snapshot->backend_count; i++) {
		if (!c.snapshot->backend_list[i].mcp)
			continue;
		modifier = c.snapshot->backend_list[i].mcp->server_list[0].request_headers;
		assert_int_equal(modifier->set_count, 2);
		assert_span_equal(modifier->set_list[0].name, "a");
		assert_span_equal(modifier->set_list[1].name, "authorization");
		assert_span_equal(modifier->set_list[1].value, "Bearer k1");
		config_case_done(&c);
		return;
	}
	fail_msg("no MCP backend");
}

/* ---- manifests */

#define SECRET(data)                                                                                         \
	"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: d}\nstringData: {" data "}\n"
#define POLICY(auth)                                                                                         \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\n"                                  \
	"metadata: {name: p, namespace: d}\nspec:\n"                                                         \
	"  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n"                     \
	"  backend:\n    auth: {" auth "}\n"

TEST(manifests_have_several_credentials)
{
	const struct backend_auth_policy *policy;
	struct config_case c;

	config_case_text(
		&c, POLICY("credentials: [{location: {header: {name: a}}, secretRef: {name: s, key: x}}, "
			   "{location: {queryParameter: {name: q}}, secretRef: {name: s, key: y}}]")
			    SECRET("x: k1, y: 'k 2'"));
	config_case_accepted(&c);
	policy = c.snapshot->policy_list[0].value.object;
	assert_false(policy->has_key || policy->has_passthrough);
	assert_int_equal(policy->credential_count, 2);
	assert_span_equal(policy->credential_list[0].text, "k1");
	assert_span_equal(policy->credential_list[1].text, "q=k%202");
	config_case_done(&c);
}
