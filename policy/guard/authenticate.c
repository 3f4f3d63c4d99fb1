/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/authenticate.h"

#include <errno.h>

#include "policy/expression/expression.h"
#include "policy/guard/credential.h"
#include "policy/guard/mcp_metadata.h"
#include "user/base/base64.h"

/* -------------------------------------------------------------------------------- refusals */

/* RFC 9110 11.7: credentials for a proxy have a status and a field of their own. */
static bool is_for_proxies(const struct credential_location *location)
{
	return location->kind == LOCATION_HEADER && span_eq(location->name, SPAN("proxy-authorization"));
}

static int refuse(struct guard_answer *answer, const struct credential_location *location,
		  struct span challenge, struct span body)
{
	bool for_proxies = is_for_proxies(location);
	int error = 0;

	if (challenge.len)
		error = fields_set(&answer->fields,
				   for_proxies ? SPAN("proxy-authenticate") : SPAN("www-authenticate"),
				   challenge);
	answer->status = for_proxies ? 407 : 401;
	answer->body = body;
	return error ? error : GUARD_REFUSE;
}

/* Not the client's fault: it may come back. */
static int refuse_busy(struct guard_answer *answer, struct span body)
{
	int error = fields_set(&answer->fields, SPAN("retry-after"), SPAN("1"));

	answer->status = 503;
	answer->body = body;
	return error ? error : GUARD_REFUSE;
}

static int admit(struct guard_answer *answer)
{
	answer->is_valid = true;
	return GUARD_PASS;
}

static int find_expression(const struct credential_location *location, const struct guard_facts *facts,
			   struct arena *arena, struct span *ret_value)
{
	const struct expression_facts *seen;
	int error = facts->facts(facts->context, location->expression->needs, &seen);

	if (error)
		return error;
	error = expression_text(location->expression, seen, ret_value);
	if (error == -ENODATA)
		return CREDENTIAL_ABSENT;
	if (error || !ret_value->len)
		return CREDENTIAL_INVALID;
	*ret_value = arena_copy(arena, *ret_value);
	return ret_value->data ? CREDENTIAL_FOUND : -ENOMEM;
}

static int find(const struct credential_location *location, const struct guard_facts *facts,
		struct guard_answer *answer, struct span *ret_value)
{
	int found = location->kind == LOCATION_EXPRESSION
			    ? find_expression(location, facts, answer->fields.arena, ret_value)
			    : credential_find(location, facts->head, answer->fields.arena, ret_value);

	answer->credential = found == CREDENTIAL_ABSENT ? NULL : location;
	return found;
}

/* -------------------------------------------------------------------------------- passwords */

#define BASIC "basic authentication failure: "

/* user-id ":" password, in base64 with padding. -EINVAL, -ENOMEM. */
static int basic_decode(struct span text, struct arena *arena, struct span *ret_name,
			struct span *ret_password)
{
	char *out = arena_bytes(arena, text.len + 1);
	ptrdiff_t colon;
	ssize_t len;

	if (!out)
		return -ENOMEM;
	/* The decoder is made for files, and skips these. */
	if (span_find(text, ' ') >= 0 || span_find(text, '\t') >= 0)
		return -EINVAL;
	len = base64_decode(text, out);
	colon = len < 0 ? -1 : span_find(span_of(out, (size_t)len), ':');
	if (colon < 0)
		return -EINVAL;
	*ret_name = span_of(out, (size_t)colon);
	*ret_password = span_from(span_of(out, (size_t)len), (size_t)colon + 1);
	return 0;
}

static int basic_verify(const struct basic_auth_policy *policy, const struct guard_facts *facts,
			struct guard_answer *answer, struct span text)
{
	const struct guard_verifier *verifier = facts->verifier;
	struct span name, password;
	int result = basic_decode(text, answer->fields.arena, &name, &password);

	if (result == 0)
		result = verifier->password(verifier->context, &policy->users, name, password);
	switch (result) {
	case GUARD_PASS:
		facts->identity->basic_user = name;
		return admit(answer);
	case GUARD_WAIT:
		return GUARD_WAIT;
	case GUARD_REFUSE:
	case -EINVAL:
		return refuse(answer, &policy->location, policy->challenge,
			      SPAN(BASIC "invalid credentials"));
	case -EBUSY:
		return refuse_busy(answer, SPAN(BASIC "too many passwords wait to be verified"));
	default:
		return refuse_busy(answer, SPAN(BASIC "the password could not be verified"));
	}
}

