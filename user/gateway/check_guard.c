/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/check_guard.h"

#include <errno.h>

#include "policy/guard/credential.h"
#include "policy/guard/size.h"
#include "policy/match/normalization.h"
#include "policy/transform.h"
#include "user/auth/password_checker.h"
#include "user/auth/password_hash.h"
#include "user/base/clock.h"

/* One process, one request: nobody can choose inputs that collide. */
static const struct siphash_key no_key;

static int verify_password(void *context, const struct htpasswd *users, struct span name,
			   struct span password)
{
	struct check_guard *guard = context;
	struct password_question question = { 0 };
	int result;

	if (!guard->passwords)
		guard->passwords = password_checker_create(&no_key);
	if (!guard->work)
		guard->work = password_work_create();
	if (!guard->passwords || !guard->work)
		return -ENOMEM;
	if (!password_question_init(guard->passwords, &question, users, name, password))
		return GUARD_REFUSE;
	result = password_hash_verify(guard->work, span_of(question.hash, question.hash_len),
				      span_of(question.password, question.password_len));
	if (result >= 0)
		result = result && question.is_known ? GUARD_PASS : GUARD_REFUSE;
	password_question_wipe(&question);
	return result;
}

static enum jwt_fault verify_token(void *context, const struct jwt_providers *providers, struct span token,
				   struct jwt_claims **ret_claims)
{
	struct check_guard *guard = context;
	enum jwt_fault fault;

	*ret_claims = NULL;
	if (!guard->tokens)
		guard->tokens = jwt_verifier_create(&no_key);
	if (!guard->tokens)
		return JWT_MEMORY;
	fault = jwt_verify(guard->tokens, providers, token, clock_wall_us() / US_PER_S, ret_claims);
	guard->lacks_keys = fault == JWT_NO_KEYS;
	return fault;
}

void check_guard_init(struct check_guard *guard)
{
	*guard = (struct check_guard){
		.verifier = { .context = guard, .password = verify_password, .token = verify_token }
	};
}

void check_guard_done(struct check_guard *guard)
{
	jwt_claims_unref(guard->identity.claims);
	jwt_verifier_free(guard->tokens);
	password_work_free(guard->work);
	password_checker_free(guard->passwords);
}

/* Others depend on requests before, or on the connection. */
static bool is_decided(enum policy_kind kind)
{
	switch (kind) {
	case POLICY_CORS:
	case POLICY_JWT_AUTH:
	case POLICY_BASIC_AUTH:
	case POLICY_API_KEY:
	case POLICY_CSRF:
	case POLICY_LIMITS:
	case POLICY_BUFFER:
	case POLICY_AUTHORIZATION:
	case POLICY_NETWORK_AUTHORIZATION:
	case POLICY_TRANSFORMATION:
		return true;
	default:
		return false;
	}
}

static int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	struct check_guard *guard = context;

	guard->needs |= needs;
	guard->source =
		(struct expression_source){ .address = &guard->client, .raw_address = &guard->client };
	guard->facts.source = &guard->source;
	guard->facts.scratch = &guard->scratch;
	guard->facts.start_ns = clock_wall_us() * NS_PER_US;
	expression_scratch_init(&guard->scratch);
	*ret_facts = &guard->facts;
	return 0;
}

/* A body without a length is counted while it comes. */
static bool counts_body(const struct check_guard *guard, const struct guard_use *use)
{
	struct guard_use copy = *use;
	const struct guard_list list = { .list = &copy, .count = 1 };
	uint64_t most_bytes;

	return guard->framing.kind == BODY_CHUNKED && size_guard(&list, false, &most_bytes);
}

/* Rules about who the client is, beyond its address, need its connection or what it has proved. */
static const char *unknown_of(const struct check_guard *guard, const struct guard_use *use, int verdict)
{
	enum policy_kind kind = use->guard->kind;

	if (guard->lacks_keys)
		return "unknown: the keys of the issuer are behind a URL, which only a running gateway reads";
	if (verdict == GUARD_PASS && counts_body(guard, use))
		return "unknown: it depends on the body";
	if (kind != POLICY_AUTHORIZATION && kind != POLICY_NETWORK_AUTHORIZATION &&
	    kind != POLICY_TRANSFORMATION)
		return NULL;
	if (guard->needs & (EXPRESSION_NEEDS_BODY | EXPRESSION_NEEDS_JSON))
		return "unknown: it depends on the body";
	if (guard->needs & (EXPRESSION_NEEDS_CERTIFICATE | EXPRESSION_NEEDS_DESTINATION))
		return "unknown: it depends on the connection";
	if (guard->identity.claims || guard->identity.api_key || guard->identity.basic_user.len)
		return "unknown: it may depend on who the client is";
	return guard->is_forwarded && guard->needs & EXPRESSION_NEEDS_ADDRESS
		       ? "unknown: it depends on X-Forwarded-For of a trusted proxy"
		       : NULL;
}

