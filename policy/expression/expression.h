/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_value.h"
#include "user/base/arena.h"
#include "user/base/limits.h"
#include "user/http/head.h"

/*
 * Expressions of policies: the subset of CEL that delays, health conditions, authorization, limits and logs
 * need. functions.def and variables.def are the names; the syntax:
 *
 *         values       true false null, 5, 0.1, "text" 'text' r"raw text", [1, 2], {"name": value}
 *         operators    ? :   ||   &&   == != < <= > >= in   + -   * / %   ! -   ( )
 *         access       name.member name["member"] list[0]
 *         calls        function(value), value.method(value), list.exists(x, condition)
 *
 * Types are checked when the expression is compiled, as far as they are known: those of claims and metadata
 * are known when it is evaluated. Unlike in CEL, integers and decimals can be mixed. An expression without a
 * value (an absent header, a division by zero, a claim of another type) is not an error: its value is
 * EXPRESSION_NONE, and `||`, `&&`, exists() and all() ignore it if the other operands decide, as in CEL.
 *
 * A compiled expression is immutable. Evaluation allocates no memory (matches() may extend the automaton of
 * its pattern, within the memory that it was given when it was compiled), and takes at most
 * LIMIT_EXPRESSION_STEPS. Beyond that, or if a text does not fit the scratch memory, or if a pattern gives
 * up, the whole expression has no value and says that it gave up: a client can cause that, so a rule that
 * protects must refuse then (expression_test()).
 */
enum expression_point {
	EXPRESSION_AT_CONNECTION, /* a connection was accepted, with TLS: after the handshake */
	EXPRESSION_AT_HEAD, /* a request head was read: before authentication */
	EXPRESSION_AT_REQUEST, /* after authentication */
	EXPRESSION_AT_TRANSFORM, /* the same, and its body may have been read */
	EXPRESSION_AT_BACKEND, /* a backend was chosen */
	EXPRESSION_AT_MCP, /* a message to an MCP backend was read */
	EXPRESSION_AT_RESPONSE, /* a response head was read */
	EXPRESSION_AT_ANSWER, /* the same, and its body may have been read */
	EXPRESSION_AT_END, /* a stream has ended: logs */
	EXPRESSION_POINTS,
};

struct expression_node;

/* Facts that cost something to find out. */
enum expression_needs {
	EXPRESSION_NEEDS_ADDRESS = 1, /* source->address and raw_address */
	EXPRESSION_NEEDS_CERTIFICATE = 2, /* the rest of source */
	EXPRESSION_NEEDS_DESTINATION = 4,
	EXPRESSION_NEEDS_BODY = 8, /* request_body or response_body, of the point's message */
	EXPRESSION_NEEDS_JSON = 16, /* the same as a tree */
};

struct expression {
	const struct expression_node *root;
	enum expression_type type; /* of its value; DYNAMIC: any */
	uint32_t needs; /* enum expression_needs: the others need not be filled in */
};

/* Whether it can be a condition: a claim can be true or false. */
static inline bool expression_is_condition(const struct expression *expression)
{
	return expression->type == EXPRESSION_BOOL || expression->type == EXPRESSION_DYNAMIC;
}

struct address;

struct expression_source {
	const struct address *address; /* of the client: what a trusted proxy said, else the peer */
	const struct address *raw_address; /* of the TCP peer */
	/* Of the verified client certificate; empty: none. */
	struct span subject, subject_cn, issuer;
	struct span spiffe_id; /* spiffe://… */
	const struct span *names; /* subject alternative names: "DNS:…" without the kind */
	uint32_t name_count;
};

struct expression_mcp {
	struct span method, session;
	struct span target; /* of the tool, prompt, resource or task */
	struct span tool, prompt, resource, task; /* at most one is not empty */
};

struct expression_backend {
	struct span name, type, protocol;
};

/*
 * Memory for texts and lists that an evaluation makes. Values point into it until it is initialized again. An
 * expression that makes a body needs more of it than there is here, and may take more steps: `large`.
 */
struct expression_scratch {
	size_t used;
	size_t large_bytes;
	char *large; /* borrowed, aligned for any type; NULL: own */
	_Alignas(16) char own[LIMIT_EXPRESSION_SCRATCH_BYTES];
};

static inline void expression_scratch_init(struct expression_scratch *scratch)
{
	scratch->used = 0;
	scratch->large_bytes = 0;
	scratch->large = NULL;
}

/*
 * The data that an expression can read. Borrowed for the call. What is NULL or empty has no value, so that a
 * caller fills in what there is at its point.
 */
struct expression_facts {
	const struct request_head *request;
	const struct fields *response_fields; /* NULL: no response; its headers have no value */
	uint16_t response_code;
	uint64_t random;
	struct expression_scratch *scratch; /* NULL: what needs memory gives up */
	uint64_t start_ns, end_ns; /* of the request, since 1970 */
	const struct expression_source *source;
	const struct address *destination; /* of the gateway, where the client connected to */
	struct span sni;
	const struct expression_value *jwt; /* MAP of the claims of a verified token, NULL: none */
	const struct expression_value *api_key; /* MAP of the metadata of a valid key, NULL: none */
	struct span basic_user; /* data NULL: none */
	const struct expression_value *ext_authz; /* MAP of what a service of extAuthz said, NULL: nothing */
	const struct expression_value *metadata; /* MAP of what transformations have noted, NULL: nothing */
	const struct expression_backend *backend;
	const struct expression_mcp *mcp;
	/* data NULL: not read, or compressed. The trees: NULL: not read, or no JSON. */
	struct span request_body, response_body;
	const struct expression_value *request_json, *response_json;
};

#define EXPRESSION_ERROR_BYTES 768

/*
 * Parses `text` into memory of `arena`, which also owns its patterns; strings of the expression are borrowed
 * from `text`. Returns 0; -ENOMEM; or -EINVAL with a message in `error` that has the place and what to write
 * instead.
 */
int expression_compile(struct span text, enum expression_point point, struct arena *arena,
		       struct expression *ret_expression, char error[EXPRESSION_ERROR_BYTES]);
/* NONE with gave_up: a limit was reached. */
struct expression_value expression_evaluate(const struct expression *expression,
					    const struct expression_facts *facts);

enum expression_truth {
	EXPRESSION_IS_FALSE, /* also without a value, and one that is neither true nor false */
	EXPRESSION_IS_TRUE,
	EXPRESSION_GAVE_UP, /* a limit was reached: refuse the request */
};

/* For conditions and rules. Leaves the scratch memory as it was. */
enum expression_truth expression_test(const struct expression *expression,
				      const struct expression_facts *facts);
/*
 * For keys and fields of logs: the value as text, of lists and maps as JSON, in the scratch memory or where
 * the value is. Returns 0; -ENODATA: no value, or null; -E2BIG: gave up.
 */
int expression_text(const struct expression *expression, const struct expression_facts *facts,
		    struct span *ret_text);
/* The same for a value of expression_evaluate(). */
int expression_value_text(struct expression_value value, const struct expression_facts *facts,
			  struct span *ret_text);
