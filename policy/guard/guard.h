/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/auth/jwt.h"
#include "user/base/callout_kind.h"
#include "user/base/end_reason.h"
#include "user/base/text.h"
#include "user/http/head.h"

struct expression_facts;
struct expression_value;

/*
 * A guard decides about one request from its head and from facts that the caller knows, and adds fields to
 * every response that the request gets, whoever makes it. guards.def has all guards in their order.
 */

/* Who the client is, as far as guards have verified it. */
struct guard_identity {
	struct jwt_claims *claims; /* one reference; NULL: no token */
	struct span token; /* with the claims; in the memory of the request */
	const struct api_key *api_key; /* NULL: none */
	struct span basic_user; /* empty: none */
	/* MAP of what a service of extAuthz says about it; in the memory of the request; NULL: nothing */
	const struct expression_value *ext_authz;
};

struct guard_reply;

/* What a guard asks a helper service: user/callout/callout.h. Borrowed for guard_verifier.call(). */
struct guard_call {
	enum callout_kind kind;
	const struct backend_ref *ref;
	const struct request_head *head; /* gRPC: the method as path, and metadata */
	struct span body; /* gRPC: the message */
	bool is_grpc;
	bool may_repeat;
	struct span token; /* of the client, for `passthrough`; set by the one who calls */
	const void *subject; /* for guard_reply */
	/* What the answer depends on besides the policy; empty: no answer that was kept counts. */
	struct span cache_key;
	uint32_t most_entries; /* that are kept of this policy */
	struct guard_reply *reply; /* with a cache_key */
};

/* What came of it. Valid until the guard returns. */
struct guard_reply {
	const void *subject; /* of the call */
	bool is_kept; /* an answer to an earlier call */
	struct span fault; /* why there is no response; empty: there is one */
	uint16_t status; /* 100..999; with a fault: that of an incomplete response over HTTP; 0: none */
	const struct fields *fields;
	struct span body; /* gRPC: the message */
};

/* The body of a request, or its beginning. */
struct guard_body {
	struct span bytes;
	bool is_whole;
};

/* Verifies what takes time, a clock or memory of the worker: user/phase/verify.h. */
struct guard_verifier {
	void *context;
	/*
	 * GUARD_PASS, GUARD_REFUSE, or GUARD_WAIT: ask the same again when the stream gets STEP_GUARD.
	 * -EBUSY: too many wait; other errors: it could not be verified.
	 */
	int (*password)(void *context, const struct htpasswd *users, struct span name, struct span password);
	/* JWT_GOOD with a reference to the claims. */
	enum jwt_fault (*token)(void *context, const struct jwt_providers *providers, struct span token,
				struct jwt_claims **ret_claims);
	/*
	 * GUARD_WAIT: the same guard is asked again, with guard_facts.reply; GUARD_PASS: *call->reply is an
	 * answer that was kept; or why no call was made:
	 * -ENOMEM; -EINVAL, -ENOBUFS: its request cannot be written; -E2BIG: an expression for it gave up;
	 * -EBADMSG: `replace` made no headers for it; others: the service cannot be called.
	 */
	int (*call)(void *context, const struct guard_call *call);
	/* Keeps the reply to the call, which had a cache_key, for so long. */
	void (*keep)(void *context, uint64_t ttl_ns);
	/*
	 * GUARD_PASS with the whole body or its first most_bytes, at most LIMIT_HELD_MOST_BYTES + 1, valid
	 * until the guard returns; GUARD_WAIT: the same guard is asked again when they are there; -ENOMEM.
	 */
	int (*body)(void *context, uint32_t most_bytes, struct guard_body *ret_body);
	/* A text of a reply as a tree, in memory of the request; NULL: not JSON. 0; -E2BIG; -ENOMEM. */
	int (*json)(void *context, struct span text, const struct expression_value **ret_tree);
};

struct expression_facts; /* policy/expression/expression.h */