int check_guard_transform(struct check_guard *guard, const struct transform_side *side,
			  struct request_head *head, struct arena *arena)
{
	const struct expression_facts *facts;
	struct transform_count count = { 0 };
	struct path_rules rules;
	bool has_rules = guard->rules && path_rules_of(guard->rules, &rules);
	int error = 0;

	if (!guard->client_fields.arena)
		error = fields_clone(&head->fields, arena, &guard->client_fields);
	if (error)
		return error;
	guard->facts.request = head;
	facts_of(guard, side->needs, &facts);
	error = transform_note(side, &guard->facts, arena, &count);
	return error ? error : transform_request(side, facts, has_rules ? &rules : NULL, head, arena, &count);
}

static int decide(struct check_guard *guard, const struct guard_use *use, struct request_head *head,
		  struct span scheme, struct arena *arena, struct guard_answer *answer)
{
	const struct guard_facts facts = {
		.head = head,
		.client_fields = guard->client_fields.arena ? &guard->client_fields : NULL,
		.declared_bytes = guard->framing.length,
		.has_unknown_body = guard->framing.kind == BODY_CHUNKED,
		.scheme = scheme,
		.identity = &guard->identity,
		.verifier = &guard->verifier,
		.facts = facts_of,
		.context = guard,
		.now_ns = clock_now_ns(),
	};
	int verdict;

	guard->lacks_keys = false;
	guard->needs = 0;
	guard->facts = (struct expression_facts){ .request = head, .metadata = guard->facts.metadata };
	fields_init(&answer->fields, arena);
	verdict = use->guard->check(use->object, &facts, answer);
	if (verdict >= 0 && answer->credential && answer->is_valid &&
	    credential_remove(answer->credential, head, arena) < 0)
		return -ENOMEM;
	if (verdict == GUARD_PASS && answer->transformation && answer->transformation->request.is_set) {
		int error = check_guard_transform(guard, &answer->transformation->request, head, arena);

		return error ? error : verdict;
	}
	return verdict;
}

/* As transform_failed() in a running gateway. */
static struct guard_answer failed(int error)
{
	if (error == -E2BIG)
		return (struct guard_answer){ .status = 400, .body = SPAN("too long to be evaluated") };
	if (error == -EBADMSG)
		return (struct guard_answer){ .status = 400,
					      .body = SPAN("the request cannot be transformed") };
	return (struct guard_answer){ .status = 500, .body = SPAN("no memory") };
}

/* Writes the members of one guard. unknown: why nobody can tell, or NULL. True: the request continues. */
static bool write_verdict(struct json_writer *w, int verdict, const struct guard_answer *answer,
			  const char *unknown)
{
	if (unknown) {
		json_str(w, "verdict", unknown);
		return true;
	}
	json_str(w, "verdict",
		 verdict == GUARD_PASS	   ? "pass"
		 : verdict == GUARD_ANSWER ? "answer"
					   : "refuse");
	if (verdict == GUARD_PASS)
		return true;
	json_u64(w, "status", answer->status);
	if (verdict == GUARD_REFUSE && answer->body.len)
		json_string(w, "text", answer->body);
	return false;
}

static bool ask(struct check_guard *guard, const struct guard_use *use, struct request_head *head,
		struct span scheme, struct arena *arena, struct json_writer *w, struct guard_answer *answer)
{
	bool goes_on = true;

	json_open_object(w, NULL);
	json_str(w, "guard", use->guard->name);
	json_string(w, "policy", use->rule.len ? use->rule : SPAN("written in the route"));
	if (is_decided(use->guard->kind)) {
		int verdict = decide(guard, use, head, scheme, arena, answer);

		if (verdict < 0)
			*answer = failed(verdict);
		goes_on = write_verdict(w, verdict, answer, unknown_of(guard, use, verdict));
	} else {
		json_str(w, "verdict", "unknown: it depends on more than this request");
	}
	json_close(w);
	return goes_on;
}

bool check_guard_ask(struct check_guard *guard, const struct guard_list *list, struct request_head *head,
		     struct span scheme, struct arena *arena, struct json_writer *w, uint16_t *ret_status,
		     struct span *ret_text)
{
	bool goes_on = true;

	if (!list->count)
		return true;
	json_open_array(w, "guards");
	for (uint32_t i = 0; i < list->count && goes_on; i++) {
		struct guard_answer answer = { 0 };

		goes_on = ask(guard, &list->list[i], head, scheme, arena, w, &answer);
		*ret_status = answer.status;
		*ret_text = answer.body;
	}
	json_close(w);
	return goes_on;
}