int basic_auth_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct basic_auth_policy *policy = object;
	struct span text;

	switch (find(&policy->location, facts, answer, &text)) {
	case CREDENTIAL_FOUND:
		return basic_verify(policy, facts, answer, text);
	case CREDENTIAL_ABSENT:
		if (policy->mode != CREDENTIAL_STRICT)
			return GUARD_PASS;
		return refuse(answer, &policy->location, policy->challenge,
			      SPAN(BASIC "no basic authentication credentials found"));
	case CREDENTIAL_INVALID:
		return refuse(answer, &policy->location, policy->challenge,
			      SPAN(BASIC "invalid credentials"));
	default:
		return -ENOMEM;
	}
}

/* -------------------------------------------------------------------------------- API keys */

#define API_KEY "api key authentication failure: "

static int api_key_invalid(const struct api_key_policy *policy, struct guard_answer *answer)
{
	if (policy->mode == CREDENTIAL_PERMISSIVE)
		return GUARD_PASS;
	return refuse(answer, &policy->location, policy->challenge, SPAN(API_KEY "invalid credentials"));
}

int api_key_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct api_key_policy *policy = object;
	const struct api_key *key;
	struct span text;
	int error;

	switch (find(&policy->location, facts, answer, &text)) {
	case CREDENTIAL_FOUND:
		error = api_keys_find(&policy->keys, text, &key);
		if (error == -ENOMEM)
			return refuse_busy(answer, SPAN(API_KEY "the key could not be verified"));
		if (error)
			return api_key_invalid(policy, answer);
		facts->identity->api_key = key;
		return admit(answer);
	case CREDENTIAL_ABSENT:
		if (policy->mode != CREDENTIAL_STRICT)
			return GUARD_PASS;
		return refuse(answer, &policy->location, policy->challenge, SPAN(API_KEY "no API Key found"));
	case CREDENTIAL_INVALID:
		return api_key_invalid(policy, answer);
	default:
		return -ENOMEM;
	}
}

/* -------------------------------------------------------------------------------- tokens */

static struct span jwt_body(enum jwt_fault fault)
{
	static const char *const bodies[JWT_FAULT_COUNT] = {
#define JWT_FAULT(id, text) [JWT_##id] = "authentication failure: " text,
#include "user/auth/jwt_faults.def"
#undef JWT_FAULT
	};

	return span_str(bodies[fault]);
}

/* A client of MCP looks for the metadata that the challenge names, and then for a token. */
static int refuse_token(const struct jwt_auth_policy *policy, const struct guard_facts *facts,
			enum jwt_fault fault, struct guard_answer *answer)
{
	bool is_invalid = fault != JWT_MISSING;
	struct span challenge = is_invalid ? policy->challenge_invalid : policy->challenge;

	if (!policy->mcp)
		return refuse(answer, &policy->location, challenge, jwt_body(fault));
	challenge = mcp_metadata_challenge(policy->mcp, facts, is_invalid, answer);
	if (!challenge.data)
		return -ENOMEM;
	answer->type = SPAN("application/json");
	answer->why = jwt_body(fault);
	return refuse(answer, &policy->location, challenge,
		      SPAN("{\"error\":\"unauthorized\",\"error_description\":\"JWT token required\"}"));
}

static int jwt_invalid(const struct jwt_auth_policy *policy, const struct guard_facts *facts,
		       enum jwt_fault fault, struct guard_answer *answer)
{
	if (policy->mode == CREDENTIAL_PERMISSIVE)
		return GUARD_PASS;
	if (fault == JWT_NO_KEYS || fault == JWT_MEMORY)
		return refuse_busy(answer, jwt_body(fault));
	return refuse_token(policy, facts, fault, answer);
}

int jwt_auth_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct jwt_auth_policy *policy = object;
	const struct guard_verifier *verifier = facts->verifier;
	struct jwt_claims *claims;
	enum jwt_fault fault;
	struct span token;
	int verdict = policy->mcp ? mcp_metadata_answer(policy->mcp, facts, answer) : GUARD_PASS;

	if (verdict != GUARD_PASS)
		return verdict;
	switch (find(&policy->location, facts, answer, &token)) {
	case CREDENTIAL_FOUND:
		fault = verifier->token(verifier->context, &policy->providers, token, &claims);
		if (fault == JWT_GOOD) {
			jwt_claims_unref(facts->identity->claims);
			facts->identity->claims = claims;
			facts->identity->token = token;
		}
		return fault == JWT_GOOD ? admit(answer) : jwt_invalid(policy, facts, fault, answer);
	case CREDENTIAL_ABSENT:
		if (policy->mode != CREDENTIAL_STRICT)
			return GUARD_PASS;
		return refuse_token(policy, facts, JWT_MISSING, answer);
	case CREDENTIAL_INVALID:
		return jwt_invalid(policy, facts, JWT_MALFORMED, answer);
	default:
		return -ENOMEM;
	}
}