/* What a guard knows besides its policy. */
struct guard_facts {
	const struct request_head *head; /* as received; its path is normalized */
	/* As the client sent them, if transformations have changed the head; NULL: they have not. */
	const struct fields *client_fields;
	uint64_t declared_bytes; /* of the body; if it is not known, so many have come */
	bool has_unknown_body; /* its length is not known */
	struct span scheme; /* of the client's connection, or what a trusted proxy says: http or https */
	struct guard_identity *identity; /* of this request; guards add to it */
	const struct guard_verifier *verifier;
	/*
	 * What expressions can read of the request, valid until the next call. needs: enum expression_needs.
	 * 0 or -ENOMEM.
	 */
	int (*facts)(void *context, uint32_t needs, const struct expression_facts **ret_facts);
	void *context; /* of facts() */
	uint64_t now_ns; /* monotonic */
	void *state; /* guard_use.state */
	const struct guard_reply *reply; /* to the call that the guard has made; NULL: none yet */
};

enum guard_verdict {
	GUARD_PASS,
	GUARD_ANSWER, /* the guard answers what was asked: no refusal */
	GUARD_REFUSE,
	GUARD_WAIT, /* not known yet: asked again when the stream gets STEP_GUARD */
};

/* How an added field combines with fields of the same name: Envoy's HeaderValueOption.HeaderAppendAction. */
enum append_action {
	APPEND_ALWAYS, /* beside those of its name */
	APPEND_IF_ABSENT,
	APPEND_REPLACES,
	APPEND_REPLACES_ONLY, /* without one, there is none */
	APPEND_ACTION_COUNT,
};

/* A field that a service adds to responses, in the arena of the request. An empty value adds none. */
struct guard_addition {
	struct guard_addition *next;
	struct field field;
	enum append_action action;
};

struct guard_additions {
	struct guard_addition *first, *last; /* in their order; NULL: none */
};

struct guard_answer {
	/*
	 * In and out, for every response: each replaces fields of its name, or removes them if its value is
	 * empty; `vary` is added to what the response names itself, `set-cookie` to its cookies, and
	 * x-ratelimit fields give way to those of the backend. Its arena is that of the request.
	 */
	struct fields fields;
	struct guard_additions additions; /* in and out: for every response, after `fields` */
	/* Where the request has a credential, right or wrong, which the log must not show; NULL: none. */
	const struct credential_location *credential;
	bool is_valid; /* that credential is taken out of the request */
	/* With GUARD_PASS: how the request changes, for later guards and the backend; NULL: not at all. */
	const struct header_modifier *request;
	/* What changes the request now, and its response; NULL: nothing. */
	const struct transformation *transformation;
	/* With GUARD_ANSWER and GUARD_REFUSE. */
	uint16_t status;
	struct span body;
	struct span type; /* of the body; empty: text */
	const struct fields *response; /* beside the fields above, several of a name too; NULL: none */
	struct span why; /* for the log; empty: the body */
	enum end_reason reason; /* END_OK: that of the guard */
	uint32_t part; /* which rule of the policy refuses, from 1 on; 0: it has only one */
};

enum guard_phase {
	GUARD_PHASE_GATEWAY = 1,
	GUARD_PHASE_ROUTE = 2,
	GUARD_PHASE_CONNECTION = 4,
	GUARD_PHASE_BACKEND = 8,
};

struct guard_kind {
	const char *name; /* as in the dump */
	enum policy_kind kind;
	unsigned phases; /* enum guard_phase */
	enum end_reason reason; /* of a refusal */
	/* A verdict; an error, such as -ENOMEM, refuses the request with 500. */
	int (*check)(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
};

enum guard_id {
#define GUARD(id, name, kind, phases, reason, function) GUARD_##id,
#include "policy/guard/guards.def"
#undef GUARD
	GUARD_COUNT,
};

extern const struct guard_kind guard_kinds[GUARD_COUNT]; /* in the order in which they decide */

const struct guard_kind *guard_kind_of(enum policy_kind kind); /* NULL: policies of this kind guard nothing */

/* The guard of a listener that also decides when a connection is accepted; NULL: none. */
const struct guard_use *guard_of_connections(const struct guard_list *list);

/* For the log: what was refused, by which part of which policy. rule: its name. */
void guard_refusal_text(const struct guard_use *use, const struct guard_answer *answer, struct span rule,
			struct text *out);

/* Puts the fields of the guards into a response, as struct guard_answer describes. 0 or -ENOMEM. */
int guard_apply(const struct fields *from, struct fields *response);
int guard_apply_additions(const struct guard_additions *additions, struct fields *response);
